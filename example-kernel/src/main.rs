//! The reference unikernel: it shows and checks every layer of Freestone, then ends with a verdict.
//!
//! ```text
//! cargo freestone run                    # the tour
//! cargo freestone run -- verbose         # the same, with the most detailed log
//! ```
//!
//! The words of the command line are the kernel's arguments. `oneshot` ends after the tour, which is
//! also what happens without it: there is no service to go on with yet.
//!
//! Everything here is safe code. Where to look: [`tour`] for what a kernel can do once `main` runs;
//! this file for how one begins and ends.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod tour;

use freestone::{BootInfo, Exit, println};
use log::LevelFilter;

freestone::entry!(main, audit: exit);
// What channels between tasks want.
freestone::critical_section!();

/// By now the machine is up: memory is mapped, faults are caught, the heap is filled.
fn main(boot: &'static BootInfo) -> Exit {
    let level = if boot.has_argument("verbose") { LevelFilter::Trace } else { LevelFilter::Info };
    if let Err(refused) = freestone::logger::init(level) {
        println!("no log: {refused}");
    }

    println!("Freestone example kernel {}", env!("CARGO_PKG_VERSION"));
    let failures = tour::STOPS.iter().filter(|stop| !visit(stop, boot)).count();

    let stops = tour::STOPS.len();
    println!();
    if failures == 0 {
        println!("VERDICT: success, all {stops} stops of the tour are as they should be");
        Exit::Success
    } else {
        println!("VERDICT: failure, {failures} of {stops} stops are not as they should be");
        Exit::Failure
    }
}

/// Shows one stop of the tour; returns whether all was well.
fn visit(stop: &tour::Stop, boot: &'static BootInfo) -> bool {
    println!("\n[{}]", stop.name);
    match (stop.show)(boot) {
        Ok(()) => true,
        Err(what) => {
            log::error!("{}: {what}", stop.name);
            false
        }
    }
}
