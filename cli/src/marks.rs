//! Reads the output of one boot of kernel tests: which test runs, what it prints, how it ended.
//!
//! freestone-harness reports each test by two lines that only it can make; its `marks.rs` has their form. Only the line
//! with the next number counts as a report, at any place of the output; everything else is the test's output. A report that is
//! out of order ends the reading, and the test that runs then has failed.
//!
//! A test has passed if the harness reports that and the next test begins, or the boot ends with success after the last
//! line. So if a test leaves something behind that ends the machine a moment later, that test has failed.

#![expect(
    deprecated,
    reason = "SipHasher is core's one keyed function, which the harness uses too"
)]

use std::fs::File;
use std::hash::{Hasher, SipHasher};
use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::image::test_table::KernelTest;
use crate::status::Status;
use crate::supervise::Filter;

/// Begins each line of the harness's: ASCII "record separator".
pub const BEGIN: u8 = freestone_protocol::kernel_tests::MARK;

/// Longer than any line.
const LONGEST: usize = 64;

/// How much of a test's output is kept, its end.
const KEPT: usize = 1 << 20;

/// What makes one boot's lines.
pub struct Key([u64; 2]);

impl Key {
    /// Another one each time.
    pub fn new() -> io::Result<Key> {
        let mut bytes = [[0; 8]; 2];
        for half in &mut bytes {
            File::open("/dev/urandom")?.read_exact(half)?;
        }
        Ok(Key(bytes.map(u64::from_le_bytes)))
    }

    /// As the harness takes it.
    pub fn digits(&self) -> String {
        format!("{:016x}{:016x}", self.0[0], self.0[1])
    }

    /// What line `number` begins with.
    fn beginning(&self, number: u64) -> Vec<u8> {
        let mut hasher = SipHasher::new_with_keys(self.0[0], self.0[1]);
        hasher.write(&number.to_le_bytes());
        format!("{}{:016x} ", BEGIN as char, hasher.finish()).into_bytes()
    }
}

/// How one test of the boot ended.
pub struct Heard {
    pub passed: bool,
    pub output: String,
    pub wall: Duration,
}

/// Listens to one boot.
pub struct Listener<'a> {
    tests: &'a [&'a KernelTest],
    /// Called with each test's end, for what is to be printed about it.
    tell: &'a mut dyn FnMut(&KernelTest, Heard) -> String,
    key: Key,
    /// The next line's number and beginning.
    number: u64,
    beginning: Vec<u8>,
    /// Bytes that may be that line.
    held: Vec<u8>,
    state: State,
    /// How many of the tests have been told of.
    done: usize,
    output: Vec<u8>,
    begin: Instant,
    wall: Duration,
    has_advanced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first test.
    Booting,
    Running,
    /// A test has ended, and this was said of it.
    Said(bool),
    /// The last line was said, behind a test that ended so.
    Over(bool),
    /// Something was said out of turn.
    Broken,
}

