mod buses;

use super::power::{PATIENCE, soft_off};
use super::*;
use crate::interrupts::{Polarity, Trigger, Wire};
use core::cell::{Cell, RefCell};
use proptest::prelude::*;
use std::format;
use std::vec::Vec;

/// Pieces of memory, as `data/` has them: address, length, bytes. Nothing is readable between them. They are what
/// QEMU 7.2 shows to its guests with 32 MiB.
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    fn parse(mut dump: &[u8]) -> Pieces {
        let mut pieces = Vec::new();
        while let (Some(at), Some(len)) = (long(dump, 0), word(dump, 8)) {
            let (bytes, rest) = dump[12..].split_at(len as usize);
            pieces.push((at, bytes.to_vec()));
            dump = rest;
        }
        Pieces(pieces)
    }

    /// Puts something else in the place of a table, with its length and checksum made right.
    fn replace(&mut self, signature: Signature, change: impl FnOnce(&mut Vec<u8>)) {
        let is_it = |piece: &&mut (u64, Vec<u8>)| piece.1.starts_with(&signature.0);
        let table = &mut self.0.iter_mut().find(is_it).expect("it is there").1;
        change(table);
        let len = (table.len() as u32).to_le_bytes();
        table[4..8].copy_from_slice(&len);
        mend(table);
    }
}

fn mend(table: &mut [u8]) {
    table[9] = 0;
    table[9] = 0_u8.wrapping_sub(table.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
}

impl Memory for &Pieces {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        // The area that is searched is longer than what is in it.
        let piece = |(start, bytes): &&(u64, Vec<u8>)| {
            (*start..*start + bytes.len() as u64).contains(&address)
        };
        let (start, bytes) = self.0.iter().find(piece)?;
        bytes.get((address - start) as usize..)?.get(..len)
    }
}

const DUMPS: [(&str, &[u8]); 3] = [
    ("pc", include_bytes!("data/pc.acpi")),
    ("q35", include_bytes!("data/q35.acpi")),
    ("microvm", include_bytes!("data/microvm.acpi")),
];

fn dump(name: &str) -> Pieces {
    Pieces::parse(DUMPS.iter().find(|(other, _)| *other == name).expect("a dump").1)
}

fn find(pieces: &Pieces) -> Result<Tables<&Pieces>, Error> {
    Tables::find(pieces, Some(pieces.0[0].0), 0..0)
}

/// Everything that can be asked; that it comes back is half of the tests below.
fn ask_everything(pieces: &Pieces) -> [Option<Error>; 5] {
    let tables = match find(pieces) {
        Ok(tables) => tables,
        Err(error) => return [Some(error); 5],
    };
    let controllers = tables.controllers().and_then(|controllers| {
        assert!(controllers.entries().count() < 1 << 20);
        let _ = (controllers.local_apic(), controllers.has_8259(), controllers.io_apics().count());
        (0..16).chain([255]).try_for_each(|irq| controllers.isa(irq).map(drop))
    });
    let answers = [
        controllers.err(),
        tables.hpet().err(),
        tables.power_off().err(),
        tables.reset().err(),
        tables.first(Signature(*b"NONE")).err(),
    ];
    assert!(tables.pci_spaces().map_or(0, Iterator::count) <= 64);
    assert!(tables.virtio_devices().map_or(0, Iterator::count) < 1 << 20);
    for error in answers.iter().flatten() {
        assert!(format!("{error}").len() > 20);
    }
    answers
}

#[test]
fn pc_and_q35_are_understood() {
    for (name, enable, reset) in [
        ("pc", (0xb2, 0xf1), None),
        ("q35", (0xb2, 2), Some(Reset { register: Register::Port(0xcf9), value: 0x0f })),
    ] {
        let pieces = dump(name);
        let tables = find(&pieces).unwrap();
        assert_eq!(tables.hpet().unwrap().as_u64(), 0xfed0_0000, "{name}");
        let control = [Some(Register::Port(0x604)), None];
        let enable = Some(enable);
        let off = PowerOff::Fixed { control, sleep_type: [0, 0], enable };
        assert_eq!(tables.power_off(), Ok(off), "{name}");
        assert_eq!(tables.reset().ok(), reset, "{name}");
        let controllers = tables.controllers().unwrap();
        assert_eq!(controllers.local_apic(), 0xfee0_0000);
        assert!(controllers.has_8259());
        let io_apics: Vec<_> = controllers.io_apics().collect();
        assert_eq!(io_apics, [IoApic { id: 0, address: 0xfec0_0000, first_line: 0 }]);
        assert_eq!(controllers.isa(0), Ok(Wire::isa(2)));
        assert_eq!(controllers.isa(4), Ok(Wire::isa(4)));
        let level = Wire { line: 9, trigger: Trigger::Level, polarity: Polarity::High };
        assert_eq!(controllers.isa(9), Ok(level));
        let first = controllers.entries().next();
        assert_eq!(first, Some(Entry::Processor { uid: 0, apic: 0, is_usable: true }));
    }
}

