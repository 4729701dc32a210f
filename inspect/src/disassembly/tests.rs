//! Machine code, byte by byte, and the facts found in it.

use std::borrow::Cow;

use super::*;
use crate::symbol::Binding;

fn read(code: &[u8]) -> Facts {
    let function = Function {
        name: Cow::Borrowed("tested"),
        aliases: Vec::new(),
        address: 0x1000,
        code,
        section: 1,
        is_sized: true,
        binding: Binding::Global,
    };
    facts(&function, &Links::default())
}

#[test]
fn memory_below_the_stack_pointer_is_the_red_zone() {
    // mov [rsp-8], rdi; mov rax, [rsp-128]; ret
    let code = [0x48, 0x89, 0x7c, 0x24, 0xf8, 0x48, 0x8b, 0x44, 0x24, 0x80, 0xc3];
    assert_eq!(read(&code).red_zone, Seen { count: 2, first: 0x1000 });
    // mov [rsp], rdi; mov [rsp+8], rdi; ret
    let code = [0x48, 0x89, 0x3c, 0x24, 0x48, 0x89, 0x7c, 0x24, 0x08, 0xc3];
    assert_eq!(read(&code).red_zone, Seen::default());
    // or qword ptr [rsp-4096], 0; ret: a stack probe, beyond the red zone.
    let code = [0x48, 0x83, 0x8c, 0x24, 0x00, 0xf0, 0xff, 0xff, 0x00, 0xc3];
    assert_eq!(read(&code).red_zone, Seen::default());
    // lock add dword ptr [rsp-4], 0; ret
    let barrier = [0xf0, 0x83, 0x44, 0x24, 0xfc, 0x00, 0xc3];
    assert_eq!(read(&barrier).red_zone, Seen::default());
    // lock add dword ptr [rsp-4], 1; ret
    let barrier = [0xf0, 0x83, 0x44, 0x24, 0xfc, 0x01, 0xc3];
    assert_eq!(read(&barrier).red_zone.count, 1);
    // nop dword ptr [rsp-8]; ret
    let code = [0x0f, 0x1f, 0x44, 0x24, 0xf8, 0xc3];
    assert_eq!(read(&code).red_zone, Seen::default());
}

#[test]
fn an_address_below_the_stack_pointer_is_counted_apart() {
    // lea rax, [rsp-16]; ret
    let seen = read(&[0x48, 0x8d, 0x44, 0x24, 0xf0, 0xc3]);
    assert_eq!((seen.red_zone.count, seen.red_zone_address.count), (0, 1));
    // lea rsp, [rsp-16]; lea rsp, [rsp+16]; ret
    let seen = read(&[0x48, 0x8d, 0x64, 0x24, 0xf0, 0x48, 0x8d, 0x64, 0x24, 0x10, 0xc3]);
    assert_eq!((seen.red_zone_address.count, seen.frame_bytes), (0, 16));
    assert!(!seen.is_frame_open);
}

#[test]
fn indexed_accesses_count_only_without_frame_and_calls() {
    // mov al, [rsp+rdi-64]; ret
    let seen = read(&[0x8a, 0x44, 0x3c, 0xc0, 0xc3]);
    assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (1, 0));
    // sub rsp, 200; mov al, [rsp+rdi-64]; add rsp, 200; ret
    let framed = [
        0x48, 0x81, 0xec, 0xc8, 0, 0, 0, 0x8a, 0x44, 0x3c, 0xc0, 0x48, 0x81, 0xc4, 0xc8, 0, 0, 0,
        0xc3,
    ];
    let seen = read(&framed);
    assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (0, 1));
    assert_eq!(seen.frame_bytes, 200);
    // mov al, [rsp+rdi-64]; call +0x100; ret
    let seen = read(&[0x8a, 0x44, 0x3c, 0xc0, 0xe8, 0, 1, 0, 0, 0xc3]);
    assert_eq!((seen.red_zone.count, seen.red_zone_doubtful.count), (0, 0));
}

