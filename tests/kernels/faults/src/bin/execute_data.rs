//! A call into a variable.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

static RETURN: [u8; 1] = [0xc3];
static mut CODE: [u8; 1] = [0];

fn main(_boot: &'static BootInfo) -> Exit {
    let code = &raw mut CODE;
    // SAFETY: there is none for the call; the fault is what is tested.
    unsafe {
        code.write_volatile(RETURN);
        let function: extern "C" fn() = core::mem::transmute(code);
        function();
    }
    Exit::Success
}
