//! Adds source lines to a kernel's backtrace as it passes.
//!
//! A kernel prints `  from 0x…` and, if its image has a table, the function's name. This file adds what
//! the kernel cannot know, from the ELF file's debug information: file and line, and the functions that were compiled
//! into the one that is named, each on a line of its own in front (`  in   0x…`). A name that is missing is
//! added from the file's symbols. Everything else passes unchanged and at once.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use freestone_inspect::elf::Object;
use freestone_inspect::names::{SHOWN, visible};

use crate::image::dwarf::{Debug, Frame, Missing};
use crate::image::name_table;
use crate::image::untold::Untold;
use crate::marks;
use crate::supervise::Filter;

/// How lines of a trace begin, and how far behind the instruction the address is.
const KINDS: [(&str, u64); 2] = [("  at   0x", 0), ("  from 0x", 1)];
const DIGITS: usize = 16;

/// Longer lines are nobody's trace.
const LONGEST: usize = 4096;

/// How many addresses' answers are kept, in bytes of text.
const KEPT: usize = 1 << 20;

/// What the file knows.
struct Known {
    functions: BTreeMap<u64, String>,
    /// Code, and where it is.
    code: Vec<(u64, &'static [u8])>,
    debug: Result<Debug, Missing>,
    here: PathBuf,
}

/// An image, read when the first question comes.
pub struct Places {
    image: PathBuf,
    known: OnceCell<Known>,
    answers: RefCell<BTreeMap<u64, Vec<(String, String)>>>,
    untold: Untold,
}

impl Places {
    /// Of this image.
    pub fn new(image: &Path) -> Places {
        Places {
            image: image.to_owned(),
            known: OnceCell::new(),
            answers: RefCell::default(),
            untold: Untold::default(),
        }
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let here = env::current_dir().unwrap_or_default();
            let bytes = fs::read(&self.image).unwrap_or_default();
            let functions = name_table::functions(&bytes).unwrap_or_default();
            // Kept for the tool's short life: the debug information is read in place, bit by bit.
            let bytes = Vec::leak(bytes);
            Known { functions, code: code(bytes), debug: Debug::of(bytes, &self.image), here }
        })
    }

    /// The function that holds `address`, and how far behind its beginning that is.
    pub fn function(&self, address: u64) -> Option<(&str, u64)> {
        let (start, name) = self.known().functions.range(..=address).next_back()?;
        (!name.is_empty()).then_some((name, address.saturating_sub(*start)))
    }

    /// Whether a call may return to `address`: what is in front of it is one.
    pub fn follows_call(&self, address: u64) -> bool {
        let holds = |(start, bytes): &&(u64, &[u8])| {
            address.checked_sub(*start).is_some_and(|offset| offset <= bytes.len() as u64)
        };
        let found = self.known().code.iter().find(holds).and_then(|(start, bytes)| {
            bytes.get(..usize::try_from(address.checked_sub(*start)?).ok()?)
        });
        let Some(before) = found else { return false };
        let is_function = |target| self.known().functions.contains_key(&target);
        is_call_at_end(before, |distance| is_function(address.wrapping_add_signed(distance.into())))
    }

    /// One complete line of a trace, without its end, as it should be.
    fn complete(&self, line: &str) -> String {
        let parsed = KINDS.iter().find_map(|(kind, back)| {
            let rest = line.strip_prefix(kind)?;
            let digits = rest.get(..DIGITS)?;
            let address = u64::from_str_radix(digits, 16).ok()?;
            Some((address, *back, rest.get(DIGITS..)?))
        });
        match parsed {
            Some((address, back, rest)) => self.lines(line, address, back, !rest.trim().is_empty()),
            None => line.to_owned(),
        }
    }

    /// A line of a trace for `address`, made here.
    pub fn trace_line(&self, kind: usize, address: u64) -> String {
        let (kind, back) = KINDS[kind];
        self.lines(&format!("{kind}{address:016x}"), address, back, false)
    }

    fn lines(&self, line: &str, address: u64, back: u64, has_name: bool) -> String {
        let at = address.wrapping_sub(back);
        let mut out = String::new();
        let mut frames = self.frames(at);
        let last = frames.pop();
        let has_place = last.as_ref().is_some_and(|(_, place)| !place.is_empty());
        self.note(at, back > 0, has_place);
        for (name, place) in frames {
            let _ = writeln!(out, "  in   0x{address:016x} {name}{place}");
        }
        out.push_str(line.trim_end());
        if !has_name && let Some((name, offset)) = self.function(at) {
            let _ = write!(out, " {}+{}", begin_of(name), offset.saturating_add(back));
        }
        if let Some((_, place)) = last {
            out.push_str(&place);
        }
        out
    }

    /// The functions at `address`, the innermost first, each with its place in the source; none if the file
    /// does not say.
    fn frames(&self, address: u64) -> Vec<(String, String)> {
        if let Some(answer) = self.answers.borrow().get(&address) {
            return answer.clone();
        }
        let known = self.known();
        let Ok(debug) = &known.debug else { return Vec::new() };
        let shown = |Frame { name, place }: Frame| {
            let place = place.map(|(file, line)| {
                let file = shortened(&file, &known.here);
                format!(" ({}:{line})", visible(&file))
            });
            (name.unwrap_or_else(|| "?".to_owned()), place.unwrap_or_default())
        };
        let answer: Vec<_> = debug.frames(address).into_iter().map(shown).collect();
        let mut answers = self.answers.borrow_mut();
        let size = |(name, place): &(String, String)| name.len().saturating_add(place.len());
        let len = |all: &Vec<_>| all.iter().map(size).fold(64, usize::saturating_add);
        if answers.values().map(len).fold(len(&answer), usize::saturating_add) <= KEPT {
            answers.insert(address, answer.clone());
        }
        answer
    }

    /// Remembers what a line of a trace for the code in front of `address` could not say.
    fn note(&self, address: u64, is_caller: bool, has_place: bool) {
        // Functions in assembly have neither, and nobody wants them to.
        let Some((name, offset)) = self.function(address).filter(|(name, _)| name.contains("::"))
        else {
            return;
        };
        if !has_place && !self.knows_crate_of(name) {
            self.untold.no_place(name);
        }
        let start = address.saturating_sub(offset);
        if is_caller && !self.has_frame(start) {
            self.untold.no_frame(name);
        }
    }

    /// Whether other functions of the same crate have places: then this one is in assembly.
    fn knows_crate_of(&self, name: &str) -> bool {
        /// A crate has none, or mostly some.
        const MOST: usize = 32;
        let crate_of = |name: &str| name.split("::").next().map(str::to_owned);
        let own = crate_of(name);
        let mut others = self.known().functions.iter().filter(|(_, other)| crate_of(other) == own);
        others.by_ref().take(MOST).any(|(&address, _)| {
            self.frames(address).last().is_some_and(|(_, place)| !place.is_empty())
        })
    }

    /// Whether the function that begins at `start` sets its frame pointer, at once or later: `push rbp; mov rbp, rsp`.
    fn has_frame(&self, start: u64) -> bool {
        /// Compilers do that before the first call, and few instructions go before.
        const MOST: usize = 1024;
        let known = self.known();
        let next = known.functions.range(start.saturating_add(1)..).next();
        let len = next.map_or(u64::MAX, |(next, _)| next.saturating_sub(start));
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(MOST);
        let code = known.code.iter().find_map(|(address, bytes)| {
            bytes.get(usize::try_from(start.checked_sub(*address)?).ok()?..)
        });
        let code = code.unwrap_or_default();
        let code = &code[..code.len().min(len)];
        code.windows(4)
            .any(|code| code == [0x55, 0x48, 0x89, 0xe5] || code == [0x55, 0x48, 0x8b, 0xec])
    }

    /// Says what traces could not.
    pub fn tell_untold(&self) {
        if let Some(known) = self.known.get() {
            self.untold.tell(&self.image, &known.debug);
        }
    }
}