#[test]
fn memory_below_a_frame_of_a_frame_pointer_is_the_red_zone() {
    // push rbp; mov rbp, rsp; mov [rbp-8], rdi; pop rbp; ret
    let leaf = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x7d, 0xf8, 0x5d, 0xc3];
    assert_eq!(read(&leaf).red_zone, Seen { count: 1, first: 0x1004 });
    // push rbp; mov rbp, rsp; sub rsp, 16; mov [rbp-8], rdi; leave; ret
    let framed =
        [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x48, 0x89, 0x7d, 0xf8, 0xc9, 0xc3];
    let seen = read(&framed);
    assert_eq!((seen.red_zone.count, seen.frame_bytes), (0, 24));
    // push rbp; mov rbp, rsp; push rbx; mov [rbp-8], rdi; pop rbx; pop rbp; ret
    let pushed = [0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x89, 0x7d, 0xf8, 0x5b, 0x5d, 0xc3];
    assert_eq!(read(&pushed).red_zone.count, 0);
    // push rbp; mov rbp, rsp; sub rsp, rcx; mov [rbp-8], rdi; leave; ret
    let open = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xcc, 0x48, 0x89, 0x7d, 0xf8, 0xc9, 0xc3];
    let seen = read(&open);
    assert_eq!((seen.red_zone.count, seen.is_frame_open), (0, true));
    // mov rbp, rdi; mov [rbp-8], rsi; ret: no frame pointer.
    assert_eq!(read(&[0x48, 0x89, 0xfd, 0x48, 0x89, 0x75, 0xf8, 0xc3]).red_zone.count, 0);
}

#[test]
fn vector_and_x87_registers_are_seen() {
    assert_eq!(read(&[0x66, 0x0f, 0xef, 0xc0, 0xc3]).vector.count, 1); // pxor xmm0, xmm0
    assert_eq!(read(&[0xc5, 0xf8, 0x77, 0xc3]).vector.count, 1); // vzeroupper
    assert_eq!(read(&[0x0f, 0x29, 0x07, 0xc3]).vector.count, 1); // movaps [rdi], xmm0
    assert_eq!(read(&[0xd9, 0xe8, 0xc3]).x87.count, 1); // fld1
    assert_eq!(read(&[0xdd, 0x07, 0xc3]).x87.count, 1); // fld qword ptr [rdi]
    assert_eq!(read(&[0x0f, 0xef, 0xc0, 0xc3]).x87.count, 1); // pxor mm0, mm0
    // fninit; ldmxcsr [rdi]; fxsave [rdi]; xor eax, eax
    let upkeep = [0xdb, 0xe3, 0x0f, 0xae, 0x17, 0x0f, 0xae, 0x07, 0x31, 0xc0, 0xc3];
    let seen = read(&upkeep);
    assert_eq!((seen.vector.count, seen.x87.count), (0, 0));
}

#[test]
fn the_direction_flag_and_interrupt_returns_are_seen() {
    let seen = read(&[0xfd, 0xf3, 0xa4, 0xfc, 0xc3]); // std; rep movsb; cld; ret
    assert_eq!(seen.direction, Seen { count: 1, first: 0x1000 });
    assert_eq!(read(&[0xfc, 0xc3]).direction.count, 0);
    assert_eq!(read(&[0x48, 0xcf]).interrupt_return.count, 1);
    assert_eq!(read(&[0xc3]).interrupt_return.count, 0);
}

#[test]
fn calls_and_jumps_that_leave_are_edges() {
    // call +0x100; jz to the call; jmp +0x200
    let seen = read(&[0xe8, 0, 1, 0, 0, 0x74, 0xf9, 0xe9, 0, 2, 0, 0]);
    let edges: Vec<_> = seen.edges.iter().map(|edge| (edge.target, edge.is_call)).collect();
    assert_eq!(edges, [(Target::Address(0x1105), true), (Target::Address(0x120c), false)]);
    // call rax; call [rip+0x10]; jmp rcx
    let seen = read(&[0xff, 0xd0, 0xff, 0x15, 0x10, 0, 0, 0, 0xff, 0xe1]);
    assert_eq!(seen.unknown_calls.count, 1);
    assert_eq!(seen.edges[0].target, Target::Slot(0x1018));
    // call itself
    let seen = read(&[0xe8, 0xfb, 0xff, 0xff, 0xff, 0xc3]);
    assert_eq!(seen.edges[0].target, Target::Address(0x1000));
    // call next; pop rax; ret
    let seen = read(&[0xe8, 0, 0, 0, 0, 0x58, 0xc3]);
    assert_eq!((seen.edges.len(), seen.frame_bytes), (0, 8));
}

