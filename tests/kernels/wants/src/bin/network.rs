//! Asks for a network, and says that it serves a TCP and a UDP port. It lists the virtio devices that it finds.
#![no_std]
#![no_main]

use freestone::devices::virtio;
use freestone::{BootInfo, Exit, println, wants};

freestone::entry!(main, audit: exit);

/// A function of its own, as a driver's would be.
#[inline(never)]
fn serve() {
    wants::network();
    wants::tcp_port::<80>();
    wants::udp_port::<5353>();
}

fn main(_: &'static BootInfo) -> Exit {
    serve();
    for device in virtio::devices() {
        println!("device of kind {}", device.kind);
    }
    println!("that is all");
    Exit::Success
}
