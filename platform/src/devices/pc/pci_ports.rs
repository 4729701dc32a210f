//! PCI's configuration space by two ports: the address of a word goes to one, the word comes by the other.
//!
//! Interrupts are out between the two, so that no handler changes the address; an NMI's must keep away.
//!
//! Source: PCI Local Bus 3.0, 3.2.2.3.2 (configuration mechanism 1).

use crate::x86_64::cpu;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLED: u32 = 1 << 31;

/// The word at `address`: bus, device, function and offset from bit 16, 11, 8 and 0 on.
pub fn read(address: u32) -> u32 {
    cpu::without_interrupts(|| {
        // SAFETY: the two ports are PCI's or nobody's; reading changes nothing.
        unsafe {
            cpu::outl(ADDRESS, ENABLED | address);
            cpu::inl(DATA)
        }
    })
}

/// Writes it.
pub fn write(address: u32, value: u32) {
    cpu::without_interrupts(|| {
        // SAFETY: as in `read`; what is written is for the caller to get right.
        unsafe {
            cpu::outl(ADDRESS, ENABLED | address);
            cpu::outl(DATA, value);
        }
    });
}
