//! x86_64: the processor, and what every PC with it has.

pub(crate) mod boot;
pub(crate) mod calibration;
pub(crate) mod clock;
pub(crate) mod consoles;
pub mod cpu;
pub(crate) mod entropy;
pub mod entry;
pub(crate) mod kvm_clock;
mod multiboot2;
pub(crate) mod page_table;
mod pvh;
pub(crate) mod shared_clock;
pub(crate) mod ticks;
pub mod trap;
pub mod xen_events;

pub(crate) use xen_events as more_handlers;

/// Where the BIOS leaves ACPI's root pointer (ACPI 6.5, 5.2.5.1). The other place, the first KiB of the extended
/// BIOS data area, is named in page 0, which is not mapped.
pub(crate) const RSDP_AREA: core::ops::Range<u64> = 0xe_0000..0x10_0000;
