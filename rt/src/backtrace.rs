//! Backtraces: return addresses, found by following frame pointers.
//!
//! A function that keeps a frame pointer starts with `push rbp; mov rbp, rsp` (or its like on other
//! machines), so that memory at the frame pointer holds the caller's frame pointer, and the word
//! above it the return address. Prebuilt `core` keeps them; a kernel's own code does when built with
//! `-C force-frame-pointers=yes`, by RUSTFLAGS or in `.cargo/config.toml`. Where a function keeps none, its
//! frame is missing or the chain ends early. So nothing read here is trusted: every frame must lie
//! on a known stack, above the one before it if that was on the same stack (a handler's chain leads
//! to the stack it interrupted), and every return address inside the kernel's code. Their number is
//! limited.
//!
//! The machine layer knows which memory is a stack and which is code; it registers that by [`set_bounds`].
//! Without that there is no trace.

use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::number::{Decimal, Hex};
use crate::symbols::Symbols;

/// Tells the walker where it may tread.
pub struct Bounds {
    /// The mapped stack that holds an address, if there is one.
    pub stack_of: fn(usize) -> Option<Range<usize>>,
    /// Whether an address lies in the kernel's code.
    pub is_code: fn(usize) -> bool,
    /// The table of [names](crate::symbols), empty if there is none.
    pub names: fn() -> &'static [u8],
}

static BOUNDS: AtomicPtr<Bounds> = AtomicPtr::new(core::ptr::null_mut());

/// Makes traces possible from here on.
///
/// # Safety
///
/// - Every range that `bounds.stack_of` returns, now or later, is readable memory.
pub unsafe fn set_bounds(bounds: &'static Bounds) {
    BOUNDS.store(core::ptr::from_ref(bounds).cast_mut(), Ordering::Release);
}

/// The caller's frame pointer, or 0 where this crate does not know the machine.
#[inline(always)]
pub fn frame_pointer() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let frame: usize;
        // SAFETY: copies one register into another; touches neither memory nor flags.
        unsafe {
            core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
        };
        frame
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Frames beyond this many are not worth a slow console's time.
const MAX_FRAMES: usize = 32;

/// Prints up to 32 return addresses, innermost first, starting at the frame `frame_pointer` names.
pub fn print(out: &mut dyn fmt::Write, frame_pointer: usize) {
    let Some(bounds) = bounds() else { return };
    print_addresses(out, frames(frame_pointer, bounds).take(MAX_FRAMES));
}

/// Prints return addresses, such as [`collect`] has kept, as [`print`] does.
pub fn print_addresses(out: &mut dyn fmt::Write, addresses: impl IntoIterator<Item = usize>) {
    let names = bounds().and_then(|bounds| Symbols::new((bounds.names)()));
    for address in addresses {
        // As in the panic report: there is nobody left to tell. The call is in front of where it returns
        // to, which may be the next function's beginning.
        let _ = line(out, "  from 0x", address as u64, 1, names);
    }
}

/// Keeps as many return addresses as there is room for, innermost first. Returns how many.
pub fn collect(frame_pointer: usize, room: &mut [usize]) -> usize {
    let Some(bounds) = bounds() else { return 0 };
    let places = room.iter_mut().zip(frames(frame_pointer, bounds));
    places.map(|(place, address)| *place = address).count()
}

fn bounds() -> Option<&'static Bounds> {
    // SAFETY: the pointer is null or came from `set_bounds`, whose argument lives for ever.
    unsafe { BOUNDS.load(Ordering::Acquire).as_ref() }
}

fn frames(frame_pointer: usize, bounds: &'static Bounds) -> impl Iterator<Item = usize> {
    // SAFETY: `stack_of` names readable memory only: that is what `set_bounds` asks for.
    unsafe { walk(frame_pointer, bounds) }
}

/// Prints the line of a trace that says where it begins: at the instruction itself.
pub fn print_place(out: &mut dyn fmt::Write, address: u64) {
    let names = bounds().and_then(|bounds| Symbols::new((bounds.names)()));
    let _ = line(out, "  at   0x", address, 0, names);
}

