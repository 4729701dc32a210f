//! Who may answer a question for a name: the port that it went to.
//!
//! smoltcp 0.13 takes an answer from any address if it comes from the port of multicast DNS, also to a question that it has
//! asked a server. So the ports that questions to servers come from are noted here, and what comes to them from that port is
//! dropped (RFC 5452 9.1: an answer comes from where the question went).

use crate::datagram;

const DNS: u16 = 53;
const MULTICAST_DNS: u16 = 5353;

/// embassy-net asks four questions at once; a kernel's own sockets may ask too.
const LATELY: usize = 8;

/// The ports that the latest questions came from.
#[derive(Default)]
pub(crate) struct Names {
    /// 0 is no port.
    asked: [u16; LATELY],
    next: usize,
}

impl Names {
    /// Looks at a frame that leaves.
    pub(crate) fn note(&mut self, frame: &[u8]) {
        let Some((from, DNS)) = datagram::any(frame).map(|datagram| datagram.ports) else { return };
        if !self.asked.contains(&from) {
            self.asked[self.next] = from;
            self.next = (self.next + 1) % LATELY;
        }
    }

    /// Whether embassy-net may see `frame`.
    pub(crate) fn admit(&self, frame: &[u8]) -> bool {
        datagram::any(frame).is_none_or(|datagram| {
            datagram.ports.0 != MULTICAST_DNS || !self.asked.contains(&datagram.ports.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The frame of an empty datagram.
    fn frame(is_ipv6: bool, hides: bool, ports: [u16; 2]) -> Vec<u8> {
        let udp = [&ports.map(u16::to_be_bytes).concat()[..], &[0, 8, 0, 0]].concat();
        let extension: &[u8] = if hides { &[17, 0, 1, 4, 0, 0, 0, 0] } else { &[] };
        let mut frame = [0; 14].to_vec();
        if is_ipv6 {
            frame[12..].copy_from_slice(&0x86dd_u16.to_be_bytes());
            let len = (extension.len() + udp.len()) as u8;
            frame.extend([0x60, 0, 0, 0, 0, len, if hides { 0 } else { 17 }, 64]);
            frame.extend([0; 32]);
        } else {
            frame[12..].copy_from_slice(&0x0800_u16.to_be_bytes());
            frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            frame.extend([0; 8]);
        }
        [&frame[..], extension, &udp].concat()
    }

    #[test]
    fn only_the_port_of_multicast_dns_is_refused_and_only_where_a_server_was_asked() {
        for (is_ipv6, hides) in [(false, false), (true, false), (true, true)] {
            let mut names = Names::default();
            let answer = frame(is_ipv6, hides, [MULTICAST_DNS, 50_000]);
            names.note(&frame(is_ipv6, false, [50_000, 67]));
            assert!(names.admit(&answer), "nobody was asked");
            for port in 50_000..50_000 + LATELY as u16 {
                names.note(&frame(is_ipv6, false, [port, DNS]));
                names.note(&frame(is_ipv6, false, [port, DNS]));
            }
            assert!(!names.admit(&answer), "{is_ipv6} {hides}");
            assert!(names.admit(&frame(is_ipv6, hides, [DNS, 50_000])));
            assert!(names.admit(&frame(is_ipv6, hides, [MULTICAST_DNS, 60_000])));
            for len in 0..answer.len() {
                names.admit(&answer[..len]);
                names.note(&answer[..len]);
            }
            names.note(&frame(is_ipv6, false, [60_000, DNS]));
            assert!(names.admit(&answer), "it is long ago");
        }
    }
}
