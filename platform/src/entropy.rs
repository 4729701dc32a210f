//! Random bytes that cannot be guessed, or an error: never a weak seed.
//!
//! They come from the processor's own source, or else from a virtio device. What a source gives is checked. A source that is
//! stuck, or returns all zeros or all ones while it claims success (AMD family 15h and 16h after a suspension, early Zen 2
//! with old firmware), is refused for good; so is one that stays empty. A correct source is refused by mistake once in
//! 2^62 words.
//!
//! Use it to seed a generator, not as one: it is slow, and a hypervisor may make it slower.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::entropy;
//!
//! let mut seed = [0; 32];
//! match entropy::fill(&mut seed) {
//!     Ok(()) => { /* start a generator with it */ }
//!     Err(why) => panic!("no seed, so no keys: {why}"),
//! }
//! ```

use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use freestone_virtio::memory::Pages;
use freestone_virtio::rng::{self, Source};

use crate::arch::entropy as source;
use crate::devices::virtio::{self, Registers};
use crate::lock::Lock;
use crate::time::Moment;

/// Why there are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The processor has no source, and there is no device.
    Absent,
    /// It had nothing for longer than it should take. Try again later.
    Exhausted,
    /// What it gave is not random. It is not asked again.
    Unhealthy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Absent => "no entropy: the processor has neither RDSEED nor RDRAND, and there is no virtio device for it that can be used",
            Error::Exhausted => "no entropy: the source is exhausted",
            Error::Unhealthy => "no entropy: the source is broken",
        })
    }
}

impl core::error::Error for Error {}

impl Error {
    /// A number for errors that are numbers: `getrandom::Error::new_custom` has it.
    pub const fn code(self) -> u16 {
        match self {
            Error::Absent => 1,
            Error::Exhausted => 2,
            Error::Unhealthy => 3,
        }
    }
}

static BROKEN: AtomicBool = AtomicBool::new(false);

/// Fills `bytes` with random ones, from the processor's source, or from the machine's virtio device if the
/// processor has none or it is broken. On an error they are all zero, so that nothing half-filled is used; the
/// error is the processor's, unless it has no source and there is a device. The device may take a second, and a
/// millisecond more for each byte; in the handler of an exception or an NMI it is not asked.
pub fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    let filled = from_processor(bytes).or_else(|error| from_device(bytes, error));
    if filled.is_err() {
        bytes.fill(0);
    }
    filled
}

fn from_processor(bytes: &mut [u8]) -> Result<(), Error> {
    let word = source::word().ok_or(Error::Absent)?;
    if BROKEN.load(Ordering::Relaxed) {
        return Err(Error::Unhealthy);
    }
    let filled = fill_from(bytes, word);
    BROKEN.fetch_or(filled == Err(Error::Unhealthy), Ordering::Relaxed);
    filled
}

#[expect(clippy::large_enum_variant, reason = "there is one, in a static")]
enum Found {
    Unsought,
    Nothing,
    One(Source<Registers, Room>),
}

/// The device, once it has been looked for. An interrupt's handler that finds it in use is told to come again.
static DEVICE: Lock<Found> = Lock::new(Found::Unsought);

/// The device's memory: there may be no heap, and no frames.
#[repr(C, align(4096))]
struct Bytes(UnsafeCell<[u8; rng::BYTES]>);

// SAFETY: who has the `Room` has it alone.
unsafe impl Sync for Bytes {}

static BYTES: Bytes = Bytes(UnsafeCell::new([0; rng::BYTES]));
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// That memory's one owner. A device that does not stop keeps it.
struct Room(());

