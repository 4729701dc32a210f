//! Questions to a running QEMU by its monitor protocol (QMP), as far as reports about hung kernels need it.
//!
//! The tool and QEMU share a pair of sockets: nothing appears in the file system, and no other process can connect.
//! Every wait has a limit: a QEMU that does not answer once is not asked again.
//! Source: QEMU's documentation, "QEMU Machine Protocol Specification".

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::image::source_lines::Places;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many frames are followed.
const MOST_FRAMES: usize = 32;
/// How many words of a stack are looked at for callers, and how many of these are told.
const STACK_WORDS: usize = 512;
const MOST_GUESSES: usize = 12;

/// Our end, and QEMU's until it has it.
pub struct Monitor {
    ours: BufReader<UnixStream>,
    theirs: Option<UnixStream>,
    is_ready: bool,
    /// When it is not asked any more; `None` if each answer has its own limit.
    end: Option<Instant>,
}

impl Monitor {
    /// A monitor for the QEMU that `command` will start.
    pub fn new(command: &mut Command) -> io::Result<Monitor> {
        let (ours, theirs) = UnixStream::pair()?;
        let number = theirs.as_raw_fd();
        // SAFETY: two integers for a socket that `theirs` holds open; only the flag that closes it in
        // children is cleared.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        command.args(["-chardev", &format!("socket,id=freestone,fd={number}")]);
        command.args(["-mon", "chardev=freestone,mode=control"]);
        Ok(Monitor { ours: BufReader::new(ours), theirs: Some(theirs), is_ready: false, end: None })
    }

