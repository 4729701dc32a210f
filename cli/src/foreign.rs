//! Text of others: names in files, paths, what programs complain about, what guests said.
//!
//! All that the tool writes goes through here, so none of it moves a terminal's cursor, sets its title or turns a line
//! around: control characters and their like are written as Rust writes them, `\u{1b}`. A text that is to be one line is
//! made one where it is put into a message ([`line()`], [`Shown`]). Only the guest's console and the compiler's
//! messages pass as they are.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use freestone_inspect::names::{self, is_hidden};
use serde_json::Value;

/// Says something to the user, on stderr; see [`say`](crate::say!).
pub fn say(text: fmt::Arguments) {
    let _ = write(&mut io::stderr(), &format!("{text}\n"));
}

/// Writes a line to stdout; see [`tell`](crate::tell!).
pub fn tell(text: fmt::Arguments) {
    let _ = write(&mut io::stdout(), &format!("{text}\n"));
}

/// Writes text of lines.
pub fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(lines(text).as_bytes())?;
    to.flush()
}

/// Text of lines as it may be shown.
pub fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    names::visible_lines(&text).into_owned()
}

/// Bytes of somebody else's as a part of a line.
pub fn line(bytes: &[u8]) -> String {
    names::text(bytes).into_owned()
}

/// One line of JSON. Its strings have `\u` and four digits for every character that is not to be shown: JSON itself asks
/// for that with some of them only.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if is_hidden(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out += &format!("\\u{unit:04x}"));
        } else {
            out.push(c);
        }
    }
    out
}

/// What messages call a file.
pub trait Shown {
    /// Its path, in one line.
    fn shown(&self) -> String;
}

impl Shown for Path {
    fn shown(&self) -> String {
        line(self.as_os_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn lines_stay_lines_and_all_else_is_escaped() {
        assert_eq!(lines("a\tb\r\nc\x1b[2J\rd\u{9b}"), "a\tb\nc\\u{1b}[2J\\rd\\u{9b}");
        assert_eq!(line(b"a\nb\x1b\xff"), "a\\nb\\u{1b}\\xff");
        assert_eq!(Path::new(OsStr::from_bytes(b"/k\n\xfe")).shown(), "/k\\n\\xfe");
    }

    #[test]
    fn json_stays_json() {
        let value =
            serde_json::json!({ "a\u{202e}\x1b": "\n\u{7f}\u{e0001}\u{9b}gr\u{f6}\u{df}e" });
        let text = json(&value);
        assert!(!text.contains(is_hidden), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
