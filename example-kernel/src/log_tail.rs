//! The end of what the kernel has printed: a console that keeps it in memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use freestone::println;
use freestone::rt::console::{self, Console};

/// How many bytes are kept.
const KEPT: usize = 4096;

static TAIL: Tail = Tail { bytes: [const { AtomicU8::new(0) }; KEPT], end: AtomicUsize::new(0) };

/// Each byte is an atomic, since a console may be interrupted anywhere by another writer, and must not wait.
struct Tail {
    bytes: [AtomicU8; KEPT],
    /// How many bytes there have been.
    end: AtomicUsize,
}

impl Console for Tail {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn write(&self, bytes: &[u8]) {
        let start = self.end.fetch_add(bytes.len(), Ordering::Relaxed);
        for (at, byte) in bytes.iter().enumerate() {
            self.bytes[start.wrapping_add(at) % KEPT].store(*byte, Ordering::Relaxed);
        }
    }
}

/// Keeps what is printed from now on.
pub fn keep() {
    if let Err(full) = console::register(&TAIL) {
        println!("no log on the page: {full}");
    }
}

/// The last lines, the first of which may have lost its beginning.
pub fn text() -> String {
    let end = TAIL.end.load(Ordering::Relaxed);
    let bytes: Vec<u8> = (end.saturating_sub(KEPT)..end)
        .map(|at| TAIL.bytes[at % KEPT].load(Ordering::Relaxed))
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