#[test]
fn microvm_is_understood() {
    let pieces = dump("microvm");
    let tables = find(&pieces).unwrap();
    assert_eq!(tables.hpet(), Err(Error::Missing(HPET)));
    let control = Register::Memory(0xfea0_0200);
    assert_eq!(tables.power_off(), Ok(PowerOff::Reduced { control, sleep_type: 5 }));
    let reset = Reset { register: Register::Memory(0xfea0_0202), value: 0x42 };
    assert_eq!(tables.reset(), Ok(reset));
    let controllers = tables.controllers().unwrap();
    let lines: Vec<_> = controllers.io_apics().map(|io_apic| io_apic.first_line).collect();
    assert_eq!(lines, [0, 24]);
    // It overrides nothing.
    assert_eq!(controllers.isa(0), Ok(Wire::isa(0)));
}

#[test]
fn the_root_pointer_is_searched_for() {
    let mut pieces = dump("q35");
    let pointer = pieces.0[0].1.clone();
    let mut area = std::vec![0x52_u8; 0x2_0000];
    let area_at = 0xe_0000;
    let search = |pieces: &Pieces| Tables::find(pieces, None, area_at..area_at + 0x2_0000).err();
    pieces.0[0] = (area_at, area.clone());
    assert_eq!(search(&pieces), Some(Error::Absent));
    // One that is damaged, one in the wrong place, one that is cut off, and one that counts.
    area[0x100..0x100 + pointer.len()].copy_from_slice(&pointer);
    area[0x100 + 10] ^= 1;
    area[0x208..0x208 + pointer.len()].copy_from_slice(&pointer);
    area[0x1_fff0..].copy_from_slice(&pointer[..16]);
    pieces.0[0].1 = area.clone();
    assert_eq!(search(&pieces), Some(Error::Absent));
    area[0x1_0000..0x1_0000 + pointer.len()].copy_from_slice(&pointer);
    pieces.0[0].1 = area;
    assert_eq!(search(&pieces), None);
    assert_eq!(Tables::find(&pieces, None, 0..0x1000).err(), Some(Error::Absent));
}

