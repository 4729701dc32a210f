//! Where PCI's configuration space is, and virtio devices that are on no bus.

use super::super::*;
use super::{Pieces, dump, find};
use crate::interrupts::{Polarity, Trigger, Wire};
use std::vec::Vec;

#[test]
fn pci_configuration_is_where_the_table_says() {
    let spaces =
        |pieces: &Pieces| find(pieces).unwrap().pci_spaces().map(Iterator::collect::<Vec<_>>);
    let space = |segment, start, buses| PciSpace { segment, start: PhysAddr::new(start), buses };
    assert_eq!(spaces(&dump("q35")), Ok(std::vec![space(0, 0xb000_0000, 0..=255)]));
    assert_eq!(spaces(&dump("pc")), Err(Error::Missing(MCFG)));
    let mut pieces = dump("q35");
    let with = |entries: &[(u64, u16, u8, u8)], table: &mut Vec<u8>| {
        table.resize(HEAD_BYTES + 8, 0);
        for &(start, segment, first, last) in entries {
            table.extend(start.to_le_bytes());
            table.extend(segment.to_le_bytes());
            table.extend([first, last, 0, 0, 0, 0]);
        }
    };
    // The second has its buses the wrong way round, the others are at addresses that cannot be.
    let entries = [
        (0x1000_0000, 3, 5, 5),
        (0x2000_0000, 0, 2, 1),
        (0, 0, 0, 1),
        (1 << 60, 0, 0, 1),
        (8, 0, 0, 1),
    ];
    pieces.replace(MCFG, |table| with(&entries, table));
    assert_eq!(spaces(&pieces), Ok(std::vec![space(3, 0x1000_0000, 5..=5)]));
    // What is less than an entry at the end is none.
    pieces.replace(MCFG, |table| table.extend([1; 15]));
    assert_eq!(spaces(&pieces), Ok(std::vec![space(3, 0x1000_0000, 5..=5)]));
    pieces.replace(MCFG, |table| table.truncate(HEAD_BYTES + 7));
    assert!(matches!(spaces(&pieces), Err(Error::Corrupt(MCFG, _, Damage::Length))));
    pieces.replace(MCFG, |table| with(&[entries[0]; 65], table));
    assert!(matches!(spaces(&pieces), Err(Error::Corrupt(MCFG, _, Damage::Count))));
}

/// A device in AML, as QEMU 7.2 writes it, with these resources.
fn virtio(resources: &[u8]) -> Vec<u8> {
    let mut aml = b"\x08_HID\x0dLNRO0005\0\x08_UID\0\x08_CCA\x01\x08_CRS\x11".to_vec();
    aml.extend([resources.len() as u8 + 3, 0x0a, resources.len() as u8]);
    aml.extend(resources);
    aml
}

#[test]
fn virtio_devices_without_a_bus_are_found_in_what_compilers_write() {
    let memory = b"\x86\x09\0\x01\0\x2e\xb0\xfe\0\x02\0\0";
    let interrupt = |flags, line| [0x89, 6, 0, flags, 1, line, 0, 0, 0];
    let end = [0x79, 0];
    let found =
        |aml: &[u8]| virtio::devices(aml).map(|(at, wire)| (at.as_u64(), wire)).collect::<Vec<_>>();
    let wire = |line, trigger, polarity| Wire { line, trigger, polarity };
    let first = virtio(&[&memory[..], &interrupt(0x01, 47), &end].concat());
    // Firecracker's order and flags; what is not known between.
    let second = virtio(&[&interrupt(0x07, 5)[..], &[0x22, 1, 0], &memory[..], &end].concat());
    let both = [&b"rubbish"[..], &first, &second].concat();
    assert_eq!(
        found(&both),
        [
            (0xfeb0_2e00, wire(47, Trigger::Level, Polarity::High)),
            (0xfeb0_2e00, wire(5, Trigger::Edge, Polarity::Low)),
        ]
    );
    // Of a device that lacks something nothing is made up from the next one.
    for wrong in [
        virtio(&[&memory[..], &end].concat()),
        virtio(&[&interrupt(1, 1)[..], &end].concat()),
        virtio(&end),
        virtio(&[0x86]),
        virtio(&[0x86, 0xff, 0xff, 1]),
        virtio(&[&memory[..], &[0x89, 1, 0, 0]].concat()),
        b"LNRO0005".to_vec(),
        b"LNRO0005\x08_CRS\x11".to_vec(),
        b"LNRO0005\x08_CRS\x11\x40".to_vec(),
        b"LNRO0005\x08_CRS\x11\x05\x0a".to_vec(),
        b"LNRO0005\x08_CRS\x11\x05\x0a\xff\x79\0".to_vec(),
    ] {
        assert_eq!(found(&wrong), [], "{}", wrong.escape_ascii());
        assert_eq!(found(&[&wrong[..], &first].concat()).len(), 1, "{}", wrong.escape_ascii());
    }
    for len in 0..first.len() - end.len() {
        assert_eq!(found(&first[..len]), [], "{len}");
    }
    // In the tables of a machine: at the end of its code.
    let mut pieces = dump("microvm");
    let count = |pieces: &Pieces| find(pieces).unwrap().virtio_devices().map(Iterator::count);
    assert_eq!(count(&pieces), Ok(0));
    pieces.replace(DSDT, |table| table.extend(&first));
    assert_eq!(count(&pieces), Ok(1));
}
