//! Tests that run inside a kernel, on stable Rust.
//!
//! A test file is a small kernel: [`harness!`] stamps the boot code and a `main` that runs tests,
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
//! marks both ends. The tool reads that table out of the ELF file, so listing boots nothing. The kernel's
//! command line says what to do: `test=NAME` runs one test and ends with its verdict, which is how the
//! tool runs them by default: one boot per test, so none can spoil another. `tests-from=N` runs all from
//! number N on in one boot and reports each by a line that begins with [`MARK`].
//!
//! A panic cannot be unwound here. In a boot of its own it ends the kernel. With all tests in one boot
//! the panic handler goes on with the next test *on top of* the panicked one's stack, which is never
//! returned to: sound, because nothing is freed or dropped, but locks that test held stay locked. After
//! [`MAX_PANICS`] the boot ends, and the tool boots again for the rest.

#![no_std]

#[cfg(test)]
extern crate std;

use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use freestone::rt::{console, panic};
use freestone::{BootInfo, Exit, print, println};

#[doc(hidden)]
pub use freestone;

mod register;

/// Begins each line that is meant for the tool: ASCII "record separator".
pub const MARK: char = '\x1e';

/// How many tests may panic in one boot that runs many: each leaves its stack behind.
pub const MAX_PANICS: usize = 8;

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
    run: fn() -> Result<(), Failed>,
    panics: Panics,
    ignored: bool,
}

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
    ) -> Test {
        Test {
            name: name.as_ptr(),
            name_len: name.len(),
            expected: expected.as_ptr(),
            expected_len: expected.len(),
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

impl<E: core::fmt::Debug> Outcome for Result<(), E> {
    fn report(self) -> Result<(), Failed> {
        self.map_err(|error| {
            println!("the test returned Err({error:?})");
            Failed
        })
    }
}

/// The test that runs now; the panic handler wants to know.
static CURRENT: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());
/// All tests, if they run in one boot; none if not.
static FIRST: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The number of the next one.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// What [`harness!`] makes `main` of: does what the command line says.
pub fn main(boot: &'static BootInfo, tests: &'static [Test]) -> Exit {
    if let Some(name) = boot.argument("test") {
        return match tests.iter().find(|test| test.name() == name) {
            Some(test) => run_one(test),
            None => {
                println!("no test is called {name}");
                Exit::Failure
            }
        };
    }
    if let Some(first) = boot.argument("tests-from") {
        let Ok(first) = first.parse() else {
            println!("tests-from wants a number, not {first}");
            return Exit::Failure;
        };
        NEXT.store(first, Ordering::Relaxed);
        FIRST.store(tests.as_ptr().cast_mut(), Ordering::Relaxed);
        COUNT.store(tests.len(), Ordering::Relaxed);
        run_rest();
    }
    println!("{} tests; run them with: cargo freestone test", tests.len());
    for test in tests.iter() {
        println!("  {}", test.name());
    }
    Exit::Success
}

/// A boot of its own: the verdict is the test's.
fn run_one(test: &'static Test) -> Exit {
    CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
    match finish((test.run)(), test) {
        Ok(()) => Exit::Success,
        Err(Failed) => Exit::Failure,
    }
}

/// Looks at every page of the map, as each test leaves it: nothing writable and executable, guard pages
/// unmapped.
fn look_at_the_map() -> Result<(), Failed> {
    freestone::memory::audit().map(drop).map_err(|violation| {
        println!("after the test the map is not as it should be: {violation}");
        Failed
    })
}

/// What a test that returned means.
fn finish(returned: Result<(), Failed>, test: &Test) -> Result<(), Failed> {
    if test.panics == Panics::Yes {
        println!("the test did not panic, as it should");
        return Err(Failed);
    }
    returned.and(look_at_the_map())
}

/// Runs the tests from the next one on, and ends the kernel.
fn run_rest() -> ! {
    // SAFETY: start and length of the slice that `main` was given and stored.
    let tests = unsafe {
        let first = FIRST.load(Ordering::Relaxed).cast_const();
        core::slice::from_raw_parts(first, COUNT.load(Ordering::Relaxed))
    };
    loop {
        let Some(test) = tests.get(NEXT.fetch_add(1, Ordering::Relaxed)) else {
            println!("{MARK}end");
            freestone::exit(Exit::Success);
        };
        // The tool runs what is ignored one by one, if it is asked to.
        if test.ignored {
            continue;
        }
        println!("{MARK}run {}", test.name());
        CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
        report(finish((test.run)(), test).is_ok());
    }
}

fn report(passed: bool) {
    print!("\n{MARK}{}\n", if passed { "ok" } else { "failed" });
}

/// What [`harness!`] makes the panic handler of.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    // SAFETY: null, or a `&'static Test` that was stored before it ran.
    let test = unsafe { CURRENT.load(Ordering::Relaxed).as_ref() };
    let expected =
        test.is_some_and(|test| test.panics == Panics::Yes && says(info, test.expected()));
    if let Some(test) = test.filter(|test| test.panics == Panics::Yes && !expected) {
        println!("note: this test's panic must contain {:?}", test.expected());
    }
    let expected = expected && look_at_the_map().is_ok();
    let in_one_boot = COUNT.load(Ordering::Relaxed) > 0;
    if !in_one_boot {
        if expected {
            freestone::exit(Exit::Success);
        }
        panic::report(info, freestone::platform::exit::crash);
    }
    if !expected {
        panic::describe(&mut console::emergency(), info);
    }
    report(expected);
    if PANICS.fetch_add(1, Ordering::Relaxed) + 1 == MAX_PANICS {
        freestone::exit(Exit::Success);
    }
    run_rest()
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
        assert_eq!(size_of::<Test>(), 48);
        let offsets =
            [offset_of!(Test, name_len), offset_of!(Test, expected), offset_of!(Test, run)];
        assert_eq!(offsets, [8, 16, 32]);
        assert_eq!((offset_of!(Test, panics), offset_of!(Test, ignored)), (40, 41));
    }
}
