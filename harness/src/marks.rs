//! The lines by which the harness reports to the tool. A test cannot forge them.
//!
//! ```text
//! RS word SPACE what [argument] LF        RS: ASCII "record separator", 0x1e
//!    word: 16 digits, SipHash-2-4 of the line's number (8 bytes), keyed with the boot's key
//!    what: `run NUMBER`, then `ok` or `failed`; at last `end`
//! ```
//!
//! The key is 32 hexadecimal digits behind the command line and the byte 0x1f. `cargo freestone` makes a new one for each boot
//! and reads these lines in its file `marks.rs`; the two files change together. A test that sees the lines, by a console that
//! it registered perhaps, still cannot make the next one. SipHash is core's own; it is deprecated as a hasher of maps, not
//! as a function.
//!
//! A line is one write to each console, with interrupts off and without a lock: it comes out whole from any context, also
//! after a line that a test has left half printed.

#![expect(deprecated, reason = "core::hash::SipHasher is the one keyed function in core")]

use core::cell::UnsafeCell;
use core::hash::{Hasher, SipHasher};

use freestone::interrupts;
use freestone::rt::console;
use freestone_protocol::kernel_tests::MARK;

/// The key, and the number of the next line.
struct State {
    key: Option<(u64, u64)>,
    next: u64,
}

struct Shared(UnsafeCell<State>);

// SAFETY: reached through `with_state` only, which keeps interrupts out; there is one processor.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(UnsafeCell::new(State { key: None, next: 0 }));

fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: nobody else has a reference: interrupts are out, and no `f` here comes back to this function.
    interrupts::without(|| f(unsafe { &mut *STATE.0.get() }))
}

/// Takes the key, if it is one.
pub fn begin(key: &str) {
    let half = |digits| u64::from_str_radix(digits, 16).ok();
    let halves = key.split_at_checked(16).filter(|(_, second)| second.len() == 16);
    let key = halves.and_then(|(first, second)| half(first).zip(half(second)));
    with_state(|state| state.key = key);
}

/// Whether the tool listens.
pub fn have_begun() -> bool {
    with_state(|state| state.key.is_some())
}

/// Says the next line.
pub fn say(what: &str, argument: &str) {
    // Longer than any line: an argument is a test's number.
    let mut line = [0; 64];
    let word = with_state(|state| {
        let word = state.key.map(|key| word(key, state.next));
        state.next += 1;
        word
    });
    let Some(word) = word else { return };
    let parts = [&[MARK], &word[..], b" ", what.as_bytes(), argument.as_bytes(), b"\n"];
    let mut len = 0;
    for (place, byte) in line.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *byte;
        len += 1;
    }
    let line = line.get(..len).unwrap_or_default();
    interrupts::without(|| console::consoles().for_each(|console| console.write(line)));
}

/// The word that line `number` begins with.
fn word((first, second): (u64, u64), number: u64) -> [u8; 16] {
    let mut hasher = SipHasher::new_with_keys(first, second);
    hasher.write(&number.to_le_bytes());
    let hash = hasher.finish();
    core::array::from_fn(|digit| b"0123456789abcdef"[(hash >> (60 - 4 * digit)) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_the_tool_expects() {
        // The same key, numbers and words stand in the tool's test.
        let key = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        let words = [0, 1].map(|number| std::string::String::from_utf8(word(key, number).into()));
        assert_eq!(words.map(Result::unwrap), ["06abaa54768a3ba0", "495991281b7b936e"]);
    }
}
