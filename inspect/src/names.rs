//! Names: demangling, the crate that a name belongs to, and escaping for output.
//!
//! A name in a file can be any bytes, and a mangled name can stand for a text of any length. The names that this module returns
//! cannot move a terminal's cursor or reverse its text, and are at most [`EXPANSION`] times as long as in the file.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use rustc_demangle::try_demangle;

use crate::mangled;

/// A mangled name that would become longer than this many times itself stays mangled: names refer back to
/// parts of themselves, and a hundred bytes can stand for a megabyte. Names that compilers make grow to a
/// few times their length at most.
pub const EXPANSION: usize = 16;

/// A mangled name also stays mangled if it takes more reading than this many times its length: a part may be referred to
/// that takes much reading and says little.
const READING: u64 = 16;

/// How many bytes of a name a message shows.
pub const SHOWN: usize = 1024;

/// A name's bytes as text: what is not UTF-8, and what [`visible`] hides, is escaped.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return visible(text);
    }
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&visible(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

/// Text of somebody else's as it can be shown in one line: control characters, and characters that change the
/// order of others or cannot be seen, are written as Rust writes them, `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The same for text of several lines: their ends stay, and tabulators.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_hidden(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a character does something else than to stand where it is: Unicode's general categories Cc, Cf, Zl
/// and Zp, as far as they are in use.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A Rust name as people write it, without the hash at its end; any other name as it is.
pub fn demangled(name: &str) -> Cow<'_, str> {
    match within(name, name.len().saturating_mul(EXPANSION)) {
        Some((text, true)) => text,
        _ => visible(name),
    }
}

/// The same, cut to [`SHOWN`] bytes.
pub fn shown(name: &str) -> String {
    let (text, is_whole) = within(name, SHOWN).unwrap_or_else(|| {
        let end = name.floor_char_boundary(SHOWN);
        (visible(&name[..end]), end == name.len())
    });
    if is_whole { text.into_owned() } else { format!("{text}…") }
}

