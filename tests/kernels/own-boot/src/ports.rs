//! The two ports that these kernels write to: the first UART's, which needs no setup in QEMU, and QEMU's exit.

use core::arch::asm;

/// What `cargo freestone` takes for success.
#[allow(dead_code, reason = "some of the kernels here only crash")]
pub const SUCCESS: u8 = 0x10;
/// And for a crash.
#[allow(dead_code, reason = "one of the kernels here never does")]
pub const CRASH: u8 = 0x12;

fn out(port: u16, value: u8) {
    // SAFETY: this kernel writes to the UART's data register and QEMU's exit port only.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

/// Sends to the UART.
pub fn write(bytes: &[u8]) {
    bytes.iter().for_each(|&byte| out(0x3f8, byte));
}

/// Ends the machine.
pub fn end(verdict: u8) -> ! {
    out(0xf4, verdict);
    loop {
        core::hint::spin_loop();
    }
}