#[test]
fn a_relocation_tells_the_target() {
    let function = Function {
        name: Cow::Borrowed("tested"),
        aliases: Vec::new(),
        address: 0x10,
        code: &[0xe8, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0],
        section: 1,
        is_sized: true,
        binding: Binding::Global,
    };
    let seen = facts(&function, &Links(vec![(0x11, 7), (0x17, 9)]));
    let targets: Vec<_> = seen.edges.iter().map(|edge| edge.target).collect();
    assert_eq!(targets, [Target::Symbol(7), Target::Symbol(9)]);
}

#[test]
fn frames_are_added_up_across_an_early_return() {
    // push rbx; sub rsp, 32; test edi, edi; jz 1f; add rsp, 32; pop rbx; ret;
    // 1: call +0x100; add rsp, 32; pop rbx; ret
    let code = [
        0x53, 0x48, 0x83, 0xec, 0x20, 0x85, 0xff, 0x74, 0x06, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3,
        0xe8, 0, 1, 0, 0, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3,
    ];
    let seen = read(&code);
    assert_eq!((seen.frame_bytes, seen.edges[0].depth), (40, 40));
    assert!(!seen.is_frame_open);
}

#[test]
fn large_frames_are_known_however_they_are_made() {
    // mov eax, 0x3000; sub rsp, rax; ret
    let seen = read(&[0xb8, 0, 0x30, 0, 0, 0x48, 0x29, 0xc4, 0xc3]);
    assert_eq!((seen.frame_bytes, seen.is_frame_open), (0x3000, false));
    // lea r11, [rsp-0x3000]; 1: sub rsp, 0x1000; mov qword ptr [rsp], 0; cmp rsp, r11; jne 1b;
    // sub rsp, 8; ret
    let code = [
        0x4c, 0x8d, 0x9c, 0x24, 0, 0xd0, 0xff, 0xff, 0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48, 0xc7,
        0x04, 0x24, 0, 0, 0, 0, 0x4c, 0x39, 0xdc, 0x75, 0xec, 0x48, 0x83, 0xec, 0x08, 0xc3,
    ];
    let seen = read(&code);
    assert_eq!((seen.frame_bytes, seen.is_frame_open), (0x3008, false));
    // push rbp; mov rbp, rsp; and rsp, -64; sub rsp, 64; leave; ret
    let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x83, 0xec, 0x40, 0xc9, 0xc3];
    assert_eq!(read(&code).frame_bytes, 8 + 56 + 64);
}

#[test]
fn what_is_no_instruction_is_said() {
    assert_eq!(read(&[0x06, 0xc3]).undecodable.count, 1); // push es, 32 bits only
    assert_eq!(read(&[0xe8, 0, 0]).undecodable.count, 1); // cut off
    assert_eq!(read(&[]), Facts::default());
}

#[test]
fn a_frame_aligned_by_a_register_is_open() {
    // and rsp, rax; ret
    assert!(read(&[0x48, 0x21, 0xc4, 0xc3]).is_frame_open);
    // and rsp, -64; ret
    let seen = read(&[0x48, 0x83, 0xe4, 0xc0, 0xc3]);
    assert_eq!((seen.frame_bytes, seen.is_frame_open), (56, false));
}

/// Every opcode of the four maps, with operands of every kind: no reader asks one for what it has not.
#[test]
fn no_instruction_makes_it_panic() {
    for prefix in [&[][..], &[0x48], &[0x66], &[0xf3]] {
        for map in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
            for opcode in 0..=255 {
                for operands in 0..=255 {
                    let code = [prefix, map, &[opcode, operands], &[0xc4; 11]].concat();
                    read(&code);
                }
            }
        }
    }
}