    fn ask(&mut self, question: &Value) -> io::Result<Value> {
        // QEMU has its own by now; while we hold it too, we would never see its end.
        self.theirs = None;
        let until = self.end.unwrap_or_else(|| Instant::now() + PATIENCE);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.ours.get_ref().set_read_timeout(Some(left))?;
        self.ours.get_ref().set_write_timeout(Some(left))?;
        writeln!(self.ours.get_mut(), "{question}")?;
        while Instant::now() < until {
            let mut line = String::new();
            if self.ours.read_line(&mut line)? == 0 {
                break;
            }
            let answer: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            // The greeting and events come unasked.
            if let Some(answer) = answer.get("return") {
                return Ok(answer.clone());
            }
            if answer.get("error").is_some() {
                return Err(io::Error::other(line));
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// What the human monitor answers.
    fn human(&mut self, line: &str) -> io::Result<String> {
        if !self.is_ready {
            self.ask(&json!({"execute": "qmp_capabilities"}))?;
            self.is_ready = true;
        }
        let arguments = json!({"command-line": line});
        let answer =
            self.ask(&json!({"execute": "human-monitor-command", "arguments": arguments}))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// Stops the machine and says where its processor stands, and who called whom; empty if it cannot
    /// be found out.
    pub fn trace(&mut self, places: &Places) -> String {
        self.try_trace(places).unwrap_or_default()
    }

    /// The same, for somebody who waits: all answers together may take so long.
    pub fn trace_within(&mut self, places: &Places, limit: Duration) -> String {
        self.end = Some(Instant::now() + limit);
        self.trace(places)
    }

    /// Lets the machine go on, with an NMI: a kernel without a handler for that ends with a report of where it is, one that
    /// has a handler may say more. `false` if no NMI reaches the processor, which is so until a kernel has turned its
    /// local APIC on.
    pub fn interrupt(&mut self) -> bool {
        self.try_interrupt().unwrap_or(false)
    }

    fn try_interrupt(&mut self) -> io::Result<bool> {
        let hears = takes_nmi(&self.human("info lapic")?);
        if hears {
            self.human("cont")?;
            self.ask(&json!({"execute": "inject-nmi"}))?;
        }
        Ok(hears)
    }

    fn try_trace(&mut self, places: &Places) -> io::Result<String> {
        self.human("stop")?;
        let registers = self.human("info registers")?;
        // A kernel that has not left the 32 bits that it began in has no frames that could be followed.
        let place = register(&registers, "RIP=").or_else(|| register(&registers, "EIP="));
        let Some(rip) = place else { return Ok(String::new()) };
        let mut frame = register(&registers, "RBP=").unwrap_or(0);
        let is_halted = registers.contains("HLT=1");
        let mut lines = vec![places.trace_line(0, rip)];
        // As in the kernel: up the stack only, and only while what is found there is code.
        for _ in 0..MOST_FRAMES {
            if frame == 0 || !frame.is_multiple_of(8) {
                break;
            }
            // What was found by then is worth telling, also if this is not told in time.
            let Ok(answer) = self.human(&format!("x /2gx {frame:#x}")) else { break };
            let words = words(&answer);
            let &[caller, address] = words.as_slice() else { break };
            if places.function(address.wrapping_sub(1)).is_none() {
                break;
            }
            lines.push(places.trace_line(1, address));
            if caller <= frame {
                break;
            }
            frame = caller;
        }
        // Code without frame pointers: what looks like a return address on the stack may be one, of now or of before.
        if lines.len() == 1
            && let Some(stack) = register(&registers, "RSP=")
        {
            let words = words(&self.human(&format!("x /{STACK_WORDS}gx {stack:#x}"))?);
            let calls = words.into_iter().filter(|&word| places.follows_call(word));
            let guesses: Vec<_> =
                calls.take(MOST_GUESSES).map(|word| places.trace_line(1, word)).collect();
            if !guesses.is_empty() {
                lines.push("called by some of these, which its stack holds".into());
                lines.extend(guesses);
            }
        }
        let what = if is_halted { "the processor was halted" } else { "the processor was" };
        Ok(format!("{what}\n{}", lines.join("\n")))
    }
}

/// The hexadecimal number behind `name`.
fn register(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    u64::from_str_radix(&rest[..end], 16).ok()
}

/// Whether the local APIC lets NMIs in by the line that the monitor's come on, LINT1, in its answer to `info lapic`.
fn takes_nmi(text: &str) -> bool {
    let line = text.lines().find(|line| line.starts_with("LVT1"));
    line.is_some_and(|line| line.contains("NMI") && !line.contains("masked"))
}

/// The numbers in the monitor's answer to `x`.
fn words(text: &str) -> Vec<u64> {
    let numbers = text.split_whitespace().filter_map(|word| word.strip_prefix("0x"));
    numbers.filter_map(|digits| u64::from_str_radix(digits, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn answers_are_read() {
        let registers = "RAX=0000000000000000 RBX=00\r\nRSI=0 RBP=000000000014afd0\r\nRIP=0000000000107936 RFL=2 HLT=1";
        assert_eq!(register(registers, "RIP="), Some(0x107936));
        assert_eq!(register(registers, "RBP="), Some(0x14afd0));
        assert_eq!(register(registers, "CR9="), None);
        let memory = "000000000014afd0: 0x000000000014aff0 0x0000000000107a7d\r\n";
        assert_eq!(words(memory), [0x14aff0, 0x107a7d]);
        assert!(words("Cannot access memory at address 0x10").len() < 2);
    }

    #[test]
    fn whether_an_nmi_comes_through_is_read() {
        let line = |rest| {
            format!(
                "dumping local APIC state\r\n\r\nLVT0\t 0x00000400 NMI\r\nLVT1\t {rest}\r\nLVTPC\t"
            )
        };
        assert!(takes_nmi(&line("0x00000400 active-hi edge                              NMI")));
        assert!(!takes_nmi(&line("0x00010400 active-hi edge  masked                      NMI")));
        assert!(!takes_nmi(&line(
            "0x00010000 active-hi edge  masked                      Fixed  (vec 0)"
        )));
        assert!(!takes_nmi(""));
    }

    #[test]
    fn a_monitor_that_says_nothing_or_ends_is_given_up() {
        let mut monitor = Monitor::new(&mut Command::new("true")).unwrap();
        // Nobody has the other end.
        assert_eq!(monitor.trace(&Places::new(Path::new("/nonexistent"))), "");
        assert!(!monitor.interrupt());
        let mut monitor = Monitor::new(&mut Command::new("true")).unwrap();
        let other = monitor.theirs.take().unwrap();
        let begin = Instant::now();
        assert_eq!(monitor.trace(&Places::new(Path::new("/nonexistent"))), "");
        assert!(begin.elapsed() < 3 * PATIENCE);
        // Who has no time does not wait at all.
        let limit = Duration::ZERO;
        assert_eq!(monitor.trace_within(&Places::new(Path::new("/nonexistent")), limit), "");
        drop(other);
    }
}
