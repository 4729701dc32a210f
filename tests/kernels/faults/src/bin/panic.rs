//! A panic with a message.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    panic!("the answer is {}", 6 * 9);
}
