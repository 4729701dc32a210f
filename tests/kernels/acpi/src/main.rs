//! Prints ACPI's tables, and powers the machine off by them.
#![no_std]
#![no_main]

use freestone::devices::acpi::{self, Entry};
use freestone::{BootInfo, Exit, exit, println};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    if let Err(error) = describe() {
        println!("{error}");
    }
    match exit::prepare_power_off() {
        Ok(()) => println!("prepared"),
        Err(error) => println!("not prepared: {error}"),
    }
    assert_eq!(exit::prepare_power_off().is_ok(), exit::prepare_power_off().is_ok());
    Exit::Success
}

fn describe() -> Result<(), acpi::Error> {
    let tables = acpi::tables()?;
    match tables.hpet() {
        Ok(address) => println!("hpet: {:#x}", address.as_u64()),
        Err(error) => println!("hpet: {error}"),
    }
    println!("power off: {:x?}", tables.power_off());
    println!("reset: {:x?}", tables.reset());
    let controllers = tables.controllers()?;
    println!("local APIC: {:#x}, 8259: {}", controllers.local_apic(), controllers.has_8259());
    for entry in controllers.entries() {
        println!("{entry:x?}");
    }
    // A processor, and something that is wired to it.
    let is = |wanted: fn(&Entry) -> bool| controllers.entries().any(|entry| wanted(&entry));
    assert!(is(|entry| matches!(entry, Entry::Processor { is_usable: true, .. })));
    assert!(is(|entry| matches!(entry, Entry::IoApic(_))));
    println!("described");
    Ok(())
}
