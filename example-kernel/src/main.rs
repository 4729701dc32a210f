//! The reference unikernel: a web server with a status page and a key-value store, and a tour of every layer of Freestone.
//!
//! ```text
//! cargo freestone run                                # serves, and prints its address; Ctrl-C ends it
//! cargo freestone run --disk FILE                    # the same with a store on a disk
//! cargo freestone run -- oneshot                     # the tour, which ends with a verdict
//! ```
//!
//! The words of the command line are the kernel's arguments: `ip=` as Linux has it, `ntp=SERVER`, `verbose` for the most
//! detailed log. On a machine without a network there is nobody to serve, and the tour is what it shows.
//!
//! Everything here is safe code. Where to look: [`server`] for what a service is made of, [`tour`] for what any kernel can
//! do; this file for how one begins and ends.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod clock;
mod log_tail;
mod machine;
mod server;
mod tour;

use freestone::net::StartError;
use freestone::{BootInfo, Exit, net, println, task};
use log::LevelFilter;

freestone::entry!(main, audit: exit, multiboot2: on);
freestone::critical_section!();
freestone::task_time_driver!();

/// By now the machine is up: memory is mapped, faults are caught, the heap is filled.
fn main(boot: &'static BootInfo) -> Exit {
    log_tail::keep();
    let level = if boot.has_argument("verbose") { LevelFilter::Trace } else { LevelFilter::Info };
    if let Err(refused) = freestone::logger::init(level) {
        println!("no log: {refused}");
    }
    println!("Freestone example kernel {}", env!("CARGO_PKG_VERSION"));
    if boot.has_argument("oneshot") {
        return take_the_tour(boot);
    }
    match net::start(boot) {
        Ok(net) => task::block_on(server::run(boot, net)),
        Err(StartError::Absent) => take_the_tour(boot),
        Err(error) => {
            println!("no network: {error}");
            Exit::Failure
        }
    }
}

/// Shows all stops of the tour; a success if all was well.
fn take_the_tour(boot: &'static BootInfo) -> Exit {
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
