//! Numbers that nobody can predict who does not know the secret: places in the table, initial sequence numbers.
//!
//! SipHash-1-3 (Aumasson and Bernstein, 2012: "SipHash: a fast short-input PRF"), over words instead of bytes, since tuples
//! have few sizes and the hash of one is on the way of each segment.

use smoltcp::wire::IpAddress;

use crate::segment::Tuple;

/// A key, as the state that it gives the hash to begin with.
#[derive(Clone)]
pub(crate) struct Secret([u64; 4]);

impl Secret {
    /// The secret number `which` that grows from `seed`.
    pub(crate) fn new(seed: u64, which: u64) -> Secret {
        Secret([
            seed ^ 0x736f_6d65_7073_6575,
            which ^ 0x646f_7261_6e64_6f6d,
            seed ^ 0x6c79_6765_6e65_7261,
            which ^ 0x7465_6462_7974_6573,
        ])
    }

    /// The number that belongs to `tuple`, and to `more`.
    pub(crate) fn number(&self, tuple: &Tuple, more: u64) -> u64 {
        let ports = u64::from(tuple.local.port) << 16 | u64::from(tuple.remote.port);
        match (tuple.local.addr, tuple.remote.addr) {
            (IpAddress::Ipv4(local), IpAddress::Ipv4(remote)) => {
                let addresses = u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits());
                // What `more` is has room beside the ports if it is small, and a word of its own otherwise.
                match u32::try_from(more) {
                    Ok(more) => self.hash([addresses, u64::from(more) << 32 | ports]),
                    Err(_) => self.hash([addresses, ports, more]),
                }
            }
            (local, remote) => {
                let [a, b] = halves(local);
                let [c, d] = halves(remote);
                self.hash([a, b, c, d, ports, more])
            }
        }
    }

    fn hash<const WORDS: usize>(&self, words: [u64; WORDS]) -> u64 {
        let mut state = self.0;
        // The last word is the length, in its highest byte.
        for word in words.into_iter().chain([(WORDS as u64 * 8) << 56]) {
            state[3] ^= word;
            round(&mut state);
            state[0] ^= word;
        }
        state[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

fn halves(address: IpAddress) -> [u64; 2] {
    let bits = match address {
        IpAddress::Ipv4(address) => u128::from(address.to_bits()),
        IpAddress::Ipv6(address) => address.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64] // its two halves
}

#[inline(always)]
fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;

    use super::*;

    #[test]
    #[allow(deprecated)] // the oracle: the same hash with more rounds is all that core has in the open
    fn the_hash_is_siphash() {
        // With two rounds a word and four at the end it is SipHash-2-4, which core has.
        let mut state = Secret::new(7, 9).0;
        let words = [3_u64, u64::MAX, 0x0123_4567_89ab_cdef];
        let mut oracle = core::hash::SipHasher::new_with_keys(7, 9);
        for word in words {
            oracle.write(&word.to_le_bytes());
        }
        for word in words.into_iter().chain([24 << 56]) {
            state[3] ^= word;
            round(&mut state);
            round(&mut state);
            state[0] ^= word;
        }
        state[2] ^= 0xff;
        (0..4).for_each(|_| round(&mut state));
        assert_eq!(state.iter().fold(0, |sum, word| sum ^ word), oracle.finish());
    }
}
