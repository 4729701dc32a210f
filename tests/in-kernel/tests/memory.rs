//! Tests of memory that need a machine: devices, and page tables that change while they are used.
#![no_std]
#![no_main]

extern crate alloc;

use core::arch::asm;

use freestone::dma::Buffer;
use freestone::memory::{
    self, Access, Frames, FreeError, KernelStack, MapError, OutOfFrames, PAGE_SIZE, PhysAddr,
    VirtAddr, Zone,
};
use freestone::platform::x86_64::cpu;

freestone_harness::harness!();

/// The local APIC's registers, and which of them holds its version (Intel SDM volume 3, 12.4).
const LOCAL_APIC: u64 = 0xfee0_0000;
const VERSION: usize = 0x30;

freestone_harness::tests! {
    fn the_registers_of_a_device_can_be_read() {
        for _ in 0..2 {
            let registers = memory::map_mmio(PhysAddr::new(LOCAL_APIC), 0x400).unwrap();
            // SAFETY: mapped, and reading this register has no effect.
            let version = unsafe { registers.as_ptr().add(VERSION).cast::<u32>().read_volatile() };
            assert!((0x10..=0x1f).contains(&(version & 0xff)), "version {version:#x}");
        }
    }

    fn tables_of_the_firmware_can_be_read_and_not_written() {
        // Below 4 GiB firmware ends; whatever this machine has there can be read.
        let start = PhysAddr::new(0xffff_f000);
        let bytes = memory::map_firmware(start, 0x1000).unwrap();
        // SAFETY: mapped.
        let _ = unsafe { bytes.as_ptr().read_volatile() };
        let at = bytes.as_ptr().into();
        assert_eq!(memory::translate(at), Some((start, memory::Access::Read)));
        // Nor by calling them a device's.
        assert_eq!(memory::map_mmio(start, 0x1000), Err(MapError::Occupied));
        assert_eq!(memory::translate(at), Some((start, memory::Access::Read)));
    }

    fn memory_is_no_device() {
        let variable = 0_u64;
        let here = PhysAddr::new((&raw const variable).addr() as u64);
        assert_eq!(memory::map_mmio(here, 8), Err(MapError::Ram));
        assert_eq!(memory::map_mmio(PhysAddr::new(0), 8), Err(MapError::Guarded));
        assert_eq!(memory::map_mmio(PhysAddr::new(1 << 51), 8), Err(MapError::BadRange));
        assert_eq!(memory::map_mmio(PhysAddr::new(LOCAL_APIC), 0), Err(MapError::BadRange));
    }

    fn memory_for_devices_comes_from_the_heap_when_frames_have_run_out() {
        let bytes = |buffer: &Buffer| {
            // SAFETY: inside; no device knows of it.
            unsafe { core::slice::from_raw_parts_mut(buffer.as_ptr().as_ptr(), buffer.len()) }
        };
        let is_zero = |buffer: &Buffer| bytes(buffer).iter().all(|byte| *byte == 0);
        assert_eq!(Buffer::zeroed(0, Zone::Any).err(), Some(OutOfFrames));
        assert_eq!(Buffer::zeroed(usize::MAX, Zone::Any).err(), Some(OutOfFrames));
        let (before, _) = memory::stats().unwrap();
        let small = Buffer::zeroed(PAGE_SIZE as usize + 1, Zone::Low).unwrap();
        assert_eq!((small.len() as u64, memory::stats().unwrap().0.free), (2 * PAGE_SIZE, before.free - 2));
        assert!(small.start().is_page() && is_zero(&small));
        bytes(&small).fill(0xa5);
        drop(small);
        assert_eq!(memory::stats().unwrap().0.free, before.free);
        assert!(is_zero(&Buffer::zeroed(2 * PAGE_SIZE as usize, Zone::Low).unwrap()), "given back dirty");

        let mut all = alloc::vec::Vec::with_capacity(before.free as usize);
        while let Ok(frames) = Frames::take(1) {
            all.push(frames);
        }
        let of_heap = Buffer::zeroed(3 * PAGE_SIZE as usize, Zone::Low).unwrap();
        assert!(of_heap.start().is_page() && is_zero(&of_heap));
        bytes(&of_heap).fill(0xa5);
        let start = of_heap.start();
        drop(of_heap);
        // The heap gives the same block again, and clean.
        let again = Buffer::zeroed(3 * PAGE_SIZE as usize, Zone::Low).unwrap();
        assert!(again.start() == start && is_zero(&again));
        assert_eq!(Buffer::zeroed(1 << 40, Zone::Any).err(), Some(OutOfFrames));
        drop(all);
        assert_eq!(memory::stats().unwrap().0.free, before.free);
    }

    fn frames_are_taken_written_and_given_back() {
        let (before, longest) = memory::stats().unwrap();
        assert!(longest >= 512, "{longest}");
        for count in [1, 3, 100, 512] {
            let frames = Frames::take(count).unwrap();
            // SAFETY: frames of ours.
            let bytes = unsafe { frames.as_ptr().as_mut() };
            bytes.fill(0x5a);
            assert_eq!(bytes.len() as u64, count * PAGE_SIZE);
            assert_eq!(memory::stats().unwrap().0.free, before.free - count);
        }
        let low = Frames::take_where(16, 1 << 16, Zone::Low).unwrap();
        assert_eq!(low.start().as_u64() % (1 << 16), 0);
        let (at, count) = low.into_raw();
        let start = PhysAddr::new(at.as_u64());
        // SAFETY: nobody uses them.
        unsafe {
            assert_eq!(Frames::give_back(start, 3), Err(FreeError::OtherLength));
            assert_eq!(Frames::give_back(start, count), Ok(()));
            assert_eq!(Frames::give_back(start, count), Err(FreeError::NotTaken));
        }
        assert_eq!(memory::stats().unwrap().0.free, before.free);
        assert!(Frames::take(1 << 40).is_err());
    }

    fn the_same_memory_can_be_seen_twice_and_rights_are_obeyed() {
        let frames = Frames::take_where(512, 2 << 20, Zone::Any).unwrap();
        let window = VirtAddr::new(1 << 46);
        let len = 2 << 20;
        // SAFETY: frames of ours, with nothing in them yet, and addresses that nobody uses.
        unsafe { memory::map(window, frames.start(), len, Access::ReadWrite) }.unwrap();
        // SAFETY: refused.
        let again = unsafe { memory::map(window, frames.start(), PAGE_SIZE, Access::Read) };
        assert_eq!(again, Err(MapError::Occupied));
        let (ours, theirs) = (frames.as_ptr().as_ptr().cast::<u64>(), window.as_ptr::<u64>());
        // SAFETY: the same frame at two addresses, both mapped writable.
        unsafe {
            ours.add(1000).write_volatile(7);
            assert_eq!(theirs.add(1000).read_volatile(), 7);
            theirs.add(1001).write_volatile(8);
            assert_eq!(ours.add(1001).read_volatile(), 8);
        }
        // SAFETY: nobody writes through the window any more.
        unsafe { memory::protect(window, PAGE_SIZE, Access::Read) }.unwrap();
        let second = VirtAddr::new(window.as_u64() + PAGE_SIZE);
        assert_eq!(memory::translate(window).unwrap().1, Access::Read);
        assert_eq!(memory::translate(second).unwrap().1, Access::ReadWrite);
        // SAFETY: nor reads.
        unsafe { memory::unmap(window, len) }.unwrap();
        assert_eq!(memory::translate(second), None);
    }

    fn what_is_taken_away_is_gone_at_once() {
        // The processor has both pages in its cache, one large page, before a part of it goes.
        let frames = Frames::take_where(512, 2 << 20, Zone::Any).unwrap();
        let first = VirtAddr::new(frames.start().as_u64());
        let second = VirtAddr::new(first.as_u64() + PAGE_SIZE);
        // SAFETY: frames of ours; nobody uses the second while it is away.
        unsafe {
            second.as_ptr::<u64>().write_volatile(1);
            memory::unmap(second, PAGE_SIZE).unwrap();
            first.as_ptr::<u64>().write_volatile(2);
        }
        assert_eq!(memory::translate(second), None);
        let same = PhysAddr::new(second.as_u64());
        // SAFETY: frames of ours, at their own address.
        unsafe { memory::map(second, same, PAGE_SIZE, Access::ReadWrite) }.unwrap();
        // SAFETY: it is back.
        assert_eq!(unsafe { second.as_ptr::<u64>().read_volatile() }, 1);
    }

    fn what_must_stay_unmapped_is_refused() {
        let to = PhysAddr::new(0x20_0000);
        // SAFETY: all are refused.
        let map = |at: u64, len| unsafe { memory::map(VirtAddr::new(at), to, len, Access::Read) };
        assert_eq!(map(0, PAGE_SIZE), Err(MapError::Guarded));
        assert_eq!(map(1 << 46, 5), Err(MapError::BadRange));
        assert_eq!(map((1 << 46) + 1, PAGE_SIZE), Err(MapError::BadRange));
        assert_eq!(map(0xffff_8000_0000_0000, PAGE_SIZE), Err(MapError::BadRange));
        let stack = KernelStack::new("small", 1).unwrap();
        let guard = stack.bottom().as_u64() - PAGE_SIZE;
        assert_eq!(memory::translate(VirtAddr::new(guard)), None);
        assert_eq!(map(guard, PAGE_SIZE), Err(MapError::Guarded));
        assert_eq!(memory::map_firmware(PhysAddr::new(guard), 1), Err(MapError::Guarded));
        assert_eq!(memory::map_firmware(PhysAddr::new(guard - 1), 2), Err(MapError::Guarded));
        assert_eq!(memory::map_mmio(PhysAddr::new(guard), 1), Err(MapError::Ram));
        // SAFETY: refused.
        unsafe {
            let guard = VirtAddr::new(guard);
            assert_eq!(memory::unmap(guard, PAGE_SIZE), Err(MapError::Guarded));
            assert_eq!(memory::protect(guard, PAGE_SIZE, Access::Read), Err(MapError::Guarded));
        }
        let (before, _) = memory::stats().unwrap();
        drop(stack);
        assert_eq!(memory::stats().unwrap().0.free, before.free + 2, "no frame is lost");
    }

    fn no_memory_is_writable_here_and_executable_there() {
        let window = VirtAddr::new(1 << 46);
        let code = VirtAddr::new((every_alias as fn()) as usize as u64 & !(PAGE_SIZE - 1));
        let memory_of_code = PhysAddr::new(code.as_u64());
        // SAFETY: what is mapped is only read.
        let map = |to, access| unsafe { memory::map(window, to, PAGE_SIZE, access) };
        assert_eq!(map(memory_of_code, Access::ReadWrite), Err(MapError::Aliased));
        map(memory_of_code, Access::Read).unwrap();
        // SAFETY: refused.
        let write = unsafe { memory::protect(window, PAGE_SIZE, Access::ReadWrite) };
        assert_eq!(write, Err(MapError::Aliased));
        // SAFETY: not used.
        unsafe { memory::unmap(window, PAGE_SIZE) }.unwrap();
        every_alias();
        memory::audit().unwrap();
    }

    fn memory_that_somebody_unmapped_is_no_firmware() {
        let frames = Frames::take(1).unwrap();
        let own = VirtAddr::new(frames.start().as_u64());
        // SAFETY: a frame of ours, unused while it is away.
        unsafe { memory::unmap(own, PAGE_SIZE) }.unwrap();
        assert_eq!(memory::map_firmware(frames.start(), 8), Err(MapError::Ram));
        assert_eq!(memory::translate(own), None);
        // SAFETY: at its own address, as before.
        unsafe { memory::map(own, frames.start(), PAGE_SIZE, Access::ReadWrite) }.unwrap();
    }

    fn a_device_does_not_become_memory() {
        let registers = memory::map_mmio(PhysAddr::new(LOCAL_APIC), 0x400).unwrap();
        assert_eq!(memory::map_firmware(PhysAddr::new(LOCAL_APIC), 8), Err(MapError::Occupied));
        let at = registers.as_ptr().into();
        // SAFETY: refused.
        let done = unsafe { memory::protect(at, PAGE_SIZE, Access::Read) };
        assert_eq!(done, Err(MapError::Occupied));
        assert_eq!(memory::translate(at).unwrap().1, Access::ReadWrite);
    }

    fn stacks_come_and_go_without_a_trace() {
        let (before, _) = memory::stats().unwrap();
        // Tables for the guard pages come first, and stay as spare ones.
        drop((0..20).map(|_| KernelStack::new("a", 9000).unwrap()).collect::<Stacks>());
        let (warm, _) = memory::stats().unwrap();
        assert!(before.free - warm.free < 8, "{before:?} {warm:?}");
        for _ in 0..3 {
            let stacks = (0..20).map(|_| KernelStack::new("a", 9000).unwrap()).collect::<Stacks>();
            memory::audit().unwrap();
            drop(stacks);
        }
        let (after, _) = memory::stats().unwrap();
        assert_eq!(warm.free, after.free);
    }

    fn nobody_can_ask_for_the_harnesss_key() {
        let boot = freestone::platform::boot_info::boot_info().unwrap();
        assert!(boot.argument("tests").is_some() && !boot.command_line().contains('\u{1f}'));
        assert!(freestone::platform::take_secret().is_empty());
    }

    fn code_runs_on_a_stack_of_its_own() {
        let stack = KernelStack::new("worker", 32 << 10).unwrap();
        let got: u64;
        // SAFETY: the stack is ours and empty, `top` is aligned for a call, and the old one is put back.
        // The function keeps the registers that a C function keeps.
        unsafe {
            asm!(
                "mov r12, rsp", "mov rsp, {top}", "call {work}", "mov rsp, r12",
                top = in(reg) stack.top().as_u64(), work = sym work,
                inout("rdi") 20_u64 => _, out("rax") got, out("r12") _, clobber_abi("C"),
            );
        }
        assert_eq!(got, 6765);
    }

    fn closures_run_on_stacks_and_give_back_what_they_return() {
        let (mut outer, mut inner) =
            (KernelStack::new("outer", 32 << 10).unwrap(), KernelStack::new("inner", 32 << 10).unwrap());
        let held = |stack: &KernelStack, address: u64| {
            (stack.bottom().as_u64()..stack.top().as_u64()).contains(&address)
        };
        let here = |word: &u64| core::hint::black_box(core::ptr::from_ref(word)) as u64;
        let mut seen = alloc::vec::Vec::new();
        let (own, text) = (7_u64, alloc::string::String::from("moved in"));
        let (is_inner, back) = (outer.bottom(), outer.top());
        let text = outer.run(|| {
            let word = own + 1;
            assert!((is_inner.as_u64()..back.as_u64()).contains(&here(&word)));
            seen.push(word);
            // One below the other, of types without size and of large ones.
            inner.run(|| seen.push(own));
            let large = inner.run(|| [own; 512]);
            assert!(large.iter().all(|&n| n == 7));
            text
        });
        assert_eq!((&*text, &seen[..]), ("moved in", &[8, 7][..]));
        assert!(!held(&outer, here(&own)) && !held(&inner, here(&own)));
        // Vectors on the stack want it aligned.
        for _ in 0..3 {
            let aligned = outer.run(|| {
                #[repr(align(64))]
                struct Line([u8; 64]);
                let line = core::hint::black_box(Line([1; 64]));
                core::ptr::from_ref(&line).addr() % 64 + usize::from(line.0[0])
            });
            assert_eq!(aligned, 1);
        }
        // What was captured and not used is dropped once.
        let kept = alloc::rc::Rc::new(());
        let clone = kept.clone();
        outer.run(move || drop(clone));
        assert_eq!(alloc::rc::Rc::strong_count(&kept), 1);
        memory::audit().unwrap();
    }

    fn the_processor_protects_the_kernel_as_far_as_it_can() {
        let wanted = cpu::supervisor_protection();
        assert_eq!(cpu::control_4() & wanted, wanted);
        assert!(cpu::enforces_page_rights());
        freestone::println!("CR4 protections {wanted:#x}");
    }

    fn every_page_is_as_it_should_be() {
        let audit = memory::audit().unwrap();
        assert!(audit.executable_bytes > PAGE_SIZE && audit.executable_bytes < 8 << 20);
        assert!(audit.writable_bytes > 32 << 20, "{audit:?}");
    }
}

