//! Configuration space by a model: as the standard draws it, and by functions that lie.

use super::message::{disable, route, table, take_over};
use super::space::*;
use super::walk::{self, Host};
use super::*;
use crate::interrupts::Message;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

/// A function whose words keep the bits that may be written.
#[derive(Clone)]
struct Model {
    words: RefCell<[u32; 64]>,
    writable: [u32; 64],
    /// How often a base address register was written while the function answered.
    moved_alive: Cell<u32>,
}

impl Model {
    fn new(words: &[(u16, u32)]) -> Model {
        let mut all = [0; 64];
        all[0] = 0x11e8_1234;
        for &(offset, word) in words {
            all[usize::from(offset / 4)] = word;
        }
        let mut writable = [0; 64];
        writable[1] = 0x0000_ffff;
        Model { words: RefCell::new(all), writable, moved_alive: Cell::new(0) }
    }

    /// With a base address register, answering.
    fn bar(mut self, index: usize, value: u32, writable: u32) -> Model {
        self.words.get_mut()[4 + index] = value;
        self.words.get_mut()[1] |= 3;
        self.writable[4 + index] = writable;
        self
    }

    fn writable(mut self, offset: u16, bits: u32) -> Model {
        self.writable[usize::from(offset / 4)] = bits;
        self
    }
}

impl Registers for Model {
    fn read(&self, offset: u16) -> u32 {
        self.words.borrow().get(usize::from(offset / 4)).copied().unwrap_or(u32::MAX)
    }

    fn write(&self, offset: u16, value: u32) {
        let at = usize::from(offset / 4);
        let mut words = self.words.borrow_mut();
        if (4..10).contains(&at) && words[1] & 3 != 0 {
            self.moved_alive.set(self.moved_alive.get() + 1);
        }
        if let Some(word) = words.get_mut(at) {
            *word = *word & !self.writable[at] | value & self.writable[at];
        }
    }
}

const LIST: (u16, u32) = (COMMAND, 1 << 20);

#[test]
fn bars_are_what_the_standard_draws() {
    // A MiB in 32 bits; 16 KiB in 64, prefetchable, above 4 GiB; ports; nothing.
    let model = Model::new(&[])
        .bar(0, 0xfea0_0000, 0xfff0_0000)
        .bar(1, 0x0000_400c, 0xffff_c000)
        .bar(2, 0x0000_0008, 0xffff_ffff)
        .bar(3, 0x0000_c001, 0xffff_ffe0);
    let before = *model.words.borrow();
    let is = |start, len| Ok(Bar { start: PhysAddr::new(start), len });
    assert_eq!(bar(&model, 0), is(0xfea0_0000, 1 << 20));
    assert_eq!(bar(&model, 1), is(0x8_0000_4000, 1 << 14));
    assert_eq!(bar(&model, 2), Err(Error::NoSuchBar(2)), "the upper half of 1");
    assert_eq!(bar(&model, 3), Err(Error::Ports(3)));
    for index in [4, 5, 6, 255] {
        assert_eq!(bar(&model, index), Err(Error::NoSuchBar(index)));
    }
    assert_eq!(*model.words.borrow(), before, "nothing is left changed");
    assert_eq!(model.moved_alive.get(), 0);
}

