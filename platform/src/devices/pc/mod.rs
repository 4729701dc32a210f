//! What a PC has beside its processor: each device a file, reached by ports and by memory.

pub mod apic;
pub mod apic_timer;
pub(crate) mod debug_port;
pub(crate) mod hpet;
pub mod io_apic;
pub(crate) mod pci_ports;
pub(crate) mod pit;
pub mod power;
pub(crate) mod rtc;
pub(crate) mod uart16550;
