//! Checksums of TCP and UDP in a frame: which the device is to complete, and whether a received one is right.
//!
//! Source: RFC 1071 (the sum), RFC 793, 3.1 and RFC 8200, 8.1 (what is summed with it).

/// What the device is to complete (VIRTIO 1.2, 5.1.6.2): it sums from `start` on, and puts the sum `offset` bytes behind
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    pub start: u16,
    pub offset: u16,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
pub const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const ETHERNET_BYTES: usize = 14;
const IPV6_BYTES: usize = 40;

/// A whole TCP segment or UDP datagram in a frame.
struct Found {
    protocol: u8,
    start: usize,
    end: usize,
    /// The sum of addresses, length and protocol.
    pseudo: u64,
}

/// Where it is: `None` for anything else, fragments and extension headers too.
fn find(frame: &[u8]) -> Option<Found> {
    let half = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let ip = ETHERNET_BYTES;
    let (protocol, start, end, addresses) = match half(12)? {
        0x0800 => {
            let first = *frame.get(ip)?;
            let header = usize::from(first & 0xf) * 4;
            // Neither more fragments nor an offset.
            if first >> 4 != 4 || header < 20 || half(ip + 6)? & 0x3fff != 0 {
                return None;
            }
            let len = usize::from(half(ip + 2)?);
            (*frame.get(ip + 9)?, ip + header, ip + len, frame.get(ip + 12..ip + 20)?)
        }
        0x86dd => {
            let len = usize::from(half(ip + 4)?);
            let start = ip + IPV6_BYTES;
            (*frame.get(ip + 6)?, start, start + len, frame.get(ip + 8..start)?)
        }
        _ => return None,
    };
    if !matches!(protocol, TCP | UDP) || end > frame.len() || start + 8 > end {
        return None;
    }
    let len = (end - start) as u64;
    Some(Found { protocol, start, end, pseudo: sum(addresses) + len + u64::from(protocol) })
}

/// The sum of all halves, of which an odd last byte is the upper part of one. It fits: frames have less than 2^17 bytes.
fn sum(bytes: &[u8]) -> u64 {
    // Words may be summed as they lie in memory; the result's bytes are in that order too (RFC 1071, 2 (B)).
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_ne_bytes(last));
    u64::from(u16::from_be(fold(total)))
}

/// With the carries added.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Puts into a TCP segment what the device starts from, if there is one. Others are left as they are.
#[inline]
pub fn begin(frame: &mut [u8]) -> Option<Partial> {
    let found = find(frame).filter(|found| found.protocol == TCP)?;
    let at = found.start + TCP_CHECKSUM;
    let place = frame.get_mut(at..found.end)?.first_chunk_mut()?;
    *place = fold(found.pseudo).to_be_bytes();
    Some(Partial { start: found.start as u16, offset: TCP_CHECKSUM as u16 })
}

/// The same for a segment of `len` bytes, between two addresses that lie behind each other.
pub fn tcp_begin(addresses: &[u8], len: usize) -> [u8; 2] {
    fold(sum(addresses) + len as u64 + u64::from(TCP)).to_be_bytes()
}

/// Puts the checksum into a header of IPv4, of 20 bytes or more (RFC 791, 3.1).
pub fn write_header(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = !fold(sum(header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Whether a frame's checksum is right, if it has one that can be looked at.
pub fn is_right(frame: &[u8]) -> bool {
    let Some(found) = find(frame) else { return true };
    let Some(bytes) = frame.get(found.start..found.end) else { return true };
    // A datagram over IPv4 may have none.
    if found.protocol == UDP && bytes[UDP_CHECKSUM..][..2] == [0, 0] {
        return frame[12..14] == [0x08, 0x00];
    }
    fold(found.pseudo + sum(bytes)) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    use proptest::prelude::*;

    /// The sum, half by half, as the standard says it.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// A frame with the right checksum, and where that is.
    fn frame(v6: bool, protocol: u8, addresses: &[u8; 32], payload: &[u8]) -> (Vec<u8>, usize) {
        let header = if protocol == TCP { 20 } else { 8 };
        let len = (header + payload.len()) as u16;
        let mut frame = std::vec![0; 12];
        let mut pseudo = Vec::new();
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(addresses);
            pseudo.extend(addresses);
        } else {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(&addresses[..8]);
            pseudo.extend(&addresses[..8]);
        }
        pseudo.extend(len.to_be_bytes());
        pseudo.extend([0, protocol]);
        let start = frame.len();
        frame.extend(std::vec![7; header]);
        frame.extend(payload);
        let at = start + if protocol == TCP { TCP_CHECKSUM } else { UDP_CHECKSUM };
        frame[at..at + 2].fill(0);
        pseudo.extend(&frame[start..]);
        let sum = !naive(&pseudo);
        let sum = if sum == 0 && protocol == UDP { 0xffff } else { sum };
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        (frame, at)
    }

    proptest! {
        #[test]
        fn the_sum_is_the_naive_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (ours, naive) = (fold(sum(&bytes)), naive(&bytes));
            // Both zeros are zero.
            prop_assert_eq!(ours % 0xffff, naive % 0xffff);
        }

        #[test]
        fn right_ones_are_right_and_others_are_not(
            v6: bool, tcp: bool, addresses: [u8; 32],
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            padding in 0..20_usize, bit in 0..8_u32, place: prop::sample::Index,
        ) {
            let protocol = if tcp { TCP } else { UDP };
            let (mut frame, _) = frame(v6, protocol, &addresses, &payload);
            let end = frame.len();
            frame.extend(std::vec![0xa5; padding]);
            prop_assert!(is_right(&frame));
            let start = end - payload.len() - if tcp { 20 } else { 8 };
            let at = start + place.index(end - start);
            frame[at] ^= 1 << bit;
            let has_none = !tcp && !v6 && frame[start + UDP_CHECKSUM..][..2] == [0, 0];
            prop_assert!(!is_right(&frame) || has_none);
        }

        #[test]
        fn the_device_completes_what_was_begun(
            v6: bool, addresses: [u8; 32], payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let (right, at) = frame(v6, TCP, &addresses, &payload);
            let mut frame = right.clone();
            frame[at..at + 2].fill(0x55);
            let partial = begin(&mut frame).unwrap();
            let start = usize::from(partial.start);
            prop_assert_eq!(start + usize::from(partial.offset), at);
            let sum = !naive(&frame[start..]);
            frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(is_right(&frame));
            prop_assert_eq!(&frame[..at], &right[..at]);
        }

        #[test]
        fn any_bytes_are_a_frame(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0..3) {
            if bytes.len() > 14 && kind > 0 {
                bytes[12..14].copy_from_slice(if kind == 1 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
            }
            let _ = is_right(&bytes);
            let _ = begin(&mut bytes);
        }
    }
}
