//! A PCI device that raises interrupts by MSI: QEMU's `edu`, found and set up with as little as that takes.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::memory::{PhysAddr, map_mmio};
use freestone::{BootInfo, Exit, println, time};

freestone::entry!(main, audit: exit);

/// Vendor and device; registers by QEMU's docs/specs/edu.txt.
const EDU: u32 = 0x11e8_1234;
const STATUS: usize = 0x24;
const RAISE: usize = 0x60;
const ACKNOWLEDGE: usize = 0x64;

static REGISTERS: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());
static COUNT: AtomicU32 = AtomicU32::new(0);
static SUM: AtomicU32 = AtomicU32::new(0);

fn read(at: usize) -> u32 {
    // SAFETY: `main` mapped the registers before it stored their address.
    unsafe { REGISTERS.load(Ordering::Relaxed).byte_add(at).read_volatile() }
}

fn write(at: usize, value: u32) {
    // SAFETY: as in `read`; the device is this kernel's.
    unsafe { REGISTERS.load(Ordering::Relaxed).byte_add(at).write_volatile(value) }
}

fn raised(_: &mut Frame, _word: usize) -> Outcome {
    let status = read(STATUS);
    write(ACKNOWLEDGE, status);
    SUM.fetch_add(status, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

/// A word of a function's configuration (PCI Local Bus Specification 3.0, 3.2.2.3.2).
#[derive(Clone, Copy)]
struct Function(u32);

impl Function {
    fn select(self, at: u32) {
        let address = 1 << 31 | self.0 << 8 | at;
        // SAFETY: the port selects what the next access of port 0xcfc is about, and nobody else uses the pair.
        unsafe {
            asm!("out dx, eax", in("dx") 0xcf8_u16, in("eax") address, options(nomem, nostack))
        }
    }

    fn read(self, at: u32) -> u32 {
        self.select(at);
        let word;
        // SAFETY: reading configuration changes nothing.
        unsafe { asm!("in eax, dx", in("dx") 0xcfc_u16, out("eax") word, options(nomem, nostack)) }
        word
    }

    fn write(self, at: u32, word: u32) {
        self.select(at);
        // SAFETY: the device is this kernel's, and what is written is for `main` to get right.
        unsafe { asm!("out dx, eax", in("dx") 0xcfc_u16, in("eax") word, options(nomem, nostack)) }
    }

    /// Where its MSI capability is.
    fn message_capability(self) -> Option<u32> {
        const MSI: u32 = 5;
        let mut at = self.read(0x34) & 0xfc;
        // There is room for 48 of them.
        for _ in 0..48 {
            let word = self.read(at);
            match word & 0xff {
                _ if at == 0 => return None,
                MSI => return Some(at),
                _ => at = word >> 8 & 0xfc,
            }
        }
        None
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    let edu = (0..32).map(|device| Function(device << 3)).find(|function| function.read(0) == EDU);
    let Some(edu) = edu else {
        println!("no edu on bus 0: start QEMU with -device edu");
        return Exit::Failure;
    };
    let registers = PhysAddr::new(u64::from(edu.read(0x10) & !0xf));
    let registers = map_mmio(registers, 0x1000).unwrap_or_else(|error| panic!("{error}"));
    REGISTERS.store(registers.as_ptr().cast(), Ordering::Relaxed);
    let at = edu.message_capability().expect("edu has MSI");

    let vector = interrupts::allocate(raised, 0).expect("a vector");
    let message = interrupts::message(vector).unwrap_or_else(|error| panic!("{error}"));
    // 64-bit addresses: the data is in the fourth word. Bit 16 of the first enables it.
    let control = edu.read(at);
    assert!(control & 1 << 23 != 0, "edu takes addresses of 64 bits");
    edu.write(at + 4, message.address as u32);
    edu.write(at + 8, (message.address >> 32) as u32);
    edu.write(at + 12, message.data);
    edu.write(at, control | 1 << 16);
    // Answers to accesses of memory, and may write to it, which a message is.
    edu.write(4, edu.read(4) | 0b110);

    interrupts::enable();
    for round in 1..=10 {
        write(RAISE, round);
        let limit = time::now() + Duration::from_secs(2);
        while COUNT.load(Ordering::Relaxed) < round && time::now() < limit {
            core::hint::spin_loop();
        }
    }
    let [count, sum] = [&COUNT, &SUM].map(|number| number.load(Ordering::Relaxed));
    println!("messages: {count}, sum: {sum}, unexpected: {}", interrupts::unexpected());
    if (count, sum) == (10, 55) && interrupts::unexpected() == 0 {
        Exit::Success
    } else {
        Exit::Failure
    }
}
