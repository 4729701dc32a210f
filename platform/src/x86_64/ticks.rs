//! The cycle counter, from the image's first instruction on.

use core::sync::atomic::{AtomicU64, Ordering};

use super::cpu;

static BOOT_TICKS: AtomicU64 = AtomicU64::new(0);

/// Sets the moment that times count from.
pub(crate) fn start(entry_ticks: u64) {
    BOOT_TICKS.store(entry_ticks, Ordering::Relaxed);
}

/// Ticks since the image's first instruction.
pub fn since_boot() -> u64 {
    cpu::ticks().saturating_sub(BOOT_TICKS.load(Ordering::Relaxed))
}
