//! Everything that the tool prints, with text from outside in it: names in files, paths, error messages of programs, quotations
//! of guests.
//!
//! No such text can move a terminal's cursor, set its title or reverse a line: control characters and their like are escaped as
//! Rust escapes them, `\u{1b}`. Text that must be one line is made one where it is put into a message ([`line()`], [`Shown`]).
//! Only the guest's console and the compiler's messages are passed on unchanged.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::StyledStr;
use freestone_inspect::names::{self, is_hidden};
use serde_json::Value;

use crate::color::{self, Colored};
use crate::status::{Failure, Status};
use crate::supervise::wait_writable;

/// Why stdout could not be written.
static UNTOLD: OnceLock<io::Error> = OnceLock::new();

/// Whether stdout was closed when the tool was started. Rust's library opens /dev/null in its place, before `main`.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Called before that.
#[cfg(target_os = "linux")]
#[used]
// SAFETY: a list of functions that the C library calls once (System V ABI, chapter 5); this one takes what it gets.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: asks about a number.
        let answer = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
        WAS_CLOSED.store(answer == -1, Ordering::Relaxed);
    }
    look
};

/// Says something to the user, on stderr; see [`say`](crate::say!). Where nobody hears it, there is nothing left to say.
pub fn say(text: fmt::Arguments) {
    let _ = write(&io::stderr(), &format!("{text}\n"));
}

/// Writes a line to stdout; see [`tell`](crate::tell!).
pub fn tell(text: fmt::Arguments) {
    put(&format!("{text}\n"));
}

/// Writes text to stdout. After an error nothing more is written, and [`all_was_told`] has the error.
pub fn put(text: &str) {
    to_stdout(|| write(&io::stdout(), text));
}

/// Writes help to stdout, with clap's colours if there are to be any: no text of others is in it.
pub fn put_help(text: &StyledStr) {
    let text = if color::in_help() { text.ansi().to_string() } else { text.to_string() };
    to_stdout(|| write_all(io::stdout().as_fd(), format!("{}\n", text.trim_end()).as_bytes()));
}

fn to_stdout(write: impl FnOnce() -> io::Result<()>) {
    let write = || match WAS_CLOSED.load(Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::EBADF)),
        false => write(),
    };
    if UNTOLD.get().is_none()
        && let Err(error) = write()
    {
        // Set by another thread, it is an error all the same.
        let _ = UNTOLD.set(error);
    }
}

/// Whether stdout took all that was written to it: whatever a verb found out, who reads that may not know it otherwise.
pub fn all_was_told() -> Result<(), Failure> {
    match UNTOLD.get() {
        None => Ok(()),
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::silent(Status::OutputClosed))
        }
        Some(error) => Err(Failure::tool(format!("stdout cannot be written: {error}"))),
    }
}

/// Writes text of lines, at once.
fn write(to: &(impl AsFd + Colored), text: &str) -> io::Result<()> {
    let text = lines(text);
    let text = if to.has_colors() { color::painted(&text) } else { text };
    write_all(to.as_fd(), text.as_bytes())
}

/// Writes it all; waits where the reader has made that an error.
fn write_all(to: BorrowedFd, mut rest: &[u8]) -> io::Result<()> {
    let mut to = File::from(to.try_clone_to_owned()?);
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => rest = &rest[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(&to),
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
