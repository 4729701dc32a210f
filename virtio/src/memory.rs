//! Memory that a device and the kernel share.

use core::ptr::NonNull;

/// Pages that a device may be given: they have an owner, and one piece of memory lies at one address for the device.
///
/// # Safety
///
/// - [`start`](Self::start), [`len`](Self::len) and [`address`](Self::address) are always the same; the bytes are
///   readable, writable, zeroed when they were taken, and nobody else's until it is dropped.
/// - What the device reads and writes from `address` on is what the kernel has from `start` on. Both are multiples of
///   4096.
#[expect(clippy::len_without_is_empty, reason = "there is one byte at least")]
pub unsafe trait Pages {
    /// The first byte.
    fn start(&self) -> NonNull<u8>;
    /// How many bytes there are.
    fn len(&self) -> usize;
    /// Where the device sees them.
    fn address(&self) -> u64;
}

/// What gives drivers the memory that they share with their devices.
///
/// # Safety
///
/// - [`address`](Self::address) tells the truth: the device sees all the bytes, in one piece, from there on.
pub unsafe trait Memory {
    /// What it gives.
    type Pages: Pages + Send + 'static;

    /// As many whole pages as `bytes` need. `None` if there are not so many in one piece.
    fn zeroed(bytes: usize) -> Option<Self::Pages>;

    /// Where the device sees these bytes of the heap. `None` if it does not see them in one piece.
    fn address(bytes: NonNull<[u8]>) -> Option<u64>;
}