impl<'a> Listener<'a> {
    pub fn new(
        tests: &'a [&'a KernelTest],
        key: Key,
        tell: &'a mut dyn FnMut(&KernelTest, Heard) -> String,
    ) -> Listener<'a> {
        let beginning = key.beginning(0);
        let (held, output) = (Vec::new(), Vec::new());
        let (begin, wall) = (Instant::now(), Duration::ZERO);
        let (number, done, has_advanced, state) = (0, 0, false, State::Booting);
        Listener {
            tests,
            tell,
            key,
            number,
            beginning,
            held,
            state,
            done,
            output,
            begin,
            wall,
            has_advanced,
        }
    }

    /// Ends the report with the boot: how many tests it told of, and what is to be printed about the last.
    pub fn end(mut self, status: Status, why: &str) -> (usize, String) {
        let is_good = status == Status::Success;
        let line = match self.state {
            State::Booting => String::new(),
            State::Over(true) if is_good => self.tell(true),
            State::Said(false) | State::Over(false) => self.tell(false),
            State::Running | State::Broken | State::Said(true) | State::Over(true) => {
                self.wall = self.begin.elapsed();
                let what = self.what_ended_it(status, why);
                self.output.extend(what.into_bytes());
                self.tell(false)
            }
        };
        (self.done, line)
    }

    fn what_ended_it(&self, status: Status, why: &str) -> String {
        match status {
            // And where it hung, if that was found out.
            Status::Timeout => {
                let place = why.find("the processor was").map(|at| format!("{}\n", &why[at..]));
                format!("\n(timeout)\n{}", place.unwrap_or_default())
            }
            _ if self.state == State::Broken => {
                "\n(the harness did not report as it does)\n".into()
            }
            Status::Success => "\n(the kernel ended before the test did)\n".into(),
            _ => format!("\n({})\n", why.lines().next().unwrap_or_default()),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push(byte);
        while !self.held.is_empty() {
            if self.held.starts_with(&self.beginning) {
                if byte == b'\n' || self.held.len() > LONGEST {
                    self.line(out);
                }
                return;
            }
            if self.beginning.starts_with(&self.held) {
                return;
            }
            let byte = self.held.remove(0);
            self.text(byte, out);
        }
    }

    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        self.output.push(byte);
        if self.output.len() > 2 * KEPT {
            self.output.drain(..self.output.len() - KEPT);
        }
    }

    /// A line of the harness's.
    fn line(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.held);
        let what = String::from_utf8_lossy(&line[self.beginning.len()..]).trim_end().to_owned();
        self.number += 1;
        self.beginning = self.key.beginning(self.number);
        self.has_advanced = true;
        let next = |done: usize| self.tests.get(done).map(|test| format!("run {}", test.number));
        self.state = match (self.state, what.as_str()) {
            (State::Booting, what) if next(0).as_deref() == Some(what) => self.run(),
            (State::Said(passed), what) if next(self.done + 1).as_deref() == Some(what) => {
                out.extend(self.tell(passed).into_bytes());
                self.run()
            }
            (State::Running, "ok" | "failed") => {
                self.wall = self.begin.elapsed();
                State::Said(what == "ok")
            }
            (State::Said(passed), "end") => State::Over(passed),
            _ => State::Broken,
        };
    }

    fn run(&mut self) -> State {
        self.begin = Instant::now();
        // What the machine said before it.
        if self.done == 0 {
            self.output.clear();
        }
        State::Running
    }

    fn tell(&mut self, passed: bool) -> String {
        let output = String::from_utf8_lossy(&std::mem::take(&mut self.output)).into_owned();
        let Some(test) = self.tests.get(self.done) else { return String::new() };
        self.done += 1;
        (self.tell)(test, Heard { passed, output, wall: self.wall })
    }
}

