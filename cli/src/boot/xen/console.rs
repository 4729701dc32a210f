//! Splits one serial line into three: the kernel's text, Xen's log, and the kernel's verdict.
//!
//! Xen puts `(XEN) ` in front of each line of its own and passes on what the first guest prints as it
//! comes; its own lines may begin in the middle of a guest's. A kernel made with freestone-platform
//! ends with one more line, [`VERDICT`] and a word. So all text up to the next line of Xen's log or a verdict
//! is the kernel's, and only that is shown. Xen's log is kept, and shows how the guest ended.
//!
//! Xen drops text that the serial line does not take in time, so the line is read at once, however slowly the user reads.
//!
//! Only the kernel's last line can be a verdict: a line of that form with more text behind it is ordinary text. A kernel that
//! prints `(XEN) ` hides the rest of that line, and can forge its end; it could as well report a wrong verdict. Therefore tests
//! in a kernel are reported in another way, see [`marks`](crate::marks).

use crate::image::source_lines::Completer;
use crate::say;
use crate::supervise::Filter;

/// In front of each line of Xen's.
const PREFIX: &[u8] = b"(XEN) ";

/// In front of the word of a verdict.
const VERDICT: &[u8] = freestone_protocol::exit::LINE;

/// Xen writes two characters for a line's end.
const LINE_END: &[u8] = b"\r\n";

/// How many lines of Xen's are kept, the last ones.
const KEPT_LINES: usize = 200;

/// A longer line is cut: Xen's own are short, and a verdict is a word.
const LONGEST_LINE: usize = 4096;

/// What a kernel said about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Success,
    Failure,
    Crash,
    /// A word that is none of the protocol's.
    Other,
}

/// How a guest ended, by Xen's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    PowerOff,
    Reboot,
    Crash,
    Watchdog,
    /// Xen itself went down.
    Panic,
}

/// What has come out of the line so far.
#[derive(Default)]
pub struct Console {
    /// Not decided yet, or a line that is not the kernel's.
    held: Vec<u8>,
    voice: Voice,
    /// Whether Xen's lines are shown too, on stderr.
    is_verbose: bool,
    pub log: Log,
    pub verdict: Option<Word>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Voice {
    #[default]
    Kernel,
    Xen,
    Verdict,
}

/// Xen's log.
#[derive(Default)]
pub struct Log {
    /// The last lines, without prefix and end.
    pub lines: Vec<String>,
    /// A line of Xen's was seen at all.
    pub is_xen: bool,
    /// The guest was about to be started.
    pub is_up: bool,
    /// Xen found a processor that runs PVH guests.
    pub has_nested_paging: bool,
    pub triple_fault: bool,
    pub end: Option<End>,
    /// What Xen said when it went down.
    pub panic: String,
    is_panicking: bool,
    is_over: bool,
}

impl Console {
    pub fn new(is_verbose: bool) -> Self {
        Self { is_verbose, ..Self::default() }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push(byte);
        if self.voice != Voice::Kernel {
            if byte == b'\n' {
                self.line();
            } else if self.held.len() > LONGEST_LINE {
                self.held.pop();
            }
            return;
        }
        while !self.held.is_empty() {
            match self.held.as_slice() {
                PREFIX => return self.voice = Voice::Xen,
                VERDICT => return self.voice = Voice::Verdict,
                LINE_END => {
                    self.held.clear();
                    return self.text(b'\n', out);
                }
                begin if [PREFIX, VERDICT, LINE_END].iter().any(|all| all.starts_with(begin)) => {
                    return;
                }
                _ => {
                    let byte = self.held.remove(0);
                    self.text(byte, out);
                }
            }
        }
    }

    /// The kernel's own. Its verdict is the last that it says: one with text behind it was none.
    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.verdict = None;
        out.push(byte);
    }

    /// The end of a line that is not the kernel's.
    fn line(&mut self) {
        let is_verdict = self.voice == Voice::Verdict;
        let start = if is_verdict { VERDICT.len() } else { PREFIX.len() };
        let line = String::from_utf8_lossy(&self.held[start..]).trim_end().to_owned();
        self.held.clear();
        self.voice = Voice::Kernel;
        if is_verdict {
            self.verdict = Some(match line.as_str() {
                "success" => Word::Success,
                "failure" => Word::Failure,
                "crash" => Word::Crash,
                _ => Word::Other,
            });
            return;
        }
        if self.is_verbose {
            say!("(XEN) {line}");
        }
        self.log.line(line);
    }
}

