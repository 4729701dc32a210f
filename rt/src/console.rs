//! Where text goes: a registry of consoles, and `print!` over all of them.
//!
//! A console is anything that can take bytes in any context. Consoles are registered once, early,
//! and stay registered. `print!` takes a lock so that lines of two contexts do not mix, but it waits for the lock
//! a bounded time only and then prints anyway. So a fault handler that has interrupted a `print!` can print
//! too. A panic report does not take the lock at all ([`emergency`]).

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::registry::Registry;

/// A device that takes text.
pub trait Console: Sync {
    /// Short name for reports, such as `16550`.
    fn name(&self) -> &'static str;

    /// Writes all of `bytes`, or gives up after a wait with a limit.
    ///
    /// Called in any context, also while another call on the same console is interrupted half
    /// way: it takes no lock, allocates nothing and does not panic. Lines end in `\n`; a device
    /// that wants `\r\n` adds the rest itself.
    fn write(&self, bytes: &[u8]);
}

/// How many consoles there can be.
pub const MAX_CONSOLES: usize = 4;

/// All [`MAX_CONSOLES`] places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryFull;

impl fmt::Display for RegistryFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {MAX_CONSOLES} consoles are registered already")
    }
}

static CONSOLES: Registry<&dyn Console, MAX_CONSOLES> = Registry::new();

/// Adds a console; everything printed from now on goes to it too.
///
/// # Errors
///
/// [`RegistryFull`] if there are [`MAX_CONSOLES`] already.
pub fn register(console: &'static dyn Console) -> Result<(), RegistryFull> {
    CONSOLES.add(console).ok_or(RegistryFull)
}

/// The registered consoles, in order of registration.
pub fn consoles() -> impl Iterator<Item = &'static dyn Console> {
    CONSOLES.iter()
}

/// Formats straight to every console; each piece goes out as it is made, nothing is buffered, so
/// nothing is lost if formatting itself panics half way.
pub struct Writer(());

impl fmt::Write for Writer {
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        consoles().for_each(|console| console.write(text.as_bytes()));
        Ok(())
    }

    // The trait's own is the same, in one copy for each crate that formats, with `write_str` in it: 540 bytes.
    #[inline(never)]
    fn write_char(&mut self, character: char) -> fmt::Result {
        self.write_str(character.encode_utf8(&mut [0; 4]))
    }
}

/// A writer that ignores the lock: for panics, faults, and nothing else.
pub fn emergency() -> Writer {
    Writer(())
}

/// How often `print!` looks at the lock before it prints regardless. Long enough for another CPU
/// to finish its line on a slow UART (80 characters at 115200 baud are 7 ms), short enough that a
/// context which interrupted the holder loses a moment, not the machine.
const PATIENCE: usize = 1 << 20;

static BUSY: AtomicBool = AtomicBool::new(false);

/// Holds the lock for one `print!`; remembers whether it is ours to release.
struct Turn {
    ours: bool,
}

impl Turn {
    fn wait() -> Turn {
        let ours = (0..PATIENCE).any(|_| {
            let free = BUSY.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            if free.is_err() {
                core::hint::spin_loop();
            }
            free.is_ok()
        });
        Turn { ours }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ours {
            BUSY.store(false, Ordering::Release);
        }
    }
}

#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    let _turn = Turn::wait();
    // A console cannot fail; an error is a `Display` implementation's own, and what it managed to
    // write is out already.
    let _ = fmt::Write::write_fmt(&mut Writer(()), arguments);
}

/// Prints to every registered console, like `std::print!`.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(::core::format_args!($($argument)*)) };
}

/// Prints a line to every registered console, like `std::println!`.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($format:expr $(, $($argument:tt)*)?) => {
        $crate::print!("{}\n", ::core::format_args!($format $(, $($argument)*)?))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::sync::Mutex;

    struct Memory(Mutex<String>);

    impl Console for Memory {
        fn name(&self) -> &'static str {
            "memory"
        }
        fn write(&self, bytes: &[u8]) {
            self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        }
    }

    static A: Memory = Memory(Mutex::new(String::new()));
    static B: Memory = Memory(Mutex::new(String::new()));

    /// The registry is one for the process, so one test tells its whole story.
    #[test]
    fn text_reaches_every_console_also_while_the_lock_is_held() {
        crate::println!("nobody listens");
        register(&A).unwrap();
        crate::println!("one {}", 1);
        register(&B).unwrap();
        crate::println!();
        crate::print!("{:>4}|", "x");
        assert_eq!(*A.0.lock().unwrap(), "one 1\n\n   x|");
        assert_eq!(*B.0.lock().unwrap(), "\n   x|");

        // The holder never comes back: the line still comes out, and the lock stays the holder's.
        let held = Turn::wait();
        assert!(held.ours);
        crate::print!("anyway");
        assert!(A.0.lock().unwrap().ends_with("anyway"));
        assert!(BUSY.load(Ordering::Relaxed));
        drop(held);
        assert!(!BUSY.load(Ordering::Relaxed));

        register(&A).unwrap();
        register(&A).unwrap();
        assert_eq!(register(&A), Err(RegistryFull));
        assert_eq!(consoles().count(), MAX_CONSOLES);
    }
}
