//! A virtio console: what is typed there is said again, in one line.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;

use freestone::devices::virtio::{Registers, devices};
use freestone::{BootInfo, Exit, dma, println};
use freestone_virtio::console::{Console, KIND};
use freestone_virtio::{Attention, Transport};

freestone::entry!(async main, audit: exit);

fn open() -> Option<Console<Registers, dma::Shared>> {
    let device = devices().find(|device| device.kind == KIND)?;
    // SAFETY: nothing else in this kernel drives it.
    let registers = unsafe { device.open() }?;
    let attention: &'static Attention = Box::leak(Box::new(Attention::new(registers.interrupt())));
    let messages = device.connect(attention).ok()?;
    let mut looks = 0;
    let is_over = || {
        looks += 1;
        looks == 1_000_000
    };
    Console::new(registers, attention, messages, is_over).ok()
}

async fn main(_boot: &'static BootInfo) -> Exit {
    let mut console = open().expect("a console");
    let mut line = Vec::new();
    let mut bytes = [0; 100];
    while line.last() != Some(&b'\n') {
        match console.read(&mut bytes).await {
            Ok(len) => line.extend_from_slice(&bytes[..len]),
            Err(error) => panic!("{error}"),
        }
    }
    println!("came: {} bytes", line.len());
    let before = console.notifications();
    let said = async {
        console.write_all(b"said: ").await?;
        console.write_all(&line).await?;
        console.flush().await
    };
    said.await.expect("it is sent");
    println!("notifications: {}", console.notifications() - before);
    Exit::Success
}
