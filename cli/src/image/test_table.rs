//! The tests in an image, read from the file: listing them boots nothing.
//!
//! `freestone-harness` puts a record per test between two symbols. The image is linked at its address,
//! so the pointers in a record are addresses in the file's segments.
//!
//! ```text
//! record  0 name  8 length  16 expected panic  24 length  32 reason to ignore it  40 length  48 function
//!        56 panics (byte)  57 ignored (byte)
//! ```

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::Path;

use freestone_inspect::names::is_hidden;
use freestone_protocol::kernel_tests;
use object::{Object, ObjectSegment, ObjectSymbol};

use crate::foreign::Shown as _;
use crate::image::bootable;
use crate::status::Failure;

const RECORD_BYTES: u64 = kernel_tests::RECORD_BYTES as u64;

/// Stands in the names of all that the harness brings.
const HARNESS: &str = "freestone_harness";

/// No test is called like a novel: longer means that the table is not one. Nor is a reason one.
const LONGEST_TEXT: u64 = 4096;
const MOST_TESTS: u64 = 1 << 20;

/// One test of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTest {
    /// Its path, as libtest would show it.
    pub name: String,
    /// Whether it runs only when asked for.
    pub is_ignored: bool,
    /// Why, if it is told.
    pub reason: String,
    /// Its place in the image's table.
    pub number: u64,
}

/// The tests in the image, by name; `None` if it is no program of tests.
pub fn read(image: &Path) -> Result<Option<Vec<KernelTest>>, Failure> {
    let usage = |message: String| Failure::usage(format!("{}: {message}", image.shown()));
    let bytes = bootable::read(image)?;
    let file = object::File::parse(&*bytes).map_err(|error| usage(error.to_string()))?;
    let mut found = table(&file).map_err(|what| usage(what.into()))?;
    if let Some(tests) = &mut found {
        tests.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(found)
}

fn table(file: &object::File) -> Result<Option<Vec<KernelTest>>, &'static str> {
    let symbol = |name: &str| {
        let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
        found.map(|symbol| symbol.address())
    };
    let (Some(start), Some(end)) = (symbol(kernel_tests::START), symbol(kernel_tests::END)) else {
        return Ok(None);
    };
    const BROKEN: &str = "the table of tests is broken";
    // Every kernel of ours has a table, if only an empty one.
    let is_of_tests = || file.symbols().any(|s| s.name().is_ok_and(|name| name.contains(HARNESS)));
    if start == end && !is_of_tests() {
        return Ok(None);
    }
    let bytes = end.checked_sub(start).ok_or(BROKEN)?;
    let memory = Memory::of(file);
    let records = memory.at(start, bytes).ok_or(BROKEN)?;
    if bytes % RECORD_BYTES != 0 || bytes / RECORD_BYTES > MOST_TESTS {
        return Err(BROKEN);
    }
    let test = |(number, record): (usize, &[u8])| {
        let long = |at: usize| Some(u64::from_le_bytes(*record.get(at..)?.first_chunk()?));
        // Address and length; the address of an empty text is nobody's.
        let text = |at: usize| {
            let len = long(at.checked_add(8)?).filter(|len| *len <= LONGEST_TEXT)?;
            let bytes = if len == 0 { &[] } else { memory.at(long(at)?, len)? };
            String::from_utf8(bytes.to_vec()).ok()
        };
        let (name, reason) = (text(kernel_tests::NAME)?, text(kernel_tests::REASON)?);
        // A path of Rust's has no such characters, and this one is shown in many places.
        let is_plain = !name.contains(is_hidden);
        let is_ignored = *record.get(kernel_tests::IGNORED)? != 0;
        is_plain.then_some(KernelTest { name, is_ignored, reason, number: number as u64 })
    };
    let records = records.chunks_exact(RECORD_BYTES as usize).enumerate();
    records.map(|record| test(record).ok_or(BROKEN)).collect::<Result<_, _>>().map(Some)
}

/// What the loader would put where: segments by address.
struct Memory<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Memory<'a> {
    fn of(file: &object::File<'a>) -> Memory<'a> {
        let segments = file.segments();
        let mut all: Vec<_> =
            segments.filter_map(|s| Some((s.address(), s.data().ok()?))).collect();
        all.retain(|(_, data)| !data.is_empty());
        all.sort_by_key(|(address, _)| *address);
        Memory(all)
    }

    fn at(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        let next = self.0.partition_point(|(start, _)| *start <= address);
        let (start, data) = self.0.get(next.checked_sub(1)?)?;
        let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
        data.get(offset..)?.get(..usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_no_tests() {
        let own = std::env::current_exe().expect("a test has a path");
        assert_eq!(read(&own).expect("it can be read"), None);
    }

    #[test]
    fn what_is_no_elf_file_is_no_panic() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(read(&manifest).is_err());
        assert!(read(Path::new("/nowhere")).is_err());
    }
}
