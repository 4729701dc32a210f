//! Which tests an image holds: read out of the file, so that listing them boots nothing.
//!
//! `freestone-harness` puts a record per test between two symbols. The image is linked at its address,
//! so the pointers in a record are addresses in the file's segments.
//!
//! ```text
//! record  0 name  8 length  16 expected panic  24 length  32 function  40 panics (byte)  41 ignored (byte)
//! ```

use std::fs;
use std::path::Path;

use object::{Object, ObjectSegment, ObjectSymbol};

use crate::status::Failure;

const RECORD_BYTES: u64 = 48;
const NAME: u64 = 0;
const IGNORED: u64 = 41;

/// No test is called like a novel: longer means that the table is not one.
const LONGEST_NAME: u64 = 4096;
const MOST_TESTS: u64 = 1 << 20;

/// One test of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTest {
    /// Its path, as libtest would show it.
    pub name: String,
    /// Whether it runs only when asked for.
    pub is_ignored: bool,
    /// Its place in the image's table.
    pub number: u64,
}

/// The tests in the image, by name.
pub fn read(image: &Path) -> Result<Vec<KernelTest>, Failure> {
    let usage = |message: String| Failure::usage(format!("{}: {message}", image.display()));
    let bytes = fs::read(image).map_err(|error| usage(error.to_string()))?;
    let file = object::File::parse(&*bytes).map_err(|error| usage(error.to_string()))?;
    let mut tests = table(&file).map_err(|what| usage(what.into()))?;
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn table(file: &object::File) -> Result<Vec<KernelTest>, &'static str> {
    let symbol = |name: &str| {
        let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
        found.map(|symbol| symbol.address())
    };
    let (Some(start), Some(end)) = (symbol("freestone_tests_start"), symbol("freestone_tests_end"))
    else {
        return Err("no tests in this image: it has no freestone_harness, or no symbols");
    };
    const BROKEN: &str = "the table of tests is broken";
    let bytes = end.checked_sub(start).ok_or(BROKEN)?;
    if bytes % RECORD_BYTES != 0 || bytes / RECORD_BYTES > MOST_TESTS {
        return Err(BROKEN);
    }
    let test = |number| {
        let record = start + number * RECORD_BYTES;
        let len = long(file, record + NAME + 8).filter(|len| *len <= LONGEST_NAME)?;
        let name = memory(file, long(file, record + NAME)?, len)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let is_ignored = memory(file, record + IGNORED, 1)? != [0];
        Some(KernelTest { name, is_ignored, number })
    };
    (0..bytes / RECORD_BYTES).map(|number| test(number).ok_or(BROKEN)).collect()
}

/// What the loader would put at an address.
fn memory<'a>(file: &object::File<'a>, address: u64, len: u64) -> Option<&'a [u8]> {
    file.segments().find_map(|segment| segment.data_range(address, len).ok().flatten())
}

fn long(file: &object::File, address: u64) -> Option<u64> {
    Some(u64::from_le_bytes(memory(file, address, 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_tests_says_so() {
        let own = std::env::current_exe().expect("a test has a path");
        let failure = read(&own).unwrap_err();
        assert!(failure.to_string().contains("no tests in this image"), "{failure}");
    }

    #[test]
    fn what_is_no_elf_file_is_no_panic() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(read(&manifest).is_err());
        assert!(read(Path::new("/nowhere")).is_err());
    }
}