#[test]
fn bars_that_cannot_be_are_refused() {
    let first = |value, writable| bar(&Model::new(&[]).bar(0, value, writable), 0);
    assert_eq!(first(0, 0xffff_f000), Err(Error::Unassigned(0)));
    assert_eq!(first(0xfea0_0002, 0xfff0_0000), Err(Error::BadBar(0)), "below 1 MiB");
    assert_eq!(first(0xfea0_1000, 0xfff0_0000), Err(Error::BadBar(0)), "not at a multiple");
    assert_eq!(first(0xfe00_0000, 0xff0f_0000), Err(Error::BadBar(0)), "a hole in the size");
    assert_eq!(first(0xfea0_0000, 0), Err(Error::BadBar(0)), "it cannot be changed");
    assert_eq!(first(0, 0), Err(Error::NoSuchBar(0)), "it is not there");
    // The last one has no other for its upper half.
    let last = Model::new(&[]).bar(5, 0xfea0_0004, 0xfff0_0000);
    assert_eq!(bar(&last, 5), Err(Error::BadBar(5)));
    // Above what an address can be; an end beyond.
    let wide = |high, mask| bar(&Model::new(&[]).bar(0, 4, 0xffff_0000).bar(1, high, mask), 0);
    assert_eq!(wide(0x8000_0000, u32::MAX), Err(Error::BadBar(0)));
    assert_eq!(wide(1 << 20, u32::MAX), Err(Error::BadBar(0)));
    assert_eq!(wide(0, 0), Err(Error::Unassigned(0)));
    // Unassigned, and firmware has it answer nowhere yet: it would be put over address 0.
    let model = Model::new(&[]).bar(0, 0xfea0_0000, 0xfff0_0000).bar(1, 0, 0xffff_f000);
    model.write(COMMAND, 0);
    assert_eq!(answer(&model), Err(Error::Unassigned(1)));
    assert_eq!(model.read(COMMAND), 0);
    model.write(COMMAND, ANSWERS_IN_MEMORY.into());
    assert_eq!(answer(&model), Ok(()));
    // A bridge has two, what is neither has none, and what has gone away has none.
    let bridge = Model::new(&[(0x0c, 1 << 16)]).bar(2, 0xfea0_0000, 0xfff0_0000);
    assert_eq!(bar(&bridge, 2), Err(Error::NoSuchBar(2)));
    let other = Model::new(&[(0x0c, 2 << 16)]).bar(0, 0xfea0_0000, 0xfff0_0000);
    assert_eq!(bar(&other, 0), Err(Error::NoSuchBar(0)));
    let gone = Model { words: RefCell::new([u32::MAX; 64]), ..Model::new(&[]) };
    assert_eq!(bar(&gone, 0), Err(Error::NoSuchBar(0)));
}

#[test]
fn parts_lie_inside() {
    let bar = Bar { start: PhysAddr::new(0x1000), len: 0x100 };
    assert_eq!(bar.part(0xf0, 0x10).map(PhysAddr::as_u64), Some(0x10f0));
    for (offset, len) in [(0, 0), (0xf1, 0x10), (0, 0x101), (u64::MAX, 2), (0x101, u64::MAX)] {
        assert_eq!(bar.part(offset, len), None, "{offset:#x} {len:#x}");
    }
}

#[test]
fn lists_of_capabilities_end() {
    let list = |words: &[(u16, u32)]| -> Vec<_> {
        capabilities(&Model::new(words)).map(|one| (one.id, one.offset)).collect()
    };
    let good = [LIST, (0x34, 0x43), (0x40, 0x5011), (0x50, 0xfc05), (0xfc, 0x0009)];
    assert_eq!(list(&good), [(0x11, 0x40), (5, 0x50), (9, 0xfc)]);
    assert_eq!(list(&good[1..]), [], "its status says that there is none");
    assert_eq!(list(&[LIST, (0x34, 0x10)]), [], "in the head");
    assert_eq!(list(&[LIST, (0x34, 0x40), (0x40, 0x4009)]).len(), 48, "round in a circle");
    assert_eq!(list(&[LIST, (0x34, 0x40), (0x40, 0x8009), (0x80, 0x4009)]).len(), 48);
    assert_eq!(list(&[(0, u32::MAX), LIST, (0x34, 0x40), (0x40, 0x4009)]), [], "nobody there");
}

fn message() -> Message {
    Message { address: 0xfee0_1000, data: 0x41 }
}