#[test]
fn every_damaged_byte_is_noticed_where_it_matters() {
    for (name, bytes) in DUMPS {
        let whole = Pieces::parse(bytes);
        let good = ask_everything(&whole);
        for piece in 0..whole.0.len() {
            for at in 0..whole.0[piece].1.len() {
                let mut pieces = Pieces::parse(bytes);
                pieces.0[piece].1[at] ^= 0x5a;
                let bad = ask_everything(&pieces);
                let signature = &whole.0[piece].1[..4];
                let asked: &[usize] = match signature {
                    b"RSD " if at < 20 => &[0, 1, 2, 3, 4],
                    b"RSDT" | b"XSDT" => &[0, 1, 2, 3, 4],
                    b"APIC" => &[0],
                    b"HPET" => &[1],
                    b"FACP" => &[2, 3],
                    b"DSDT" => &[2],
                    _ => &[],
                };
                for &index in asked {
                    assert!(bad[index].is_some(), "{name}: {signature:?}, byte {at}, {bad:?}");
                }
                let others = (0..4).filter(|index| !asked.contains(index));
                for index in others.filter(|_| signature != b"RSD ") {
                    assert_eq!(bad[index].is_some(), good[index].is_some(), "{name}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn memory_that_ends_too_soon_is_noticed() {
    for (name, bytes) in DUMPS {
        let whole = Pieces::parse(bytes);
        for piece in 0..whole.0.len() {
            for len in 0..whole.0[piece].1.len() {
                let mut pieces = Pieces::parse(bytes);
                pieces.0[piece].1.truncate(len);
                let bad = ask_everything(&pieces);
                if matches!(&whole.0[piece].1[..4], b"RSDT" | b"XSDT" | b"RSD ") {
                    assert!(bad.iter().all(Option::is_some), "{name}: {len}");
                } else {
                    let is_known = |error: &Error| matches!(error, Error::Unreachable(..));
                    let missing = bad.iter().flatten().any(is_known);
                    let is_asked = [b"APIC", b"FACP", b"DSDT", b"HPET"]
                        .iter()
                        .any(|known| whole.0[piece].1.starts_with(*known));
                    assert!(missing || !is_asked, "{name}: piece {piece}, {len}: {bad:?}");
                }
            }
        }
    }
}

#[test]
fn tables_that_name_each_other_or_themselves_end() {
    let mut pieces = dump("q35");
    let root = pieces.0[1].0;
    pieces.replace(RSDT, |table| {
        table.truncate(HEAD_BYTES);
        for _ in 0..MOST_TABLES {
            table.extend((root as u32).to_le_bytes());
        }
    });
    assert_eq!(find(&pieces).unwrap().power_off(), Err(Error::Missing(FADT)));
    pieces.replace(RSDT, |table| table.extend((root as u32).to_le_bytes()));
    assert_eq!(find(&pieces).err(), Some(Error::Corrupt(RSDT, root, Damage::Count)));
    // The FADT names itself as the DSDT.
    let mut pieces = dump("microvm");
    let fadt = pieces.0.iter().find(|piece| piece.1.starts_with(b"FACP")).unwrap().0;
    pieces.replace(FADT, |table| table[140..148].copy_from_slice(&fadt.to_le_bytes()));
    let error = Error::Corrupt(DSDT, fadt, Damage::Signature);
    assert_eq!(find(&pieces).unwrap().power_off(), Err(error));
}

#[test]
fn tables_inside_others_are_tables() {
    // The HPET's, at the end of the MADT, in an entry of a kind that nobody knows.
    let mut pieces = dump("q35");
    let find_piece = |pieces: &Pieces, signature: &[u8]| {
        pieces.0.iter().position(|piece| piece.1.starts_with(signature)).expect("it is there")
    };
    let hpet = pieces.0.remove(find_piece(&pieces, b"HPET")).1;
    let madt = find_piece(&pieces, b"APIC");
    let at = pieces.0[madt].0 + pieces.0[madt].1.len() as u64 + 2;
    pieces.replace(MADT, |table| {
        table.extend([200, 2 + hpet.len() as u8]);
        table.extend(&hpet);
    });
    pieces.replace(RSDT, |table| table.extend((at as u32).to_le_bytes()));
    let tables = find(&pieces).unwrap();
    assert_eq!(tables.hpet().unwrap().as_u64(), 0xfed0_0000);
    assert!(tables.controllers().is_ok());
    // And one that begins inside another and reaches beyond its end.
    pieces.replace(MADT, |table| {
        table.truncate(table.len() - 1);
        let entry = table.len() - hpet.len();
        table[entry] -= 1;
    });
    let error = Some(Error::Unreachable(HPET, at));
    assert_eq!(find(&pieces).unwrap().hpet().err(), error);
}

#[test]
fn a_root_pointer_may_be_longer_than_today_and_not_shorter() {
    for (len, is_good) in [(36, true), (40, true), (35, false), (0, false), (4097, false)] {
        let mut pieces = dump("microvm");
        let pointer = &mut pieces.0[0].1;
        pointer.resize(5000, 0);
        pointer[20..24].copy_from_slice(&u32::to_le_bytes(len));
        pointer[32] = 0;
        let sum = pointer[..len as usize].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        pointer[32] = 0_u8.wrapping_sub(sum);
        assert_eq!(find(&pieces).is_ok(), is_good, "{len}");
    }
}

#[test]
fn the_root_table_may_have_another_name() {
    let mut pieces = dump("q35");
    pieces.replace(RSDT, |table| table[..4].fill(0xf0));
    assert!(find(&pieces).unwrap().power_off().is_ok());
}

#[test]
fn entries_of_length_0_or_beyond_the_end_are_refused() {
    for tail in [&[0, 0][..], &[1, 1], &[7], &[1, 12, 0, 0], &[0, 2], &[2, 4, 0, 0], &[200, 0]] {
        let mut pieces = dump("pc");
        pieces.replace(MADT, |table| table.extend(tail));
        let error = find(&pieces).unwrap().controllers().err();
        assert!(
            matches!(error, Some(Error::Corrupt(MADT, _, Damage::Entry))),
            "{tail:?} {error:?}"
        );
    }
    // What is not known is passed over.
    let mut pieces = dump("pc");
    pieces.replace(MADT, |table| table.extend([200, 3, 0, 5, 12, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]));
    let tables = find(&pieces).unwrap();
    assert_eq!(tables.controllers().unwrap().local_apic(), 0x0807_0605_0403_0201);
}

#[test]
fn overrides_and_x2apic_processors_are_read() {
    let mut pieces = dump("pc");
    pieces.replace(MADT, |table| {
        table.truncate(HEAD_BYTES + 8);
        table.extend([2, 10, 0, 7, 40, 0, 0, 0, 0b1111, 0]);
        table.extend([2, 10, 0, 8, 41, 0, 0, 0, 0b1101, 0]);
        table.extend([2, 10, 0, 9, 42, 0, 0, 0, 0b0111, 0]);
        table.extend([2, 10, 0, 10, 42, 0, 0, 0, 0b0010, 0]);
        table.extend([9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
    });
    let tables = find(&pieces).unwrap();
    let controllers = tables.controllers().unwrap();
    let wire = |line, trigger, polarity| Ok(Wire { line, trigger, polarity });
    assert_eq!(controllers.isa(7), wire(40, Trigger::Level, Polarity::Low));
    assert_eq!(controllers.isa(8), wire(41, Trigger::Level, Polarity::High));
    assert_eq!(controllers.isa(9), wire(42, Trigger::Edge, Polarity::Low));
    assert!(matches!(controllers.isa(10), Err(Error::Unusable(MADT, _))));
    let processor = Entry::Processor { uid: 3, apic: 256, is_usable: true };
    assert!(controllers.entries().any(|entry| entry == processor));
}

#[test]
fn nmis_come_where_the_table_says() {
    for (name, bytes) in DUMPS {
        let pieces = Pieces::parse(bytes);
        let controllers = find(&pieces).unwrap();
        let nmis: Vec<_> = controllers.controllers().unwrap().nmis(0).collect();
        assert_eq!(nmis, [(1, Polarity::High)], "{name}");
    }
    let mut pieces = dump("pc");
    pieces.replace(MADT, |table| {
        table.truncate(HEAD_BYTES + 8);
        // Two processors, whose APICs have the numbers 8 and 0x105; a line for each, one for all, one for nobody.
        table.extend([0, 8, 7, 8, 1, 0, 0, 0]);
        table.extend([9, 16, 0, 0, 5, 1, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0]);
        table.extend([4, 6, 7, 0b11, 0, 0]);
        table.extend([10, 12, 0b01, 0, 0, 2, 0, 0, 1, 0, 0, 0]);
        table.extend([4, 6, 0xff, 0, 0, 2]);
        table.extend([10, 12, 0b11, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0]);
        table.extend([4, 6, 9, 0, 0, 1]);
    });
    let tables = find(&pieces).unwrap();
    let nmis = |apic| tables.controllers().unwrap().nmis(apic).collect::<Vec<_>>();
    let all = [(2, Polarity::High), (3, Polarity::Low)];
    assert_eq!(nmis(8), [&[(0, Polarity::Low)][..], &all].concat());
    assert_eq!(nmis(0x105), [&[(1, Polarity::High)][..], &all].concat());
    assert_eq!(nmis(1), all);
}

#[test]
fn the_sleep_type_is_found_in_what_compilers_write() {
    let good: [(&[u8], [u8; 2]); 5] = [
        (b"\x08_S5_\x12\x06\x04\0\0\0\0", [0, 0]),
        (b"xx\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x06\0\0", [5, 6]),
        (b"\x08_S5_\x12\x46\x00\x02\x01\x0b\x07\x00", [1, 7]),
        (b"_S5_\x08_S5_\x12\x06\x02\x0c\x03\0\0\0\x01", [3, 1]),
        (b"\x08_S5_\x10\x08_S5_\x12\x04\x02\x01\x01", [1, 1]),
    ];
    for (aml, expected) in good {
        assert_eq!(soft_off(aml), Some(expected), "{}", aml.escape_ascii());
    }
    let bad: [&[u8]; 7] = [
        b"",
        b"_S5_",
        b"\x08_S5_",
        b"\x08_S5_\x12",
        b"\x08_S5_\x12\x06\x04\x0a",
        b"\x08_S5_\x12\x06\x01\x01\x01",
        b"\x08_S5_\x12\x06\x04\x0a\x08\x00",
    ];
    for aml in bad {
        assert_eq!(soft_off(aml), None, "{}", aml.escape_ascii());
    }
}

/// A machine that notes what is written, and has ACPI come on after so many readings.
struct Noted {
    writes: RefCell<Vec<(Register, u16)>>,
    readings: Cell<usize>,
    on_after: Option<usize>,
}

impl Bus for Noted {
    fn read(&self, _: Register) -> u16 {
        self.readings.set(self.readings.get() + 1);
        let is_on = self.on_after.is_some_and(|after| self.readings.get() > after);
        0x1c02 | u16::from(is_on)
    }

    fn write(&self, register: Register, value: u16) {
        self.writes.borrow_mut().push((register, value));
    }

    fn write_byte(&self, register: Register, value: u8) {
        self.writes.borrow_mut().push((register, value.into()));
    }
}

fn noted(how: PowerOff, on_after: Option<usize>) -> (Vec<(Register, u16)>, usize) {
    let bus = Noted { writes: RefCell::default(), readings: Cell::new(0), on_after };
    how.carry_out(&bus);
    (bus.writes.into_inner(), bus.readings.get())
}

#[test]
fn a_machine_is_switched_off_as_the_standard_says() {
    let [a, b, smi] = [0x604, 0x704, 0xb2].map(Register::Port);
    let control = [Some(a), Some(b)];
    let off = PowerOff::Fixed { control, sleep_type: [5, 6], enable: Some((0xb2, 0xf1)) };
    let orders =
        |on: u16| [(a, 5 << 10 | on), (b, 6 << 10 | on), (a, 13 << 10 | on), (b, 14 << 10 | on)];
    // It is on already, comes on, never does.
    assert_eq!(noted(off, Some(0)).0, orders(3));
    let (writes, readings) = noted(off, Some(100));
    assert_eq!((writes[0], &writes[1..]), ((smi, 0xf1), &orders(3)[..]));
    assert!(readings < 110);
    let (writes, readings) = noted(off, None);
    assert_eq!(&writes[1..], orders(2));
    assert_eq!(readings, 1 + PATIENCE + 4, "it is waited for so long and no longer");
    let off = PowerOff::Fixed { control: [Some(a), None], sleep_type: [0, 0], enable: None };
    assert_eq!(noted(off, None).0, [(a, 2), (a, 0x2002)]);
    let off = PowerOff::Reduced { control: Register::Memory(0xfea0_0200), sleep_type: 5 };
    assert_eq!(noted(off, None).0, [(Register::Memory(0xfea0_0200), 0x34)]);
    assert_eq!(off.in_memory().collect::<Vec<_>>(), [0xfea0_0200]);
}

/// Random changes to real tables, with the checksums made right: they reach what a flipped byte does not.
fn changes() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    proptest::collection::vec((0..8_usize, 0..300_usize, any::<u8>()), 1..12)
}

proptest! {
    #[test]
    fn changed_tables_with_right_checksums_are_read_to_an_end(which in 0..3_usize, changes in changes()) {
        let mut pieces = Pieces::parse(DUMPS[which].1);
        for (piece, at, value) in changes {
            let count = pieces.0.len();
            let bytes = &mut pieces.0[1 + piece % (count - 1)].1;
            let at = at % bytes.len();
            bytes[at] = value;
            mend(bytes);
        }
        ask_everything(&pieces);
    }

    #[test]
    fn noise_is_no_table(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        ask_everything(&Pieces(std::vec![(0x1000, noise)]));
    }
}