impl Room {
    fn take() -> Option<Room> {
        let room = (!IS_TAKEN.swap(true, Ordering::Acquire)).then_some(Room(()))?;
        // SAFETY: nobody else has it.
        unsafe { BYTES.0.get().write_bytes(0, 1) };
        Some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

// SAFETY: a static, aligned, zeroed by `take`, and its one owner's. The image is mapped at its physical addresses.
unsafe impl Pages for Room {
    fn start(&self) -> NonNull<u8> {
        NonNull::from_ref(&BYTES).cast()
    }

    fn len(&self) -> usize {
        rng::BYTES
    }

    fn address(&self) -> u64 {
        self.start().as_ptr().expose_provenance() as u64
    }
}

fn from_device(bytes: &mut [u8], error: Error) -> Result<(), Error> {
    // Looking for a device in the middle of what an NMI or a single step has interrupted would disturb that.
    if crate::arch::trap::traps::in_handler() {
        return Err(Error::Exhausted);
    }
    DEVICE.with(|found| from_found(found, bytes, error)).unwrap_or(Err(Error::Exhausted))
}

fn from_found(found: &mut Found, bytes: &mut [u8], error: Error) -> Result<(), Error> {
    let mut is_over = limit(bytes.len());
    if let Found::Unsought = found {
        // What cannot be mapped at the moment is not absent for ever.
        if crate::arch::page_table::active::is_busy() {
            return Err(Error::Exhausted);
        }
        let sources = virtio::devices().filter(|device| device.kind == rng::KIND);
        let mut working = sources.filter_map(|device| {
            // SAFETY: entropy devices are driven here, under the lock, and found once.
            let (registers, room) = (unsafe { device.open() }?, Room::take()?);
            Some(Source::new(registers, room, &mut is_over)).filter(|source| !source.is_broken())
        });
        *found = working.next().map_or(Found::Nothing, Found::One);
    }
    match found {
        Found::One(device) => {
            let filled = fill_from(bytes, || device.word(&mut is_over));
            if device.is_broken() { Err(Error::Unhealthy) } else { filled }
        }
        _ => Err(error),
    }
}

/// How long a device may take to fill so many bytes: it may have to wait for its host, which may wait for its own source.
/// A second, and a millisecond more for each byte.
fn limit(bytes: usize) -> impl FnMut() -> bool {
    let moment = Moment::after(Duration::from_millis(1000_u64.saturating_add(bytes as u64)));
    move || moment.has_come()
}

/// [`fill`] for memory that may be uninitialised.
///
/// # Safety
///
/// - `start` is writable for `len` bytes, and nobody else looks at them meanwhile.
#[doc(hidden)]
pub unsafe fn fill_raw(start: *mut u8, len: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise; the bytes are initialised before there is a reference to them.
    let bytes = unsafe {
        start.write_bytes(0, len);
        core::slice::from_raw_parts_mut(start, len)
    };
    fill(bytes)
}

/// Makes [`fill`](crate::entropy::fill) the source of the crate `getrandom`, 0.3 or 0.4: once, in the kernel crate,
/// with that crate's error type.
///
/// ```ignore
/// freestone::getrandom_backend!(getrandom::Error);
/// ```
///
/// `getrandom` asks for it only if it was compiled with `--cfg getrandom_backend="custom"`, for the kernel's
/// target alone. `cargo freestone` does that; with plain cargo
///
/// ```text
/// RUSTFLAGS='--cfg getrandom_backend="custom"' cargo build --target x86_64-unknown-linux-gnu
/// ```
///
/// A refusal is `Error::new_custom` with [`Error::code`](crate::entropy::Error::code).
#[macro_export]
macro_rules! getrandom_backend {
    ($error:path) => {
        const _: () = {
            // The name that `getrandom` looks for in every version since 0.3.
            #[unsafe(no_mangle)]
            unsafe extern "Rust" fn __getrandom_v03_custom(
                start: *mut u8,
                len: usize,
            ) -> ::core::result::Result<(), $error> {
                type Error = $error;
                // SAFETY: `getrandom` passes a buffer that its caller has lent it for writing.
                let filled = unsafe { $crate::entropy::fill_raw(start, len) };
                filled.map_err(|error| Error::new_custom(error.code()))
            }
        };
    };
}

/// What Linux calls the numbers that [`getrandom_02!`](crate::getrandom_02) knows: one system call, two errors.
#[doc(hidden)]
pub mod linux {
    use core::sync::atomic::{AtomicI32, Ordering};

    const SYS_GETRANDOM: isize = 318;
    const EIO: i32 = 5;
    const ENOSYS: i32 = 38;

    /// The last refusal.
    static ERRNO: AtomicI32 = AtomicI32::new(0);

    /// Where C code looks for it.
    pub fn errno() -> *mut i32 {
        ERRNO.as_ptr()
    }

    /// As C functions refuse.
    pub fn refuse() -> i32 {
        ERRNO.store(ENOSYS, Ordering::Relaxed);
        -1
    }

    /// The system call for random bytes, and no other.
    ///
    /// # Safety
    ///
    /// - For the call that fills, `start` is writable for `len` bytes, and nobody else looks at them meanwhile.
    pub unsafe fn system_call(number: isize, start: *mut u8, len: usize) -> isize {
        if number != SYS_GETRANDOM {
            return refuse() as isize;
        }
        // With no bytes it asks whether there is such a call, perhaps with a null pointer.
        if len == 0 {
            return 0;
        }
        // SAFETY: the caller's promise.
        match unsafe { super::fill_raw(start, len) } {
            Ok(()) => len.cast_signed(),
            Err(_) => {
                ERRNO.store(EIO, Ordering::Relaxed);
                -1
            }
        }
    }
}

/// Makes [`fill`](crate::entropy::fill) the source of the crate `getrandom` 0.2, which `ring` and others bring: once, in
/// the kernel crate.
///
/// ```ignore
/// freestone::getrandom_02!();
/// ```
///
/// For kernels of the host's target: there that crate calls the C library, and this defines what it calls, `syscall`
/// with one system call, `__errno_location`, and refusals for the way by files. So nothing else may define
/// these. A refusal is error 5, `EIO`. Elsewhere the crate has its own way: its feature `custom`.
#[macro_export]
macro_rules! getrandom_02 {
    () => {
        const _: () = {
            // C declares it with any number of arguments, which come in the same registers.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn syscall(number: isize, start: *mut u8, len: usize) -> isize {
                // SAFETY: who makes the call for random bytes passes memory for them.
                unsafe { $crate::entropy::linux::system_call(number, start, len) }
            }
            #[unsafe(no_mangle)]
            extern "C" fn __errno_location() -> *mut i32 {
                $crate::entropy::linux::errno()
            }
            #[unsafe(no_mangle)]
            extern "C" fn open() -> i32 {
                $crate::entropy::linux::refuse()
            }
            #[unsafe(no_mangle)]
            extern "C" fn close() -> i32 {
                $crate::entropy::linux::refuse()
            }
            #[unsafe(no_mangle)]
            extern "C" fn poll() -> i32 {
                $crate::entropy::linux::refuse()
            }
            #[unsafe(no_mangle)]
            extern "C" fn read() -> isize {
                $crate::entropy::linux::refuse() as isize
            }
            // A text for an error: there is none.
            #[unsafe(no_mangle)]
            extern "C" fn __xpg_strerror_r() -> i32 {
                $crate::entropy::linux::refuse()
            }
            // Around the file that cannot be opened.
            #[unsafe(no_mangle)]
            extern "C" fn pthread_mutex_lock() -> i32 {
                0
            }
            #[unsafe(no_mangle)]
            extern "C" fn pthread_mutex_unlock() -> i32 {
                0
            }
        };
    };
}

/// One word that is thrown away goes first, for a stuck source to be seen even if one word is wanted.
fn fill_from(bytes: &mut [u8], mut word: impl FnMut() -> Option<u64>) -> Result<(), Error> {
    let mut last = next(&mut word, 0)?;
    for chunk in bytes.chunks_mut(size_of::<u64>()) {
        last = next(&mut word, last)?;
        for (to, from) in chunk.iter_mut().zip(last.to_le_bytes()) {
            *to = from;
        }
    }
    Ok(())
}

fn next(mut word: impl FnMut() -> Option<u64>, last: u64) -> Result<u64, Error> {
    // Intel asks for 10 with RDRAND, and for a pause between them with RDSEED, which may be empty longer.
    const TRIES: usize = 1000;
    let found = (0..TRIES).find_map(|_| {
        let found = word();
        if found.is_none() {
            core::hint::spin_loop();
        }
        found
    });
    match found.ok_or(Error::Exhausted)? {
        0 | u64::MAX => Err(Error::Unhealthy),
        word if word == last => Err(Error::Unhealthy),
        word => Ok(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Weyl's sequence: all words differ, none is 0 or all ones for a long time.
    fn good() -> impl Fn() -> Option<u64> {
        let state = Cell::new(1_u64);
        move || {
            state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            Some(state.get())
        }
    }

    #[test]
    fn every_length_is_filled_with_what_the_source_gives() {
        for len in 0..=40 {
            let mut bytes = [0xaa; 48];
            fill_from(&mut bytes[..len], good()).unwrap();
            let word = good();
            word();
            for chunk in bytes[..len].chunks(8) {
                assert_eq!(*chunk, word().unwrap().to_le_bytes()[..chunk.len()]);
            }
            assert!(bytes[len..].iter().all(|&byte| byte == 0xaa));
        }
    }

    #[test]
    fn broken_sources_are_refused() {
        for stuck in [0, u64::MAX, 5] {
            assert_eq!(fill_from(&mut [0; 1], || Some(stuck)), Err(Error::Unhealthy), "{stuck:x}");
        }
        assert_eq!(fill_from(&mut [0; 1], || None), Err(Error::Exhausted));
        let (left, source) = (Cell::new(3), good());
        let breaks = || {
            left.set(left.get() - 1);
            if left.get() < 0 { Some(u64::MAX) } else { source() }
        };
        assert_eq!(fill_from(&mut [0; 64], breaks), Err(Error::Unhealthy));
    }

    #[test]
    fn a_source_that_is_empty_for_a_while_is_waited_for() {
        let (asked, source) = (Cell::new(0), good());
        let slow = || {
            asked.set(asked.get() + 1);
            if asked.get() % 900 == 0 { source() } else { None }
        };
        assert_eq!(fill_from(&mut [0; 16], slow), Ok(()));
    }
}
