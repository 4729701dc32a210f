//! Chooses the machine that the crate is built for, and lists what every machine must define.
//!
//! No other file asks for the processor: code outside the machines' own folders uses `arch::…`. A new machine is a folder
//! beside `x86_64` that defines these names, the families of devices that belong to it, and its lines here.
//!
//! | name | what it is |
//! |---|---|
//! | `page_table::active` | the page tables in use: `map`, `map_device`, `map_firmware`, `map_guard`, `unmap`, `protect`, `translate`, `is_busy`, `highest_physical` |
//! | `page_table::audit` | the check of these page tables: `audit`, `audit_at_exit`, `Audit`, `Violation` |
//! | `page_table::format` | `HIGHEST`: the end of the addresses that can be mapped |
//! | `boot` | what only this machine does on the way to `main`: `silence`, `begin`, `Reader`, `complete`, `protect`, `end`, `root_pointer`, `LOW_MEMORY`, `Error`, `MapError` |
//! | `clock` | `nanoseconds_since_boot`, `wall`, `battery`, `rate`, `FASTEST_HERTZ` |
//! | `consoles` | `detect`: registers those that the machine has; `listen`, `take`: what is typed there |
//! | `cpu` | `ticks`, `without_interrupts`, `disable_interrupts`, `hypervisor_signature` |
//! | `entropy` | `word`: the processor's source of random words |
//! | `trap::interrupts` | `handle`, `allocate`, `release`, `enable`, `disable`, `are_enabled`, `without`, `wait`, `in_handler`, `unexpected`, `slots` |
//! | `lines` | lines and messages that interrupt: `connect`, `message`, `pci`, `Line`, `Message`, `Error` |
//! | `more_handlers` | `slots`: registries of handlers beside the two of traps and interrupts |
//! | `one_shot` | the timer that fires once: `Timer`, `TimerKind`, `Error`, `fire_in`, `stop`, `vector` |
//! | `power` | `end`, `prepare`, `Error` |
//! | `trap::stacks` | `all`, `set_boot`, `call_on` |
//! | `trap::frame` | `Frame`, `Handler`, `Outcome` |
//! | `trap::traps` | exceptions: public as a whole, since each machine has different ones; every machine defines `slots`, `in_handler` |
//! | `pci_ports` | `read`, `write`: PCI's configuration by ports; where there are none, every word is all ones |
//! | `RSDP_AREA` | where firmware leaves ACPI's root pointer |

#[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
#[path = "x86_64/mod.rs"]
pub mod x86_64;
#[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
use x86_64 as machine;

#[cfg(freestone_machine = "stubs")]
#[path = "stubs.rs"]
mod machine;

#[cfg(not(any(target_arch = "x86_64", freestone_machine = "stubs")))]
compile_error!("freestone-platform knows x86_64 only so far");

pub(crate) use machine::{
    RSDP_AREA, boot, clock, consoles, cpu, entropy, more_handlers, page_table, trap,
};

pub use machine::trap::traps;
#[cfg(freestone_machine = "stubs")]
pub(crate) use machine::{lines, one_shot, pci_ports, power};

// Of its devices.
#[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
pub(crate) use pc::{apic_timer as one_shot, io_apic as lines, pci_ports, power};

#[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
#[path = "devices/pc/mod.rs"]
pub mod pc;

/// The machine under its own name, for the crate's root.
pub mod named {
    #[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
    pub use super::x86_64;
}

/// The families of devices that go with it, for [`devices`](crate::devices).
pub mod families {
    #[cfg(all(target_arch = "x86_64", not(freestone_machine = "stubs")))]
    pub use super::pc;
}
