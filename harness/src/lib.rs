//! Tests that run inside a kernel, on stable Rust.
//!
//! A test file is a small kernel: [`harness!`] defines the boot code and a `main` that runs tests,
//! [`tests!`] takes ordinary functions and registers them. `cargo freestone test` builds it with the
//! flags it needs, boots it, and prints what libtest would print.
//!
//! ```no_run
//! // In a kernel's tests/in_kernel.rs also: #![no_std] #![no_main] and freestone_harness::harness!();
//! freestone_harness::tests! {
//!     fn two_and_two_are_four() {
//!         assert_eq!(2 + 2, 4);
//!     }
//!
//!     #[should_panic(expected = "out of bounds")]
//!     fn an_index_is_checked() {
//!         let empty: &[u8] = &[];
//!         let _ = empty[core::hint::black_box(3)];
//!     }
//!
//!     #[ignore]
//!     fn takes_an_hour() {}
//!
//!     fn may_return_a_result() -> Result<(), core::num::ParseIntError> {
//!         "42".parse::<u8>().map(|_| ())
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! In the manifest the file is a test that plain `cargo test`, which builds for the host, leaves alone:
//!
//! ```toml
//! [dev-dependencies]
//! freestone-harness = "0.1"
//!
//! [[test]]
//! name = "in_kernel"
//! harness = false
//! test = false
//! ```
//!
//! # How tests are found and run
//!
//! Each test is a [`Test`] in the link section `freestone_tests`; the linker script keeps them all and
//! marks both ends. The tool reads that table from the ELF file, so listing the tests boots nothing. The kernel's
//! command line selects the tests:
//!
//! - `test=NAME` runs one test by hand; the test's verdict is the kernel's.
//! - `tests=4,0,7`, followed by the byte 0x1f and a key, is what the tool passes: the kernel runs these tests in this
//!   order and reports each by two lines. The key is not part of the command line; only the harness can read it, once.
//!
//! # A test cannot report its own success
//!
//! The tool believes only lines of the harness. Each begins with a word computed from the key and the line's number (see
//! `marks.rs`). Every boot has another key, safe code of a test cannot read it, and no line helps to make the next one. If a
//! boot ends before its last line, in whatever way, the test that ran has failed.
//!
//! # A test does not disturb the next one
//!
//! After a test that leaves something which cannot be undone, the harness ends the boot, and the tool boots again for
//! the remaining tests. That is the case after a panic, which abandons a stack and the locks held on it; after any other
//! failure; and if handlers, timers or consoles are still registered, or interrupts are still on. Statics and the heap are
//! shared by the tests of one boot.

#![no_std]

#[cfg(test)]
extern crate std;

use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use freestone::rt::{console, panic};
use freestone::{BootInfo, Exit, exit, interrupts, println};

#[doc(hidden)]
pub use freestone;

mod marks;
mod register;

/// Whether a test must panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Panics {
    /// It must not.
    No = 0,
    /// It must, with a message that contains [`Test::expected`].
    Yes = 1,
}

/// One registered test. The tool reads these fields out of the ELF file: the order is fixed.
#[repr(C)]
pub struct Test {
    name: *const u8,
    name_len: usize,
    expected: *const u8,
    expected_len: usize,
    reason: *const u8,
    reason_len: usize,
    run: fn() -> Result<(), Failed>,
    panics: Panics,
    ignored: bool,
}

/// As the tool reads it.
const _: () = {
    use freestone_protocol::kernel_tests;
    assert!(size_of::<Test>() == kernel_tests::RECORD_BYTES);
    assert!(core::mem::offset_of!(Test, name) == kernel_tests::NAME);
    assert!(core::mem::offset_of!(Test, reason) == kernel_tests::REASON);
    assert!(core::mem::offset_of!(Test, ignored) == kernel_tests::IGNORED);
};

// SAFETY: a `Test` is never changed, and its pointers are to string literals.
unsafe impl Sync for Test {}

impl Test {
    /// What [`tests!`] makes of a function.
    pub const fn new(
        name: &'static str,
        run: fn() -> Result<(), Failed>,
        panics: Panics,
        expected: &'static str,
        ignored: bool,
        reason: &'static str,
    ) -> Test {
        Test {
            name: name.as_ptr(),
            name_len: name.len(),
            expected: expected.as_ptr(),
            expected_len: expected.len(),
            reason: reason.as_ptr(),
            reason_len: reason.len(),
            run,
            panics,
            ignored,
        }
    }

    /// The path of the function, without the name of the crate.
    pub fn name(&self) -> &'static str {
        // SAFETY: both fields come from one `&'static str`, in `new`.
        unsafe {
            core::str::from_utf8_unchecked(core::slice::from_raw_parts(self.name, self.name_len))
        }
    }

    /// What the message of the panic must contain.
    pub fn expected(&self) -> &'static str {
        let (start, len) = (self.expected, self.expected_len);
        // SAFETY: as in `name`.
        unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(start, len)) }
    }
}