#[test]
fn one_message_is_routed() {
    for is_long in [false, true] {
        let control = if is_long { 0x00ba_0005 } else { 0x003a_0005 };
        let data_at = if is_long { 0x4c } else { 0x48 };
        // Firmware has left it on, with several messages, and MSI-X too.
        let model = Model::new(&[LIST, (0x34, 0x40), (0x40, control | 1 << 16 | 0x6000)])
            .writable(0x40, 0x0071_0000)
            .writable(0x44, 0xffff_fffc)
            .writable(0x48, u32::MAX)
            .writable(data_at, 0x0000_ffff)
            .writable(0x60, 0xc000_0000);
        model.words.borrow_mut()[0x18] = 0x8000_0011;
        assert_eq!(route(&model, message()), Ok(()));
        assert_eq!(model.read(0x44), 0xfee0_1000);
        assert_eq!((model.read(data_at), is_long && model.read(0x48) != 0), (0x41, false));
        assert_eq!(model.read(0x40) >> 16 & 0x71, 1, "on, and one of them");
        assert_eq!(model.read(0x60) >> 31, 0);
        assert_eq!(model.read(COMMAND) as u16, WIRE_IS_OFF);
        disable(&model);
        assert_eq!(model.read(0x40) >> 16 & 1, 0);
    }
    let none = Model::new(&[LIST, (0x34, 0x60), (0x60, 0x0011)]);
    assert_eq!(route(&none, message()), Err(Error::NoMessages));
    // Its address register keeps nothing; at the end of the space there are no registers at all.
    let dead = Model::new(&[LIST, (0x34, 0x40), (0x40, 0x0005)]);
    assert_eq!(route(&dead, message()), Err(Error::Dead));
    assert_eq!(dead.read(0x40) >> 16 & 1, 0, "and so it is off");
    let cut = Model::new(&[LIST, (0x34, 0xfc), (0xfc, 0x0005)]);
    assert_eq!(route(&cut, message()), Err(Error::Dead));
}

#[test]
fn a_table_of_messages_is_taken_over_masked() {
    let model = Model::new(&[LIST, (0x34, 0x40), (0x40, 0x0002_5011), (0x44, 0x2003), (0x50, 5)])
        .writable(0x40, 0xc000_0000)
        .writable(0x50, 0x0001_0000);
    model.write(0x50, 1 << 16);
    let place = table(&model).unwrap();
    assert_eq!((place.bar, place.offset, place.len, place.bytes()), (3, 0x2000, 3, 48));
    let mut entries = std::vec![0_u32; 12];
    let start = NonNull::new(entries.as_mut_ptr()).unwrap();
    let messages = take_over(&model, place, start.cast()).unwrap();
    assert_eq!(model.read(0x40) >> 30, 2, "on, not masked as a whole");
    assert_eq!(model.read(0x50) >> 16, 0, "MSI is off");
    messages.write_message(1, message()).unwrap();
    let no = Err(Error::NoSuchEntry { entry: 3, len: 3 });
    assert_eq!(
        (messages.write_message(3, message()), messages.mask(3), messages.unmask(3)),
        (no, no, no)
    );
    assert_eq!(entries, [0, 0, 0, 1, 0xfee0_1000, 0, 0x41, 0, 0, 0, 0, 1]);

    let dead = Model::new(&[LIST, (0x34, 0x40), (0x40, 0x0011)]);
    let place = table(&dead).unwrap();
    assert_eq!(take_over(&dead, place, start.cast()).map(|_| ()), Err(Error::Dead));
    assert_eq!(table(&Model::new(&[])), Err(Error::NoMessages));
    // At the end of the space: what is not there reads as all ones, which is no base address register.
    let cut = Model::new(&[LIST, (0x34, 0xfc), (0xfc, 0x07ff_0011)]);
    let place = table(&cut).unwrap();
    assert_eq!((place.bar, place.len), (7, 2048));
}

/// Buses by bridges, and how many there are at most.
struct Buses {
    functions: BTreeMap<(u8, u8, u8), Model>,
    reachable: core::ops::RangeInclusive<u8>,
}

impl Host for &Buses {
    type Bus = (*const Buses, u8);
    type Registers = Model;

    fn segment(&self) -> u16 {
        7
    }

    fn first_bus(&self) -> u8 {
        *self.reachable.start()
    }

    fn bus(&self, number: u8) -> Option<Self::Bus> {
        let this: *const Buses = *self;
        self.reachable.contains(&number).then_some((this, number))
    }

    fn function((buses, bus): &Self::Bus, device: u8, function: u8) -> Model {
        // SAFETY: the tests below keep it as long as they walk.
        let functions = unsafe { &(**buses).functions };
        let nobody = || Model::new(&[(0, u32::MAX)]);
        functions.get(&(*bus, device, function)).cloned().unwrap_or_else(nobody)
    }
}