/// As much of a Rust name's text as this many bytes hold, and whether that is all of it; `None` for other
/// names.
fn within(name: &str, limit: usize) -> Option<(Cow<'_, str>, bool)> {
    /// Refuses what does not fit, which ends the writing.
    struct Bounded {
        text: String,
        left: usize,
    }
    impl fmt::Write for Bounded {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            let end = piece.floor_char_boundary(self.left);
            self.text.push_str(&piece[..end]);
            self.left = if end == piece.len() { self.left.saturating_sub(end) } else { 0 };
            if end == piece.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    // A local clone made by LLVM or GCC: `name.llvm.123`, `name.cold`.
    let rust = try_demangle(name).ok()?;
    if name.contains('B') && !is_cheap(name, limit) {
        return None;
    }
    let mut out = Bounded { text: String::new(), left: limit };
    let is_whole = write!(out, "{rust:#}").is_ok();
    Some((Cow::Owned(visible(&out.text).into_owned()), is_whole))
}

/// Whether a name with references, or so much of its text, is read in proportion to its length. (The older mangling has
/// no references.)
fn is_cheap(name: &str, limit: usize) -> bool {
    let is_new = ["_R", "__R", "R"].iter().any(|start| name.starts_with(start));
    let most = (name.len() as u64).saturating_mul(READING);
    !is_new
        || mangled::reading(name).is_some_and(|reading| {
            reading.bytes <= most || (limit <= SHOWN && !reading.says_little)
        })
}

/// The crate that a mangled Rust name belongs to; `None` for C names. For an `impl` block the name
/// tells the type and the trait: the type's crate is taken, or the trait's if the type is built in.
pub fn crate_of_symbol(name: &str) -> Option<String> {
    let (path, _) = within(name, SHOWN)?;
    crate_of_path(&path).map(str::to_owned)
}

fn crate_of_path(path: &str) -> Option<&str> {
    let path = path.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
    let path = ["mut ", "const ", "dyn "]
        .iter()
        .fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    if rest.starts_with("::") && !first.is_empty() {
        return Some(first);
    }
    // A built-in type: `<u32 as core::fmt::Display>::fmt`.
    crate_of_path(path.split_once(" as ")?.1)
}

/// The crate in the name of a member that rustc made: `NAME-HASH.NAME.HASH-cgu.0.rcgu.o`.
pub fn crate_of_member(member: &str) -> Option<&str> {
    let stem = member.strip_suffix(".o")?.split('.').next()?;
    member.contains("cgu").then(|| stem.rsplit_once('-').map_or(stem, |(name, _)| name))
}

/// The crate in the name of a library: `libNAME-HASH.rlib`, `libNAME.rlib`.
pub fn crate_of_file(path: &str) -> Option<&str> {
    let file = path.rsplit(['/', '\\']).next()?;
    let stem = file.strip_suffix(".rlib")?.strip_prefix("lib")?;
    Some(stem.rsplit_once('-').map_or(stem, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manglings_lose_their_hashes() {
        let legacy = "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE";
        assert_eq!(demangled(legacy), "core::fmt::Formatter::pad");
        assert_eq!(demangled("_RNvCskwGfYPst2Cb_3foo4main"), "foo::main");
        assert_eq!(demangled("memcpy"), "memcpy");
    }

    #[test]
    fn what_moves_the_cursor_or_turns_text_around_is_escaped() {
        assert_eq!(text(b"plain_name"), "plain_name");
        assert_eq!(text(b"\x1b[2J\x07\n\xff\xfe"), "\\u{1b}[2J\\u{7}\\n\\xff\\xfe");
        assert_eq!(
            visible("gr\u{f6}\u{df}e \u{202e}\u{9b}31m\u{2066}"),
            "gr\u{f6}\u{df}e \\u{202e}\\u{9b}31m\\u{2066}"
        );
        assert_eq!(visible_lines("a\tb\nc\r"), "a\tb\nc\\r");
        // Legacy names spell such characters out.
        assert_eq!(demangled("_ZN3foo9a$u202e$b17h0123456789abcdefE"), "foo::a\\u{202e}b");
    }

    /// A tuple of tuples of tuples: each refers back to the one in it, twice.
    fn bomb(depth: usize) -> String {
        let mut name = String::from("_RIC1aTlE");
        let mut last = name.len() - 2 - "TlE".len();
        for _ in 0..depth {
            // Offsets are counted from behind `_R`, in base 62, less one.
            let digits = base62(last as u64 - 1);
            let at = name.len() - 2;
            name.push_str(&format!("TB{digits}B{digits}E"));
            last = at;
        }
        name + "E"
    }

    fn base62(mut number: u64) -> String {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut out = vec![b'_'];
        loop {
            out.push(DIGITS[(number % 62) as usize]);
            number /= 62;
            if number == 0 {
                break;
            }
        }
        out.reverse();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_that_grows_without_bound_stays_mangled() {
        let small = bomb(2);
        assert!(demangled(&small).starts_with("a::<("), "{}", demangled(&small));
        let large = bomb(30);
        assert!(
            large.len() < 400 && format!("{:#}", try_demangle(&large).unwrap()).len() > 900_000
        );
        assert_eq!(demangled(&large), large);
        assert!(shown(&large).len() <= SHOWN + 3 && shown(&large).ends_with('…'));
        assert_eq!(crate_of_symbol(&large).as_deref(), Some("a"));
        let long = "x".repeat(SHOWN + 1);
        assert_eq!(shown(&long), format!("{}…", &long[..SHOWN]));
    }

    #[test]
    fn the_crate_is_the_first_word_of_the_path() {
        for (name, expected) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", Some("core")),
            (
                "_ZN50_$LT$$RF$mut$u20$W$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE",
                Some("core"),
            ),
            (
                "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
                Some("alloc"),
            ),
            (
                "_ZN4core3fmt3num3imp52_$LT$impl$u20$core..fmt..Display$u20$for$u20$u32$GT$3fmt17h0123456789abcdefE",
                Some("core"),
            ),
            ("_RNvCskwGfYPst2Cb_3foo4main", Some("foo")),
            ("memcpy", None),
            ("", None),
        ] {
            assert_eq!(crate_of_symbol(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn files_and_members_name_their_crate() {
        assert_eq!(crate_of_file("/lib/libcore-0123.rlib"), Some("core"));
        assert_eq!(crate_of_file("libfreestone_mem.rlib"), Some("freestone_mem"));
        assert_eq!(crate_of_file("/lib/libgcc.a"), None);
        assert_eq!(crate_of_member("core-0123.core.4567-cgu.0.rcgu.o"), Some("core"));
        assert_eq!(crate_of_member("_muldi3.o"), None);
    }
}