/// The sections with code.
fn code(bytes: &'static [u8]) -> Vec<(u64, &'static [u8])> {
    let Ok(object) = Object::of("the image", bytes) else { return Vec::new() };
    let code = object.sections.iter().filter(|section| section.is_code());
    code.map(|section| (section.address, section.data)).collect()
}

/// Whether these bytes end in a call: of a distance that `goes_to_function` agrees with, or through a register or
/// memory (Intel SDM volume 2, CALL, opcodes E8 and FF /2).
fn is_call_at_end(bytes: &[u8], goes_to_function: impl Fn(i32) -> bool) -> bool {
    if let Some((&[0xe8, a, b, c, d], _)) =
        bytes.split_last_chunk::<5>().map(|(rest, last)| (last, rest))
        && goes_to_function(i32::from_le_bytes([a, b, c, d]))
    {
        return true;
    }
    [2, 3, 4, 6, 7].into_iter().any(|len| {
        let Some(&[0xff, modrm, ..]) = bytes.len().checked_sub(len).map(|at| &bytes[at..]) else {
            return false;
        };
        let (mode, register) = (modrm >> 6, modrm & 7);
        let expected = match (mode, register) {
            (0, 4) => 3,
            (0, 5) => 6,
            (0 | 3, _) => 2,
            (1, 4) => 4,
            (1, _) => 3,
            (_, 4) => 7,
            _ => 6,
        };
        modrm >> 3 & 7 == 2 && len == expected
    })
}

/// Paths below the current folder begin there, those of the toolchain's library at `library`.
fn shortened(file: &str, here: &Path) -> String {
    let file = file.replace("/./", "/");
    if let Ok(below) = Path::new(&file).strip_prefix(here) {
        return below.display().to_string();
    }
    match file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => rest.to_owned(),
        None => file,
    }
}

/// Completes the traces in what passes.
pub struct Completer<'a> {
    places: &'a Places,
    /// The line so far, as long as it may be one of a trace.
    held: Vec<u8>,
    is_candidate: bool,
    /// What takes the completed text.
    next: &'a mut dyn Filter,
}