/// `a::b` of `crate::a::b`: what libtest shows.
#[doc(hidden)]
pub const fn without_crate(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        if bytes[at] == b':' && bytes[at + 1] == b':' {
            return path.split_at(at + 2).1;
        }
        at += 1;
    }
    path
}

/// The tests between two addresses.
///
/// # Safety
///
/// - `start` and `end` enclose an array of [`Test`] that lives for ever.
#[doc(hidden)]
pub unsafe fn between(start: *const Test, end: *const Test) -> &'static [Test] {
    let count = (end.addr() - start.addr()) / size_of::<Test>();
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// A test returned an error, which has been printed.
#[derive(Clone, Copy, Debug)]
pub struct Failed;

/// What a test function may return.
pub trait Outcome {
    /// Prints what went wrong, if anything did.
    fn report(self) -> Result<(), Failed>;
}

impl Outcome for () {
    fn report(self) -> Result<(), Failed> {
        Ok(())
    }
}

impl<T: Outcome, E: core::fmt::Debug> Outcome for Result<T, E> {
    fn report(self) -> Result<(), Failed> {
        match self {
            Ok(outcome) => outcome.report(),
            Err(error) => {
                println!("the test returned Err({error:?})");
                Err(Failed)
            }
        }
    }
}

impl Outcome for Exit {
    fn report(self) -> Result<(), Failed> {
        if self == Exit::Success {
            return Ok(());
        }
        println!("the test returned {self:?}");
        Err(Failed)
    }
}

/// Names what a function pointer returns: the only way to write `!` as a type on stable Rust.
#[doc(hidden)]
pub trait Function {
    /// What it returns.
    type Output;
}

impl<T> Function for fn() -> T {
    type Output = T;
}

impl Outcome for <fn() -> ! as Function>::Output {
    fn report(self) -> Result<(), Failed> {
        self
    }
}

/// The test that runs now; the panic handler wants to know.
static CURRENT: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());
/// A panic is being looked at: another one comes from its message.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Where the tests are, and how many.
static TESTS: (AtomicPtr<Test>, AtomicUsize) =
    (AtomicPtr::new(ptr::null_mut()), AtomicUsize::new(0));

/// What [`harness!`] does first of all, before constructors of tests' crates run: nobody else gets the boot's key, or says
/// which tests there are.
pub fn begin(tests: &'static [Test]) {
    let first = ptr::from_ref(tests).cast::<Test>().cast_mut();
    let (null, order) = (ptr::null_mut(), Ordering::Relaxed);
    if TESTS.0.compare_exchange(null, first, order, order).is_err() {
        return;
    }
    TESTS.1.store(tests.len(), order);
    // Behind a mark that keeps it from the command line: no test can ask for it again.
    if let Ok(key) = core::str::from_utf8(freestone::platform::take_secret()) {
        marks::begin(key);
    }
}

fn tests() -> &'static [Test] {
    let (first, len) = (TESTS.0.load(Ordering::Relaxed), TESTS.1.load(Ordering::Relaxed));
    if first.is_null() {
        return &[];
    }
    // SAFETY: both are of the slice that `begin` has got, for ever; it was the first code of the kernel, alone.
    unsafe { core::slice::from_raw_parts(first, len) }
}

/// What [`harness!`] makes `main` of: does what the command line says.
pub fn main(boot: &'static BootInfo) -> Exit {
    let tests = tests();
    if let Some(name) = boot.argument("test") {
        return match tests.iter().find(|test| test.name() == name) {
            Some(test) if run(test).is_ok() => Exit::Success,
            Some(_) => Exit::Failure,
            None => {
                println!("no test is called {name}");
                Exit::Failure
            }
        };
    }
    if let Some(numbers) = boot.argument("tests") {
        if !marks::have_begun() {
            println!(
                "these tests want a key of 32 hexadecimal digits behind the command line and the byte 0x1f"
            );
            return Exit::Failure;
        }
        run_in_order(tests, numbers);
    }
    // Not a success: whoever started this may take it for one of all tests.
    println!(
        "{} tests, and none was asked for; cargo freestone test runs them, and finds them by the image's symbols",
        tests.len()
    );
    for test in tests.iter() {
        println!("  {}", test.name());
    }
    Exit::Failure
}

/// Runs the tests with these numbers, while each leaves the machine as it was, and ends the kernel.
fn run_in_order(tests: &'static [Test], numbers: &str) -> ! {
    let before = state();
    for number in numbers.split(',') {
        let Some(test) = number.parse().ok().and_then(|number: usize| tests.get(number)) else {
            println!("no test has the number {number}");
            exit(Exit::Failure);
        };
        marks::say("run ", number);
        let ended = run(test);
        marks::say(if ended.is_ok() { "ok" } else { "failed" }, "");
        if ended.is_err() || state() != before {
            break;
        }
    }
    end()
}