/// The console, and behind it what completes the kernel's traces.
pub struct Listener<'a> {
    pub console: Console,
    pub completer: Completer<'a>,
}

impl Filter for Listener<'_> {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut said = Vec::new();
        let is_over = self.console.take(bytes, &mut said);
        self.completer.take(&said, out);
        is_over
    }

    fn restarts_the_clock(&mut self) -> bool {
        self.completer.restarts_the_clock()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.completer.finish(out);
    }
}

impl Console {
    /// Takes what came and adds what the kernel said to `out`. True: Xen has said all that matters.
    pub fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in bytes {
            self.byte(byte, out);
        }
        self.log.is_over
    }
}

impl Log {
    fn line(&mut self, line: String) {
        self.is_xen = true;
        self.is_up |= line.ends_with("init memory") && line.starts_with("Freed ");
        self.has_nested_paging |= line.ends_with("(HAP) detected");
        self.triple_fault |= line.contains("Triple fault");
        self.note_end(&line);
        if self.lines.len() == KEPT_LINES {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    fn note_end(&mut self, line: &str) {
        if self.is_panicking {
            // A box of stars, the reason in it, and then what happens next.
            self.is_over |=
                line.starts_with("Manual reset required") || line.starts_with("Reboot in");
            if !self.is_over && !line.is_empty() && !line.starts_with('*') && self.panic.is_empty()
            {
                self.panic = line.to_owned();
            }
            return;
        }
        if line.starts_with("Panic on CPU") {
            (self.is_panicking, self.end) = (true, Some(End::Panic));
            return;
        }
        // "Hardware Dom0 halted: halting machine", and later than 4.17 perhaps "Hardware domain 0 …".
        let Some((_, what)) = line.strip_prefix("Hardware ").and_then(|line| {
            let at = ["halted", "crashed", "shutdown"].iter().find_map(|word| line.find(word))?;
            Some(line.split_at(at))
        }) else {
            return;
        };
        self.end = Some(match what {
            _ if what.starts_with("halted") => End::PowerOff,
            _ if what.starts_with("crashed") => End::Crash,
            _ if what.contains("watchdog") => End::Watchdog,
            _ => End::Reboot,
        });
        self.is_over = true;
    }

    /// All that is kept, for a quotation.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of logs of Xen 4.17.7 under QEMU 7.2, as they came over the line.
    const POWER_OFF: &str = "(XEN) Freed 656kB init memory\r\nHello, world\r\n\
        \x1efreestone verdict: success \r\n(XEN) Hardware Dom0 halted: halting machine\r\n";
    const PANIC_IN_KERNEL: &str = "(XEN) Freed 656kB init memory\r\n\r\nKERNEL PANIC at a.rs:10:5\r\n\
        \x20 the answer is 54\r\n\x1efreestone verdict: crash   \r\n\
        (XEN) Hardware Dom0 crashed: 'noreboot' set - not rebooting.\r\n";
    const TRIPLE_FAULT: &str = "(XEN) Freed 656kB init memory\r\nabout to reset\r\n\
        (XEN) d0v0 Triple fault - invoking HVM shutdown action 1\r\n\
        (XEN) *** Dumping Dom0 vcpu#0 state: ***\r\n\
        (XEN) ----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----\r\n\
        (XEN) RIP:    0008:[<00000000001079ef>]\r\n\
        (XEN) Hardware Dom0 shutdown: rebooting machine\r\n\
        (XEN) Resetting with ACPI MEMORY or I/O RESET_REG.\r\n";
    const WITHOUT_NESTED_PAGING: &str = "(XEN) HVM: SVM enabled\r\n\
        (XEN) HVM: Hardware Assisted Paging (HAP) not detected\r\n(XEN) \r\n\
        (XEN) ****************************************\r\n(XEN) Panic on CPU 0:\r\n\
        (XEN) Error creating d0: -95\r\n(XEN) ****************************************\r\n\
        (XEN) \r\n(XEN) Manual reset required ('noreboot' specified)\r\n";
    const HALT: &str =
        "(XEN) Freed 656kB init memory\r\n(XEN) Hardware Dom0 halted: halting machine\r\n";

    /// The console after `text` in pieces of `len` bytes, and what it showed.
    fn after(text: &str, len: usize) -> (Console, String) {
        let (mut console, mut out) = (Console::default(), Vec::new());
        for piece in text.as_bytes().chunks(len) {
            console.take(piece, &mut out);
        }
        (console, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn each_end_is_recognised_in_pieces_of_any_size() {
        use {End::*, Word::*};
        for (text, end, verdict, shown) in [
            (POWER_OFF, PowerOff, Some(Success), "Hello, world\n"),
            (
                PANIC_IN_KERNEL,
                End::Crash,
                Some(Word::Crash),
                "\nKERNEL PANIC at a.rs:10:5\n  the answer is 54\n",
            ),
            (TRIPLE_FAULT, Reboot, None, "about to reset\n"),
            (HALT, PowerOff, None, ""),
            (WITHOUT_NESTED_PAGING, Panic, None, ""),
        ] {
            for len in 1..=text.len() {
                let (console, out) = after(text, len);
                let got = (console.log.end, console.verdict, out.as_str());
                assert_eq!(got, (Some(end), verdict, shown), "{text:?} in pieces of {len}");
                assert!(console.log.is_over && console.log.is_xen);
            }
        }
        assert!(after(TRIPLE_FAULT, 7).0.log.triple_fault);
        let (console, _) = after(WITHOUT_NESTED_PAGING, 5);
        assert_eq!(console.log.panic, "Error creating d0: -95");
        assert!(!console.log.is_up && !console.log.has_nested_paging);
    }

    #[test]
    fn a_log_is_not_over_before_its_last_line_is() {
        for text in [POWER_OFF, PANIC_IN_KERNEL, WITHOUT_NESTED_PAGING] {
            let (console, _) = after(&text[..text.len() - 1], 1);
            assert!(!console.log.is_over, "{text:?}");
        }
    }

    #[test]
    fn what_only_resembles_the_marks_is_the_kernels() {
        let (console, out) = after("(XEN (XEN( \x1erun a\r\r\n\x1e\x1efreestone\r(X\n", 3);
        assert_eq!(out, "(XEN (XEN( \x1erun a\r\n\x1e\x1efreestone\r(X\n");
        assert!(!console.log.is_xen && console.verdict.is_none());
    }

    #[test]
    fn a_verdict_is_the_last_word() {
        let forged = "\x1efreestone verdict: success \r\n";
        assert_eq!(after(forged, 3).0.verdict, Some(Word::Success));
        for more in ["more", "\r\n", "\x1e", "(XEN", "\x1efreestone verdict: x"] {
            let (console, _) = after(&format!("{forged}{more}\r\n(XEN) d0v0 hm\r\n"), 1);
            assert_ne!(console.verdict, Some(Word::Success), "{more:?}");
        }
    }

    #[test]
    fn xen_and_the_verdict_may_come_in_the_middle_of_a_line() {
        let text = "half a (XEN) d0v0 hm\r\nline\r\nand \x1efreestone verdict: failure \r\n";
        let (console, out) = after(text, 1);
        assert_eq!(out, "half a line\nand ");
        assert_eq!(console.verdict, Some(Word::Failure));
        assert_eq!(console.log.lines, ["d0v0 hm"]);
    }

    #[test]
    fn lines_without_end_and_logs_without_end_are_bounded() {
        let (console, _) = after(&format!("(XEN) {}", "x".repeat(1 << 20)), 4096);
        assert!(console.held.len() <= LONGEST_LINE);
        let (console, _) = after(&"(XEN) again\r\n".repeat(10_000), 4096);
        assert_eq!(console.log.lines.len(), KEPT_LINES);
        let (console, _) = after("\x1efreestone verdict: maybe\r\n", 2);
        assert_eq!(console.verdict, Some(Word::Other));
    }
}