impl<'a> Completer<'a> {
    /// With what `places` knows, for `next`.
    pub fn new(places: &'a Places, next: &'a mut dyn Filter) -> Completer<'a> {
        Completer { places, held: Vec::new(), is_candidate: true, next }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !self.is_candidate {
            out.push(byte);
            self.is_candidate = byte == b'\n';
            return;
        }
        if byte == b'\n' {
            let held = std::mem::take(&mut self.held);
            let line = String::from_utf8_lossy(&held);
            match line.len() > KINDS[0].0.len() {
                true => out.extend(self.places.complete(&line).as_bytes()),
                false => out.extend(held),
            }
            out.push(b'\n');
            return;
        }
        self.held.push(byte);
        let fits = |kind: &str| kind.bytes().zip(&self.held).all(|(kind, held)| kind == *held);
        // What begins in the middle of such a line with this is a test harness's, and not to be touched.
        let is_text = byte != marks::BEGIN && self.held.len() < LONGEST;
        self.is_candidate = is_text && KINDS.iter().any(|(kind, _)| fits(kind));
        if !self.is_candidate {
            out.append(&mut self.held);
        }
    }
}

impl Filter for Completer<'_> {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut completed = Vec::new();
        bytes.iter().for_each(|&byte| self.byte(byte, &mut completed));
        self.next.take(&completed, out)
    }

    fn restarts_the_clock(&mut self) -> bool {
        self.next.restarts_the_clock()
    }

    fn reads_ahead(&self) -> bool {
        false
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.next.take(&std::mem::take(&mut self.held), out);
        self.next.finish(out);
        self.places.tell_untold();
    }
}

/// As much of a name as a line of a trace shows: there may be many lines, and a name may be as long as its file.
fn begin_of(name: &str) -> &str {
    &name[..name.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::request::Everything;

    #[test]
    fn a_line_shows_the_beginning_of_a_long_name() {
        let long = "\u{e9}".repeat(30 << 10);
        assert_eq!(begin_of(&long), "\u{e9}".repeat(SHOWN / 2));
        assert_eq!(begin_of("main"), "main");
    }

    #[test]
    fn what_is_no_trace_passes_unchanged_however_it_is_cut() {
        let text = b"hello\n  from nowhere\n  at   0xnothing\n\n  from 0x12\r\n  at   0";
        let places = Places::new(Path::new("/nonexistent"));
        for piece in 1..text.len() {
            let mut everything = Everything;
            let mut completer = Completer::new(&places, &mut everything);
            let mut out = Vec::new();
            for piece in text.chunks(piece) {
                assert!(!completer.take(piece, &mut out));
            }
            completer.finish(&mut out);
            assert_eq!(out.escape_ascii().to_string(), text.escape_ascii().to_string());
        }
    }

    #[test]
    fn this_very_program_is_known_by_file_and_line() {
        let places = Places::new(&env::current_exe().unwrap());
        // Addresses in the file: the program is loaded elsewhere, so one is asked of its symbols.
        let known = places.known();
        let wanted = "cargo_freestone::image::source_lines::shortened";
        let found = known.functions.iter().find(|(_, name)| name.as_str() == wanted);
        let (&address, _) = found.expect("this file's function");
        let line = places.complete(&format!("  at   0x{address:016x}"));
        assert!(line.contains(" cargo_freestone::image::source_lines::shortened+0 ("), "{line}");
        assert!(line.contains("src/image/source_lines.rs:"), "{line}");
        let named = places.complete(&format!("  at   0x{address:016x} a_name+0"));
        assert!(named.contains(" a_name+0 (") && !named.contains("shortened"), "{named}");
    }

    #[test]
    fn calls_are_told_from_other_code() {
        let yes = |_| true;
        for call in [
            &[0x90, 0xe8, 1, 2, 3, 4][..],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd3],
            &[0xff, 0x10],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x54, 0x24, 0x18],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
        ] {
            assert!(is_call_at_end(call, yes), "{call:x?}");
            assert!(!is_call_at_end(&call[..call.len() - 1], yes), "{call:x?}");
        }
        assert!(!is_call_at_end(&[0xe8, 1, 2, 3, 4], |distance| distance != 0x0403_0201));
        for other in [&[][..], &[0xff], &[0xff, 0xe0], &[0xff, 0x50], &[0x90, 0x90]] {
            assert!(!is_call_at_end(other, yes), "{other:x?}");
        }
    }

    #[test]
    fn paths_are_as_short_as_they_are_clear() {
        let here = Path::new("/some/kernel");
        assert_eq!(shortened("/some/kernel/src/main.rs", here), "src/main.rs");
        assert_eq!(
            shortened("/rustc/0123abc/library/core/src/x.rs", here),
            "library/core/src/x.rs"
        );
        assert_eq!(shortened("/else/./where.rs", here), "/else/where.rs");
    }
}
