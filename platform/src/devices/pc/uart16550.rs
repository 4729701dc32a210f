//! The PC's serial port: a 16550 UART at I/O port 0x3f8.
//!
//! Source: National Semiconductor PC16550D data sheet, June 1995, section 8 (registers).

use core::sync::atomic::{AtomicBool, Ordering};

use freestone_rt::console::Console;

use super::io_apic;
use crate::interrupts;
use crate::x86_64::cpu::{inb, outb};

/// COM1.
const BASE: u16 = 0x3f8;

const DATA: u16 = BASE;
const INTERRUPT_ENABLE: u16 = BASE + 1;
const FIFO_CONTROL: u16 = BASE + 2;
const LINE_CONTROL: u16 = BASE + 3;
const MODEM_CONTROL: u16 = BASE + 4;
const LINE_STATUS: u16 = BASE + 5;
const SCRATCH: u16 = BASE + 7;

const DIVISOR_ACCESS: u8 = 0x80;
const EIGHT_BITS_NO_PARITY: u8 = 0x03;
const FIFO_ENABLE_AND_CLEAR: u8 = 0x07;
const TERMINAL_AND_REQUEST: u8 = 0x03;
/// Of the line status: there is room again in the FIFO, all of it.
const TRANSMITTER_EMPTY: u8 = 0x20;
/// Of the line status: the last bit has left too.
const ALL_SENT: u8 = 0x40;
const RECEIVED: u8 = 0x01;
/// In the interrupt enable register.
const WHEN_RECEIVED: u8 = 0x01;
/// Lets the UART's interrupts out, on PCs.
const INTERRUPTS_OUT: u8 = 0x08;

/// COM1's interrupt on the ISA bus.
const IRQ: u8 = 4;

/// The UART's clock over sixteen is 115200 baud.
const DIVISOR_115200: u8 = 1;

/// Bytes the transmitter takes once it is empty.
const FIFO_BYTES: usize = 16;

/// How often the line status is read before bytes are given up. A full FIFO drains in 1.4 ms; a
/// port read takes about 1 µs on real hardware.
const PATIENCE: usize = 20_000;

struct Uart {
    /// Set once the transmitter has not come back in time: from then on it is tried without waiting,
    /// so that a dead port does not slow every line.
    stuck: AtomicBool,
}

static COM1: Uart = Uart { stuck: AtomicBool::new(false) };

/// Sets up COM1 if there is a UART: 115200 baud, 8 data bits, no parity, 1 stop bit, no interrupts.
pub(crate) fn detect() -> Option<&'static dyn Console> {
    const PATTERN: u8 = 0xa5;
    // SAFETY: COM1's registers; where there is no UART the writes go nowhere. Nobody else drives it:
    // this runs once, at boot, and later only through `COM1`.
    unsafe {
        outb(SCRATCH, PATTERN);
        if inb(SCRATCH) != PATTERN {
            return None;
        }
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, DIVISOR_ACCESS);
        outb(DATA, DIVISOR_115200);
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, EIGHT_BITS_NO_PARITY);
        outb(FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
        outb(MODEM_CONTROL, TERMINAL_AND_REQUEST);
    }
    Some(&COM1)
}

/// Has bytes that are received raise `vector`: an edge each time when there are some after there were none.
pub(crate) fn listen(vector: u8) -> Result<(), io_apic::Error> {
    let line = interrupts::connect(io_apic::isa(IRQ)?, vector)?;
    // SAFETY: as in `detect`.
    unsafe {
        outb(MODEM_CONTROL, TERMINAL_AND_REQUEST | INTERRUPTS_OUT);
        outb(INTERRUPT_ENABLE, WHEN_RECEIVED);
    }
    line.unmask();
    Ok(())
}

/// A byte that was received.
pub(crate) fn take() -> Option<u8> {
    // SAFETY: as in `wait_until_empty`; reading the data takes a byte out of the receiver.
    unsafe { (inb(LINE_STATUS) & RECEIVED != 0).then(|| inb(DATA)) }
}

/// Waits until what was written has left, for a machine that is switched off then; not longer than for a full FIFO. Where
/// there is no UART, the port reads as all ones.
pub(crate) fn drain() {
    // SAFETY: as in `wait_until_empty`.
    let _ = (0..PATIENCE).any(|_| unsafe { inb(LINE_STATUS) } & ALL_SENT != 0);
}

impl Uart {
    fn wait_until_empty(&self) {
        // SAFETY: reading the line status clears error flags, which nobody uses.
        let empty = || unsafe { inb(LINE_STATUS) } & TRANSMITTER_EMPTY != 0;
        let patience = if self.stuck.load(Ordering::Relaxed) { 1 } else { PATIENCE };
        let stuck = !(0..patience).any(|_| empty());
        // Written only when it changes: this runs for every sixteen bytes.
        if stuck != self.stuck.load(Ordering::Relaxed) {
            self.stuck.store(stuck, Ordering::Relaxed);
        }
    }
}

impl Console for Uart {
    fn name(&self) -> &'static str {
        "16550"
    }

    fn write(&self, bytes: &[u8]) {
        for burst in bytes.chunks(FIFO_BYTES) {
            self.wait_until_empty();
            for &byte in burst {
                // SAFETY: a byte for the transmitter; a full FIFO drops it.
                unsafe { outb(DATA, byte) };
            }
        }
    }
}
