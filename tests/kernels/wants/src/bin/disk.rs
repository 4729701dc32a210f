//! Asks for a disk, and has code that would ask for a network, which nothing calls. It lists the virtio devices that it finds.
#![no_std]
#![no_main]

use freestone::devices::virtio;
use freestone::{BootInfo, Exit, println, wants};

freestone::entry!(main, audit: exit);

/// In the object file, as its name is exported, and in no image.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
fn freestone_test_never_called() {
    wants::tcp_port::<81>();
}

fn main(_: &'static BootInfo) -> Exit {
    wants::disk();
    for device in virtio::devices() {
        println!("device of kind {}", device.kind);
    }
    println!("that is all");
    Exit::Success
}