/// What a test may change that the next one would notice, and that cannot be changed back from here.
fn state() -> (bool, u64) {
    (interrupts::are_enabled(), freestone::platform::registered())
}

/// The boot has done its work; whether all was well has been said.
fn end() -> ! {
    marks::say("end", "");
    // A test may have asked to be asked.
    exit::before_exit(|verdict| verdict);
    exit(Exit::Success)
}

/// Runs one test that does not panic.
fn run(test: &'static Test) -> Result<(), Failed> {
    CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
    let returned = (test.run)();
    if test.panics == Panics::Yes {
        println!("the test did not panic, as it should");
        return Err(Failed);
    }
    returned.and(look_at_the_map())
}

/// Checks every page in the page tables after a test: nothing writable and executable, guard pages unmapped.
fn look_at_the_map() -> Result<(), Failed> {
    freestone::memory::audit().map(drop).map_err(|violation| {
        println!("after the test the map is not as it should be: {violation}");
        Failed
    })
}

/// What [`harness!`] makes the panic handler of.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    if PANICKED.swap(true, Ordering::Relaxed) {
        panic::report(info, freestone::platform::exit::crash);
    }
    // SAFETY: null, or a `&'static Test` that was stored before it ran.
    let test = unsafe { CURRENT.load(Ordering::Relaxed).as_ref() };
    let test = test.filter(|test| test.panics == Panics::Yes);
    let is_expected = test.is_some_and(|test| says(info, test.expected()));
    if let Some(test) = test.filter(|_| !is_expected) {
        println!("note: this test's panic must contain {:?}", test.expected());
    }
    if is_expected && look_at_the_map().is_ok() {
        if !marks::have_begun() {
            exit(Exit::Success);
        }
        // What libtest shows too, if it is asked for the output of what passed.
        let mut out = console::emergency();
        let _ = core::fmt::Write::write_str(&mut out, "panicked, as it should,");
        panic::describe(&mut out, info);
        marks::say("ok", "");
        end()
    }
    if !marks::have_begun() {
        panic::report(info, freestone::platform::exit::crash);
    }
    panic::report(info, || {
        marks::say("failed", "");
        end()
    })
}

/// Whether the panic's message contains `expected`, without memory to put the message into.
fn says(info: &PanicInfo<'_>, expected: &str) -> bool {
    let mut search =
        Search { expected: expected.as_bytes(), window: [0; WINDOW], len: 0, found: false };
    // It cannot fail: `Search` takes everything.
    let _ = core::fmt::write(&mut search, format_args!("{}", info.message()));
    search.found || expected.is_empty()
}

/// How long an expected text may be.
const WINDOW: usize = 128;

/// Looks for a text in what is written to it, keeping the last bytes only.
struct Search<'a> {
    expected: &'a [u8],
    window: [u8; WINDOW],
    len: usize,
    found: bool,
}

impl core::fmt::Write for Search<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == WINDOW {
                self.window.rotate_left(1);
                self.len -= 1;
            }
            self.window[self.len] = byte;
            self.len += 1;
            self.found |= self.window[..self.len].ends_with(self.expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    fn search(pieces: &[&str], expected: &str) -> bool {
        let mut search =
            Search { expected: expected.as_bytes(), window: [0; WINDOW], len: 0, found: false };
        pieces.iter().for_each(|piece| search.write_str(piece).unwrap());
        search.found
    }

    #[test]
    fn expected_texts_are_found_across_pieces() {
        assert!(search(&["index out", " of ra", "nge"], "out of range"));
        assert!(!search(&["index out", " of order"], "out of range"));
        let long = std::iter::repeat_n('x', 1000).collect::<std::string::String>();
        assert!(search(&[&long, "needle", &long], "needle"));
        assert!(search(&["abc"], ""));
    }

    #[test]
    fn names_lose_their_crate_only() {
        assert_eq!(without_crate("krate::module::name"), "module::name");
        assert_eq!(without_crate("krate::name"), "name");
        assert_eq!(without_crate("name"), "name");
    }

    #[test]
    fn the_layout_is_what_the_tool_reads() {
        use core::mem::offset_of;
        assert_eq!(size_of::<Test>(), 64);
        let offsets =
            [offset_of!(Test, name_len), offset_of!(Test, expected), offset_of!(Test, reason)];
        assert_eq!(offsets, [8, 16, 32]);
        assert_eq!((offset_of!(Test, reason_len), offset_of!(Test, run)), (40, 48));
        assert_eq!((offset_of!(Test, panics), offset_of!(Test, ignored)), (56, 57));
    }
}
