//! Tests that need a machine: traps, memory, time.
#![no_std]
#![no_main]

extern crate alloc;

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Waker};
use core::time::Duration;

use freestone::platform::devices::pc::apic;
use freestone::traps::{self, Frame, Outcome};
use freestone::{Signal, interrupts, memory, time};

freestone_harness::harness!();

/// Counts the breakpoints it lets pass.
static PASSED: AtomicU64 = AtomicU64::new(0);

fn pass(frame: &mut Frame, _word: usize) -> Outcome {
    assert_eq!(frame.vector(), traps::BREAKPOINT);
    PASSED.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

freestone_harness::tests! {
    fn a_breakpoint_is_caught_and_survived() {
        traps::handle(traps::BREAKPOINT, pass, 0);
        for _ in 0..100 {
            traps::breakpoint();
        }
        assert_eq!(PASSED.load(Ordering::Relaxed), 100);
    }

    fn a_signal_is_raised_by_an_interrupt_and_by_a_timer() {
        static SIGNAL: Signal = Signal::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut wait = || {
            while SIGNAL.poll(&mut context).is_pending() {
                interrupts::wait();
            }
        };
        apic::start().expect("an APIC");
        let vector = SIGNAL.vector().expect("a vector");
        apic::send_to_self(vector);
        assert!(!SIGNAL.take(), "interrupts are off");
        wait();
        interrupts::release(vector);
        SIGNAL.at(time::now() + Duration::from_millis(1)).expect("a timer");
        wait();
        assert!(!SIGNAL.take(), "once each");
    }

    fn a_handler_changes_no_register() {
        traps::handle(traps::BREAKPOINT, clobber, 0);
        let (general, vector): (u64, u64);
        // SAFETY: every register written is declared, the stack is used through push and pop alone;
        // the breakpoint is handled.
        unsafe {
            asm!(
                "mov r8, 0x1111", "mov r9, 0x2222", "mov r10, 0x3333", "mov r11, 0x4444",
                "mov rsi, 0x5555", "mov rdi, 0x6666",
                "movq xmm7, r8", "movq xmm15, r9",
                "std", "int3", "pushfq", "pop rax", "cld",
                "and eax, 0x400",
                "sub r8, 0x1111", "sub r9, 0x2222", "sub r10, 0x3333", "sub r11, 0x4444",
                "sub rsi, 0x5555", "sub rdi, 0x6666",
                "sub rax, 0x400",
                "or r8, r9", "or r10, r11", "or rsi, rdi", "or r8, r10", "or r8, rsi", "or rax, r8",
                "movq rcx, xmm7", "movq rdx, xmm15",
                "sub rcx, 0x1111", "sub rdx, 0x2222", "or rcx, rdx",
                out("rax") general, out("rcx") vector, out("rdx") _, out("rsi") _, out("rdi") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                out("xmm7") _, out("xmm15") _,
            );
        }
        assert_eq!(general, 0, "a general register or the direction flag");
        assert_eq!(vector, 0, "an SSE register");
    }

    fn the_red_zone_survives_a_breakpoint() {
        traps::handle(traps::BREAKPOINT, clobber, 0);
        let kept: u64;
        // SAFETY: writes below the stack pointer, inside the 128 bytes that the ABI gives to leaf
        // code; `nostack` is absent, so the compiler keeps its own data out of there.
        unsafe {
            asm!(
                "lea rcx, [rsp - 128]",
                "mov rax, 0x0123456789abcdef",
                "mov [rcx], rax", "mov [rcx + 64], rax", "mov [rcx + 120], rax",
                "int3",
                "mov rdx, rax",
                "and rdx, [rcx]", "and rdx, [rcx + 64]", "and rdx, [rcx + 120]",
                "sub rax, rdx",
                out("rax") kept, out("rcx") _, out("rdx") _,
            );
        }
        assert_eq!(kept, 0);
    }

    fn sections_of_any_name_are_mapped_for_what_they_hold() {
        // The linker script has no rule for these.
        #[unsafe(link_section = "visitor_constants")]
        static CONSTANTS: [u8; 9000] = [7; 9000];
        #[unsafe(link_section = "visitor_variables")]
        static VARIABLES: [AtomicU64; 2000] = [const { AtomicU64::new(5) }; 2000];
        #[unsafe(link_section = "visitor_code")]
        #[inline(never)]
        fn code(number: u64) -> u64 {
            core::hint::black_box(number) + 1
        }
        assert!(core::hint::black_box(&CONSTANTS).iter().all(|&byte| byte == 7));
        assert!(VARIABLES.iter().all(|word| word.fetch_add(1, Ordering::Relaxed) == 5));
        assert_eq!(code(41), 42);
    }

    #[should_panic(expected = "attempt to divide by zero")]
    fn a_division_by_zero_is_a_panic_in_rust() {
        let zero = core::hint::black_box(0);
        let _ = core::hint::black_box(1 / zero);
    }

    fn free_memory_is_writable_up_to_its_end() {
        // The heap has it all: take most of it and write to both ends of each page.
        let mut blocks = alloc::vec::Vec::new();
        while let Ok(block) = try_block(1 << 20) {
            blocks.push(block);
        }
        assert!(blocks.len() > 32, "only {} MiB", blocks.len());
        for (number, block) in blocks.iter_mut().enumerate() {
            for page in block.chunks_mut(memory::PAGE_SIZE as usize) {
                page[0] = number as u8;
                *page.last_mut().unwrap() = !(number as u8);
            }
        }
        for (number, block) in blocks.iter().enumerate() {
            assert!(block.chunks(4096).all(|p| p[0] == number as u8 && p[4095] == !(number as u8)));
        }
    }

    fn random_bytes_differ_from_call_to_call() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        assert_eq!(freestone::entropy::fill(&mut one), Ok(()));
        assert_eq!(freestone::entropy::fill(&mut two), Ok(()));
        assert!(one != two && one != [0; 32] && two != [0; 32]);
    }

    fn time_does_not_go_back() {
        let mut latest = time::now();
        for _ in 0..10_000 {
            let now = time::now();
            assert!(now >= latest, "{now:?} after {latest:?}");
            latest = now;
        }
    }
}

/// Fills the registers that a call may change with something else.
fn clobber(_frame: &mut Frame, _word: usize) -> Outcome {
    // SAFETY: every register written is declared.
    unsafe {
        asm!(
            "mov rax, -1", "mov rcx, rax", "mov rdx, rax", "mov rsi, rax", "mov rdi, rax",
            "mov r8, rax", "mov r9, rax", "mov r10, rax", "mov r11, rax",
            "pcmpeqd xmm7, xmm7", "pcmpeqd xmm15, xmm15",
            out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("xmm7") _, out("xmm15") _,
        );
    }
    Outcome::Handled
}

fn try_block(bytes: usize) -> Result<alloc::vec::Vec<u8>, alloc::collections::TryReserveError> {
    let mut block = alloc::vec::Vec::new();
    block.try_reserve_exact(bytes)?;
    block.resize(bytes, 0);
    Ok(block)
}
