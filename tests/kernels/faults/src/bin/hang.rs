//! Nothing, for ever.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::println!("the last words");
    loop {
        core::hint::spin_loop();
    }
}