/// One line: an address, and the name of the function `back` bytes in front of it.
#[inline(never)]
fn line(
    out: &mut dyn fmt::Write,
    before: &str,
    address: u64,
    back: u64,
    names: Option<Symbols<'_>>,
) -> fmt::Result {
    out.write_str(before)?;
    write!(out, "{}", Hex(address))?;
    if let Some(symbol) = names.and_then(|names| names.find(address.wrapping_sub(back))) {
        write!(out, " {symbol}+{}", Decimal(symbol.offset + back))?;
    }
    out.write_str("\n")
}

/// The return addresses, from the frame that `frame_pointer` names outwards. May be endless.
///
/// # Safety
///
/// - Every range that `bounds.stack_of` returns is readable while the iterator lives.
unsafe fn walk(frame_pointer: usize, bounds: &Bounds) -> impl Iterator<Item = usize> {
    const WORD: usize = size_of::<usize>();
    let mut stack = (bounds.stack_of)(frame_pointer).unwrap_or(0..0);
    let mut frame = frame_pointer;
    core::iter::from_fn(move || {
        let inside = stack.start <= frame && frame <= stack.end.checked_sub(2 * WORD)?;
        if !inside || !frame.is_multiple_of(WORD) {
            return None;
        }
        // SAFETY: both words lie in `stack`, as checked above, aligned; the caller promised that
        // the stack is readable.
        let (caller, address) = unsafe {
            let frame = frame as *const usize;
            (frame.read(), frame.add(1).read())
        };
        if !stack.contains(&caller) {
            stack = (bounds.stack_of)(caller).unwrap_or(0..0);
        } else if caller <= frame {
            // Down or in a circle: this address is the last.
            stack = 0..0;
        }
        frame = caller;
        (bounds.is_code)(address).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    static mut STACK: [usize; 16] = [0; 16];

    /// Two stacks: the upper half and the lower half.
    fn stack_of(address: usize) -> Option<Range<usize>> {
        let start = &raw const STACK as usize;
        let half = size_of::<[usize; 16]>() / 2;
        [start..start + half, start + half..start + 2 * half]
            .into_iter()
            .find(|range| range.contains(&address))
    }

    const BOUNDS: Bounds =
        Bounds { stack_of, is_code: |address| (0x1000..0x2000).contains(&address), names: || &[] };

    /// Lays the words out on the test stack and walks from word `at`.
    fn trace(words: &[(usize, usize)], at: usize) -> Vec<usize> {
        let base = &raw mut STACK as *mut usize;
        for &(index, word) in words {
            assert!(index < 16);
            // SAFETY: `index` is inside the 16 words, and the only test thread that uses them is ours.
            unsafe { base.add(index).write(word) };
        }
        // SAFETY: `stack_of` names a static.
        unsafe { walk(base as usize + at * size_of::<usize>(), &BOUNDS) }.collect()
    }

    #[test]
    fn follows_good_chains_and_stops_at_bad_ones() {
        let base = &raw const STACK as usize;
        let at = |index: usize| base + index * size_of::<usize>();
        let chain = [(0, at(4)), (1, 0x1111), (4, at(10)), (5, 0x1222), (10, 0), (11, 0x1333)];
        assert_eq!(trace(&chain, 0), [0x1111, 0x1222, 0x1333]);
        assert_eq!(trace(&chain, 4), [0x1222, 0x1333]);
        // A frame that points at itself, or down.
        assert_eq!(trace(&[(4, at(4))], 0), [0x1111, 0x1222]);
        assert_eq!(trace(&[(4, at(0))], 0), [0x1111, 0x1222]);
        // From the upper stack to the lower one, and off it.
        assert_eq!(trace(&[(10, at(4)), (4, 0)], 10), [0x1333, 0x1222]);
        assert_eq!(trace(&[(4, at(10)), (10, 0)], 0), [0x1111, 0x1222, 0x1333]);
        // A return address that is no code.
        assert_eq!(trace(&[(4, at(10)), (5, 0x3000)], 0), [0x1111]);
        // Off the stack, across its end, misaligned, null.
        assert_eq!(trace(&[(4, 0x10), (5, 0x1222)], 0), [0x1111, 0x1222]);
        assert_eq!(trace(&[(4, at(15))], 0), [0x1111, 0x1222]);
        assert_eq!(trace(&[(4, at(10) + 1)], 0), [0x1111, 0x1222]);
        // SAFETY: an address on no stack is not read.
        assert_eq!(unsafe { walk(0, &BOUNDS) }.count(), 0);
    }
}
