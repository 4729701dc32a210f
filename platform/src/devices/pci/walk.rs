//! The way through the buses: each bus once, whatever the bridges say.

use super::Address;
use super::space::{Registers, buses_behind, has_more, is_there};

/// A tree of buses behind one way to the processor.
pub trait Host {
    /// A bus that can be reached.
    type Bus;
    /// A function's configuration.
    type Registers: Registers;

    /// Its number among the machine's trees.
    fn segment(&self) -> u16;
    /// The bus at the root.
    fn first_bus(&self) -> u8;
    /// The bus with this number, if it can be reached.
    fn bus(&self, number: u8) -> Option<Self::Bus>;
    /// How the configuration of a function is reached, be it there or not.
    fn function(bus: &Self::Bus, device: u8, function: u8) -> Self::Registers;
}

/// A set of buses.
#[derive(Default)]
struct Buses([u64; 4]);

impl Buses {
    /// Whether it was not in it.
    fn insert(&mut self, bus: u8) -> bool {
        let (word, bit) = (&mut self.0[usize::from(bus / 64)], 1 << (bus % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn take_first(&mut self) -> Option<u8> {
        let (at, word) = (0_u8..).zip(&mut self.0).find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as u8;
        *word &= *word - 1;
        Some(64 * at + bit)
    }
}

struct Walk<H: Host> {
    host: H,
    seen: Buses,
    waiting: Buses,
    /// Where we are, until its last function has been looked at.
    bus: Option<(u8, H::Bus)>,
    /// On that bus: 8 times the device, and the function.
    place: u16,
}

/// Behind the last function of a bus.
const END: u16 = 8 * 32;

/// Every function that answers.
pub fn functions<H: Host>(host: H) -> impl Iterator<Item = (Address, H::Registers)> {
    let mut walk =
        Walk { host, seen: Buses::default(), waiting: Buses::default(), bus: None, place: END };
    walk.visit(walk.host.first_bus());
    walk
}

impl<H: Host> Walk<H> {
    /// Later, unless it has been visited.
    fn visit(&mut self, bus: u8) {
        if self.seen.insert(bus) {
            self.waiting.insert(bus);
        }
    }
}

impl<H: Host> Iterator for Walk<H> {
    type Item = (Address, H::Registers);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((number, bus)) = self.bus.as_ref().filter(|_| self.place < END) else {
                let number = self.waiting.take_first()?;
                self.bus = self.host.bus(number).map(|bus| (number, bus));
                self.place = 0;
                continue;
            };
            let (number, device, function) =
                (*number, (self.place / 8) as u8, (self.place % 8) as u8);
            self.place += 1;
            let found = Some(H::function(bus, device, function)).filter(is_there);
            if function == 0 && !found.as_ref().is_some_and(has_more) {
                self.place = 8 * (u16::from(device) + 1);
            }
            let Some(registers) = found else { continue };
            if let Some(behind) = buses_behind(&registers) {
                self.visit(*behind.start());
            }
            let segment = self.host.segment();
            return Some((Address { segment, bus: number, device, function }, registers));
        }
    }
}
