//! Counts what booting and the first line cost. Run with `--icount`, a tick is an instruction.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use freestone::platform::x86_64::cpu::ticks;

freestone::entry!(main, audit: exit);

fn main(boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!("Hello, world");
    let to_text = ticks() - boot.entry_ticks();
    freestone::println!("entry to main: {} ticks", boot.boot_ticks());
    freestone::println!("entry to text: {to_text} ticks");
    freestone::Exit::Success
}
