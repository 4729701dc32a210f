//! Segments of one connection, each where the one before ends, that the device is given as one and cuts again
//! (`VIRTIO_NET_F_HOST_TSO4`, `VIRTIO_NET_F_HOST_TSO6`).
//!
//! The stack sends segments as it always does. Those of a round that only go on with the data, and differ in nothing else,
//! become the parts of one chain: the first with its headers, of the others the data. The device cuts where the stack had
//! cut, so windows, acknowledgements, repetitions and the peer's largest segment stay the stack's business, and what leaves
//! is what would have left without. Nothing is copied.
//!
//! Headers with options, of IP or TCP, are not looked at: the segment goes alone.
//!
//! Source: VIRTIO 1.2, 5.1.6.2. RFC 9293, 3.1 (TCP's header).

use super::ETHERNET_BYTES;
use super::checksum::{self, Partial};
use super::header::Cut;

const TCP_BYTES: usize = 20;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const MOST_HEADERS: usize = ETHERNET_BYTES + V6_BYTES + TCP_BYTES;

const PROTOCOL_TCP: u8 = 6;

/// In front of where TCP's header ends: sequence number, flags, checksum.
const SEQUENCE: usize = 16;
const FLAGS: usize = 7;
const CHECKSUM: usize = 4;

const FIN: u8 = 1;
const PSH: u8 = 1 << 3;
const ACK: u8 = 1 << 4;

/// Frames below this are not worth a look: two of them make no large one.
pub const WORTH_BYTES: usize = 576;

/// What is read of a frame with a TCP segment.
#[derive(Clone, Copy)]
pub struct Segment {
    /// All headers, with zeros for what changes from one to the next.
    headers: [u8; MOST_HEADERS],
    pub is_v6: bool,
    sequence: u32,
    flags: u8,
    payload: usize,
}

impl Segment {
    /// Reads it. `None` if it is no segment with data that may stand beside others.
    pub fn read(frame: &[u8]) -> Option<Segment> {
        let is_v6 = match frame.get(12..15)? {
            [0x08, 0x00, 0x45] => false,
            [0x86, 0xdd, version] if version >> 4 == 6 => true,
            _ => return None,
        };
        let (protocol, len_at) = if is_v6 { (20, 18) } else { (23, 16) };
        let headers_len = headers_len(is_v6);
        let given = frame.get(..headers_len)?;
        let len = usize::from(u16::from_be_bytes([given[len_at], given[len_at + 1]]));
        let end = ETHERNET_BYTES + len + if is_v6 { V6_BYTES } else { 0 };
        let tcp = headers_len - TCP_BYTES;
        // No options, no fragment.
        let is_plain = given[protocol] == PROTOCOL_TCP
            && given[tcp + 12] >> 4 == 5
            && (is_v6 || (given[20] & !0x40, given[21]) == (0, 0));
        let payload = frame.len() - headers_len;
        let flags = given[headers_len - FLAGS];
        if !is_plain || end != frame.len() || payload == 0 || flags & !(FIN | PSH) != ACK {
            return None;
        }
        let mut headers = [0; MOST_HEADERS];
        headers[..headers_len].copy_from_slice(given);
        let sequence = headers_len - SEQUENCE;
        let number = headers[sequence..].first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
        headers[len_at..len_at + 2].fill(0);
        headers[sequence..sequence + 4].fill(0);
        headers[headers_len - FLAGS] = 0;
        headers[headers_len - CHECKSUM..headers_len - CHECKSUM + 2].fill(0);
        if !is_v6 {
            // The datagram's number, and the checksum of IP's header.
            headers[18..20].fill(0);
            headers[24..26].fill(0);
        }
        Some(Segment { headers, is_v6, sequence: number, flags, payload })
    }

    /// Whether others may follow it: it ends nothing, and hurries nobody.
    fn is_open(&self) -> bool {
        self.flags == ACK
    }
}

fn headers_len(is_v6: bool) -> usize {
    ETHERNET_BYTES + if is_v6 { V6_BYTES } else { V4_BYTES } + TCP_BYTES
}

/// Segments that go out as one.
pub struct Run {
    first: Segment,
    /// The last one's flags.
    flags: u8,
    /// All data.
    payload: usize,
}

impl Run {
    /// `None` if nothing may follow this one.
    pub fn new(first: Segment) -> Option<Run> {
        first.is_open().then_some(Run { first, flags: first.flags, payload: first.payload })
    }

    /// Takes one more, if it goes on where the run ends and is no larger than the others. How many bytes in front of its
    /// data are left out then.
    pub fn take(&mut self, next: &Segment) -> Option<usize> {
        let headers_len = headers_len(self.first.is_v6);
        let payload = self.payload + next.payload;
        let goes_on = self.flags == ACK
            && self.payload.is_multiple_of(self.first.payload)
            && next.payload <= self.first.payload
            && next.sequence == self.first.sequence.wrapping_add(self.payload as u32)
            && headers_len - ETHERNET_BYTES + payload <= usize::from(u16::MAX)
            && next.headers == self.first.headers;
        goes_on.then(|| {
            (self.payload, self.flags) = (payload, next.flags);
            headers_len
        })
    }

    /// How many segments there are.
    pub fn count(&self) -> u64 {
        self.payload.div_ceil(self.first.payload) as u64
    }

    /// Makes the first frame's headers those of all, and says what is left to the device: the checksum, and where to cut if
    /// there is more than one.
    pub fn finish(&self, frame: &mut [u8]) -> (Partial, Option<Cut>) {
        let is_v6 = self.first.is_v6;
        let headers_len = headers_len(is_v6);
        let len = TCP_BYTES + self.payload;
        let addresses = if is_v6 { 22..54 } else { 26..34 };
        let begun = checksum::tcp_begin(&frame[addresses], len);
        frame[headers_len - CHECKSUM..headers_len - CHECKSUM + 2].copy_from_slice(&begun);
        let start = (headers_len - TCP_BYTES) as u16;
        let partial = Partial { start, offset: checksum::TCP_CHECKSUM as u16 };
        if self.payload == self.first.payload {
            return (partial, None);
        }
        if is_v6 {
            frame[18..20].copy_from_slice(&(len as u16).to_be_bytes());
        } else {
            frame[16..18].copy_from_slice(&((V4_BYTES + len) as u16).to_be_bytes());
            checksum::write_header(&mut frame[ETHERNET_BYTES..ETHERNET_BYTES + V4_BYTES]);
        }
        frame[headers_len - FLAGS] = self.flags;
        let size = self.first.payload as u16;
        (partial, Some(Cut { is_v6, headers_len: headers_len as u16, size }))
    }
}
