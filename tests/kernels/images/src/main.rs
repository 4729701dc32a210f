//! Says which loader started it and what it was told, and powers off by ACPI's tables.
//!
//! `fail` and `panic` on its command line are other ends than success.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use freestone::devices::acpi;
use freestone::{BootInfo, Exit, exit, println};

freestone::entry!(main, audit: exit, multiboot2: on);

fn main(boot: &'static BootInfo) -> Exit {
    println!("started by {} on {}", boot.protocol(), boot.hypervisor());
    println!("command line: [{}]", boot.command_line());
    for module in boot.modules() {
        let sum: u32 = module.bytes.iter().map(|&byte| u32::from(byte)).sum();
        let line = core::str::from_utf8(module.command_line).unwrap_or("not UTF-8");
        println!("module of {} bytes, sum {sum}: [{line}]", module.bytes.len());
    }
    println!("usable: {} MiB", boot.memory().usable_bytes() >> 20);
    match controllers() {
        Ok(count) => println!("I/O APICs: {count}"),
        Err(why) => println!("no interrupt controllers: {why}"),
    }
    if let Err(why) = exit::prepare_power_off() {
        println!("not prepared: {why}");
    }
    assert!(!boot.has_argument("panic"), "as was asked for");
    if boot.has_argument("fail") { Exit::Failure } else { Exit::Success }
}

fn controllers() -> Result<usize, acpi::Error> {
    let tables = acpi::tables()?;
    Ok(tables.controllers()?.io_apics().count())
}