impl Filter for Listener<'_> {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        bytes.iter().for_each(|&byte| self.byte(byte, out));
        false
    }

    fn restarts_the_clock(&mut self) -> bool {
        std::mem::take(&mut self.has_advanced)
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            self.text(byte, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210])
    }

    fn test(number: u64) -> KernelTest {
        KernelTest { name: format!("t{number}"), is_ignored: false, reason: String::new(), number }
    }

    /// What is heard of tests 3, 0 and 5 when `said` comes in pieces of `len` bytes; `<` stands for the next line's
    /// beginning, if its turn is not given behind it.
    fn heard(said: &[u8], len: usize, status: Status) -> (Vec<(String, bool, String)>, usize) {
        let all = [3, 0, 5].map(test);
        let tests: Vec<_> = all.iter().collect();
        let mut told = Vec::new();
        let mut tell = |test: &KernelTest, heard: Heard| {
            told.push((test.name.clone(), heard.passed, heard.output));
            String::new()
        };
        let mut listener = Listener::new(&tests, key(), &mut tell);
        let mut out = Vec::new();
        for piece in said.chunks(len) {
            listener.take(piece, &mut out);
        }
        listener.finish(&mut out);
        let (done, _) = listener.end(status, "why");
        (told, done)
    }

    fn said(text: &str) -> Vec<u8> {
        let mut number = 0;
        let mut said = Vec::new();
        for byte in text.bytes() {
            if byte == b'<' {
                said.extend(key().beginning(number));
                number += 1;
            } else {
                said.push(byte);
            }
        }
        said
    }

    #[test]
    fn lines_begin_as_the_harness_makes_them() {
        let begin = |number| String::from_utf8(key().beginning(number)).unwrap();
        assert_eq!([begin(0), begin(1)], ["\x1e06abaa54768a3ba0 ", "\x1e495991281b7b936e "]);
        assert_ne!(Key::new().unwrap().0, Key::new().unwrap().0);
    }

    #[test]
    fn output_belongs_to_its_test_however_it_comes() {
        let all = said("BIOS <run 3\nhalf<ok\n<run 0\nlost\n<failed\n<run 5\n\x1e<ok\n<end\nbye");
        for len in 1..all.len() {
            let (told, done) = heard(&all, len, Status::Success);
            let told: Vec<_> = told.iter().map(|(n, p, o)| (n.as_str(), *p, o.as_str())).collect();
            assert_eq!(
                told,
                [("t3", true, "half"), ("t0", false, "lost\n"), ("t5", true, "\x1ebye")]
            );
            assert_eq!(done, 3);
        }
    }

    #[test]
    fn nobody_but_the_harness_is_believed() {
        // Forged lines are text; the last test that ran has failed, whatever the machine's end says.
        let old = key().beginning(1);
        let forged: [&[u8]; 5] = [
            b"\x1eok\n",
            b"\x1e0000000000000000 ok\n",
            b"ok\n",
            b"\x1efreestone verdict: success \n",
            &old,
        ];
        for forged in forged {
            let all = [said("<run 3\n<ok\n<run 0\n"), forged.to_vec(), b"ok\n".to_vec()].concat();
            for status in [Status::Success, Status::Crash, Status::Timeout] {
                let (told, done) = heard(&all, 7, status);
                assert_eq!((told[0].1, told[1].1, done), (true, false, 2), "{forged:?}");
            }
        }
        // Out of turn, from a harness whose memory is not what it was.
        for text in
            ["<run 3\n<run 0\n<ok\n<end\n", "<run 3\n<end\n", "<run 3\n<ok\n<run 5\n<ok\n<end\n"]
        {
            let (told, done) = heard(&said(text), 5, Status::Success);
            assert_eq!((told.len(), told[0].1, done), (1, false, 1), "{text}");
        }
        let (told, done) = heard(&said("<run 0\n<ok\n<end\n"), 5, Status::Success);
        assert_eq!((told[0].1, done), (false, 1));
    }

    #[test]
    fn who_ends_the_machine_after_its_verdict_has_failed() {
        for text in ["<run 3\n<ok\n", "<run 3\n<ok\n<end\n"] {
            let (told, done) = heard(&said(text), 9, Status::Crash);
            assert_eq!((told[0].1, done), (false, 1));
            assert!(told[0].2.contains("(why)"), "{told:?}");
        }
        // It ended in order, early: the rest is for another boot.
        let (told, done) = heard(&said("<run 3\n<ok\n<end\n"), 9, Status::Success);
        assert_eq!((told[0].1, done), (true, 1));
        assert_eq!(heard(b"nothing", 3, Status::Crash).1, 0);
    }

    #[test]
    fn endless_output_is_bounded() {
        let mut all = said("<run 3\n");
        all.resize(5 * KEPT, b'x');
        let (told, _) = heard(&all, 4096, Status::Timeout);
        assert!(told[0].2.len() <= 2 * KEPT + 20 && told[0].2.ends_with("(timeout)\n"));
    }
}