fn found(buses: &Buses) -> Vec<(u8, u8, u8)> {
    let all = walk::functions(buses);
    all.map(|(at, _)| (at.bus, at.device, at.function)).collect()
}

fn bridge_to(bus: u8) -> Model {
    Model::new(&[(0x0c, 1 << 16), (0x18, u32::from(bus) << 8)])
}

#[test]
fn every_bus_is_visited_once() {
    let plain = || Model::new(&[]);
    let several = || Model::new(&[(0x0c, 0x80 << 16)]);
    let functions = BTreeMap::from([
        ((0, 0, 0), plain()),
        // Its other functions are not there: it says that it has one.
        ((0, 0, 5), plain()),
        ((0, 1, 0), bridge_to(3)),
        ((0, 31, 0), several()),
        ((0, 31, 7), plain()),
        // Without function 0 there is no device.
        ((0, 4, 1), plain()),
        ((3, 0, 0), bridge_to(0)),
        ((3, 1, 0), bridge_to(3)),
        ((3, 2, 0), bridge_to(255)),
        // Not one that anybody can reach.
        ((3, 3, 0), bridge_to(250)),
        ((255, 2, 0), plain()),
        ((250, 0, 0), plain()),
        // No bridge leads there.
        ((9, 0, 0), plain()),
    ]);
    let mut buses = Buses { functions, reachable: 0..=255 };
    buses.functions.remove(&(3, 3, 0));
    let expected = [
        (0, 0, 0),
        (0, 1, 0),
        (0, 31, 0),
        (0, 31, 7),
        (3, 0, 0),
        (3, 1, 0),
        (3, 2, 0),
        (255, 2, 0),
    ];
    assert_eq!(found(&buses), expected);
    buses.reachable = 0..=254;
    assert_eq!(found(&buses), expected[..7]);
    buses.reachable = 3..=254;
    assert_eq!(found(&buses), [(3, 0, 0), (3, 1, 0), (3, 2, 0), (0, 0, 0)][..3]);
}

#[test]
fn all_buses_full_of_bridges_come_to_an_end() {
    let mut functions = BTreeMap::new();
    for (bus, device) in (0..=255).flat_map(|bus: u8| (0..32).map(move |device| (bus, device))) {
        functions.insert((bus, device, 0), bridge_to(bus.wrapping_mul(33).wrapping_add(device)));
    }
    assert_eq!(found(&Buses { functions, reachable: 0..=255 }).len(), 256 * 32);
}

proptest! {
    /// Whatever stands in configuration space, and whatever of it can be written: an answer, and nothing beyond its end.
    #[test]
    fn any_configuration_is_read_to_an_end(
        words in prop::collection::vec(any::<u32>(), 64),
        masks in prop::collection::vec(any::<u32>(), 64),
        dense in any::<bool>(),
    ) {
        let mut model = Model::new(&[]);
        model.words.get_mut().copy_from_slice(&words);
        model.writable.copy_from_slice(&masks);
        // Often enough something that is believed so far.
        if dense {
            model.words.get_mut()[1] |= 1 << 20;
            model.words.get_mut()[3] &= !(0x7f << 16);
            for at in 16..64 {
                let id = [5, 0x11, 9][at % 3];
                model.words.get_mut()[at] = words[at] & !0xff | id;
            }
        }
        for index in (0..=7).chain([254, 255]) {
            if let Ok(bar) = bar(&model, index) {
                prop_assert!(bar.len.is_power_of_two() && bar.len >= 16);
                prop_assert!(bar.start.as_u64() != 0 && bar.start.as_u64() % bar.len == 0);
                prop_assert!(bar.start.checked_add(bar.len).is_some());
            }
        }
        prop_assert!(capabilities(&model).count() <= 48);
        let _ = (route(&model, message()), buses_behind(&model), subsystem(&model));
        if let Ok(place) = table(&model) {
            prop_assert!((1..=2048).contains(&place.len));
        }
    }
}
