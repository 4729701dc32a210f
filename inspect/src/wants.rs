//! What an image asks of the machine that boots it: the notes that `freestone::wants` makes, whose layout stands in
//! `freestone_protocol::wants`.

use std::collections::BTreeSet;

use freestone_protocol::wants::{CONSOLE_END, DISK, NAME, NETWORK, PORT_BYTES, TCP, UDP};

use crate::elf::Note;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Whether it is a network device.
    pub network: bool,
    /// The ports that the kernel serves there.
    pub ports: BTreeSet<Port>,
    /// Whether it is a disk.
    pub disk: bool,
    /// Whether the kernel serves until Ctrl-C comes from its console, and ends in order then.
    pub console_end: bool,
}

/// A port that a kernel serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its number, not 0.
    pub number: u16,
    /// Whether it is UDP's; else TCP's.
    pub is_udp: bool,
}

impl Wants {
    /// What these notes say together. What no version of the layout has is passed over: it asks for nothing.
    pub fn of(notes: &[Note<'_>]) -> Self {
        let mut all = Self::default();
        for note in notes.iter().filter(|note| note.owner == NAME) {
            match note.kind {
                NETWORK => {
                    all.network = true;
                    let (words, _) = note.content.as_chunks::<PORT_BYTES>();
                    all.ports.extend(words.iter().filter_map(|word| Port::of(*word)));
                }
                DISK => all.disk = true,
                CONSOLE_END => all.console_end = true,
                _ => {}
            }
        }
        all
    }
}

impl Port {
    fn of([low, high, protocol, zero]: [u8; PORT_BYTES]) -> Option<Self> {
        let number = u16::from_le_bytes([low, high]);
        let is_known = (protocol == TCP || protocol == UDP) && zero == 0 && number != 0;
        is_known.then_some(Self { number, is_udp: protocol == UDP })
    }
}

#[cfg(test)]
mod tests {
    use freestone_protocol::wants::port;

    use super::*;

    fn note<'a>(owner: &'static [u8], kind: u32, content: &'a [u8]) -> Note<'a> {
        Note { owner, kind, content, address: 0 }
    }

    fn ports(content: &[u8]) -> Vec<(u16, bool)> {
        let wants = Wants::of(&[note(NAME, NETWORK, content)]);
        assert!(wants.network && !wants.disk);
        wants.ports.iter().map(|port| (port.number, port.is_udp)).collect()
    }

    #[test]
    fn notes_add_up() {
        let (http, dns) = (port(TCP, 80).to_le_bytes(), port(UDP, 53).to_le_bytes());
        let all = [
            note(NAME, 1, b""),
            note(NAME, DISK, b""),
            note(NAME, NETWORK, b""),
            note(NAME, NETWORK, &http),
            note(NAME, NETWORK, &dns),
            note(NAME, NETWORK, &http),
            note(NAME, CONSOLE_END, b""),
        ];
        let wants = Wants::of(&all);
        assert!(wants.network && wants.disk && wants.console_end);
        let [dns, http] = [(53, true), (80, false)].map(|(number, is_udp)| Port { number, is_udp });
        assert_eq!(wants.ports, BTreeSet::from([dns, http]));
        assert_eq!(Wants::of(&all[..1]), Wants::default());
        assert_eq!(Wants::of(&[note(b"Xen", NETWORK, b"")]), Wants::default());
    }

    #[test]
    fn what_means_nothing_asks_for_nothing() {
        let port = port(TCP, 0xffff).to_le_bytes();
        assert_eq!(ports(&[]), []);
        assert_eq!(ports(&port), [(0xffff, false)]);
        assert_eq!(ports(&port[..3]), []);
        assert_eq!(ports(&[&port[..], &port[..2]].concat()), [(0xffff, false)]);
        for word in [[0, 0, TCP, 0], [80, 0, 1, 0], [80, 0, TCP, 1], [0xff; 4]] {
            assert_eq!(ports(&word), [], "{word:?}");
        }
    }
}
