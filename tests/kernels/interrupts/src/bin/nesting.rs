//! Handlers that let interrupts in: each level is interrupted by a more urgent one, over the same vector state
//! and red zone, and by itself by instruction.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::devices::pc::apic;
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

static DEEPEST: AtomicU64 = AtomicU64::new(0);

/// Class 4 is interrupted by class 5, and that by 6: the APIC holds back what is not more urgent.
const VECTORS: [u8; 3] = [0x40, 0x50, 0x60];

fn handler(frame: &mut Frame, _word: usize) -> Outcome {
    assert!(interrupts::in_handler());
    let level = VECTORS.iter().position(|&vector| vector == frame.vector()).expect("one of ours");
    let (rip, rsp) = (frame.rip, frame.rsp);
    DEEPEST.fetch_max(level as u64 + 1, Ordering::Relaxed);
    interrupts::enable();
    if let Some(&next) = VECTORS.get(level + 1) {
        let before = DEEPEST.load(Ordering::Relaxed);
        apic::send_to_self(next);
        let mut tries = 0;
        while DEEPEST.load(Ordering::Relaxed) == before && before < 3 && tries < 10_000_000 {
            tries += 1;
        }
    }
    assert_eq!((frame.rip, frame.rsp), (rip, rsp), "the frame was overwritten");
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    apic::start().expect("a local APIC");
    for vector in VECTORS {
        interrupts::handle(vector, handler, 0);
    }
    let kept: u64;
    interrupts::enable();
    for _ in 0..1000 {
        apic::send_to_self(VECTORS[0]);
    }
    // SAFETY: as in the storm: below the stack pointer by what the ABI gives to leaf code; the vector has a
    // handler.
    unsafe {
        asm!(
            "mov rax, 0x0123456789abcdef",
            "mov [rsp - 128], rax", "mov [rsp - 8], rax", "movq xmm3, rax",
            "int 0x40",
            "movq rcx, xmm3",
            "xor rcx, rax", "xor rax, [rsp - 128]", "or rcx, rax",
            "mov rax, [rsp - 128]", "xor rax, [rsp - 8]", "or rax, rcx",
            out("rax") kept, out("rcx") _, out("xmm3") _,
        );
    }
    interrupts::disable();
    println!("deepest: {}", DEEPEST.load(Ordering::Relaxed));
    assert_eq!(kept, 0, "red zone or vector register");
    assert!(!interrupts::in_handler());
    assert_eq!(interrupts::unexpected(), 0);
    if DEEPEST.load(Ordering::Relaxed) == 3 { Exit::Success } else { Exit::Failure }
}