/// A frame that becomes code under two addresses, in every order.
fn every_alias() {
    let frame = Frames::take(1).unwrap();
    let (own, window) = (VirtAddr::new(frame.start().as_u64()), VirtAddr::new(1 << 45));
    // SAFETY: a frame of ours, which nobody uses meanwhile; it is writable again at the end.
    let (protect, map) = unsafe {
        (
            |at, access| memory::protect(at, PAGE_SIZE, access),
            |access| memory::map(window, frame.start(), PAGE_SIZE, access),
        )
    };
    assert_eq!(map(Access::ReadExecute), Err(MapError::Aliased));
    protect(own, Access::ReadExecute).unwrap();
    assert_eq!(map(Access::ReadWrite), Err(MapError::Aliased));
    map(Access::ReadExecute).unwrap();
    assert_eq!(protect(own, Access::ReadWrite), Err(MapError::Aliased));
    protect(own, Access::Read).unwrap();
    assert_eq!(protect(own, Access::ReadWrite), Err(MapError::Aliased));
    protect(window, Access::Read).unwrap();
    protect(own, Access::ReadWrite).unwrap();
    assert_eq!(protect(window, Access::ReadExecute), Err(MapError::Aliased));
    // SAFETY: nobody uses it.
    unsafe { memory::unmap(window, PAGE_SIZE) }.unwrap();
}

type Stacks = alloc::vec::Vec<KernelStack>;

extern "C" fn work(number: u64) -> u64 {
    if number < 2 { number } else { work(number - 1) + work(number - 2) }
}
