//! A table of rows of words. Each row is kept once and for ever, under a number. It has no lock, since an interrupt may use it at
//! any time.
//!
//! `tests/models` includes this file with atomics of its own, and tries every order that the memory model allows.

use super::sync::{AtomicU32, Ordering};

/// How many places in a row a trace looks for its own in.
const PROBES: usize = 8;

/// The state of a place with nothing in it, and of one that is being written. Otherwise it is the trace's hash.
const EMPTY: u32 = 0;
const BUSY: u32 = 1;

/// `N` places for traces of `LEN` words; 0 is behind the last.
pub struct Places<const LEN: usize, const N: usize>(pub(super) [Place<LEN>; N]);

/// A trace that stays for ever once it has been written.
pub struct Place<const LEN: usize> {
    pub(super) state: AtomicU32,
    pub(super) words: [AtomicU32; LEN],
}

impl<const LEN: usize, const N: usize> Places<LEN, N> {
    /// The number of the trace, from 1 up; 0 if there is no room. A handler that comes in between takes another place.
    pub fn keep(&self, trace: &[u32; LEN]) -> usize {
        let hash = hash(trace);
        for probe in 0..PROBES.min(N) {
            let at = (hash as usize + probe) % N;
            let Some(place) = self.0.get(at) else { break };
            match place.state.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => {
                    for (to, &from) in place.words.iter().zip(trace) {
                        to.store(from, Ordering::Relaxed);
                    }
                    place.state.store(hash, Ordering::Release);
                    return at + 1;
                }
                Err(state) if state == hash && place.words().eq(trace.iter().copied()) => {
                    return at + 1;
                }
                Err(_) => {}
            }
        }
        0
    }

    /// The trace with this number.
    pub fn trace(&self, number: usize) -> Option<impl Iterator<Item = u32>> {
        self.0.get(number.checked_sub(1)?).map(Place::words)
    }
}

impl<const LEN: usize> Place<LEN> {
    fn words(&self) -> impl Iterator<Item = u32> {
        self.words.iter().map(|word| word.load(Ordering::Relaxed))
    }
}

/// FNV-1a over words; neither [`EMPTY`] nor [`BUSY`].
fn hash<const LEN: usize>(trace: &[u32; LEN]) -> u32 {
    trace
        .iter()
        .fold(0x811c_9dc5, |hash: u32, &word| (hash ^ word).wrapping_mul(0x0100_0193))
        .max(2)
}
