//! Page tables that change while everything in them was just used.
//!
//! Before and after each change every page of a window is read, written and called, whatever its rights are. So the processor has
//! cached all translations, and one that outlives its page is found by an access that should fault. The test needs a machine of
//! 256 MiB. `rounds=N` on the command line is the number of random changes.
#![no_std]
#![no_main]

mod probe;
mod window;

use freestone::memory::{
    self, Access, Frames, KernelStack, MapError, PAGE_SIZE, PhysAddr, VirtAddr, Zone,
};
use freestone::{BootInfo, Exit, println};

use window::{CODE, PAGES, Window};

freestone::entry!(main, audit: exit);

/// Small pages, each used while it is small.
fn one_by_one(window: &mut Window, from: usize, access: Access) {
    for page in 0..PAGES / 2 {
        window.map(page..page + 1, from + page, access);
        window.look_at(page);
    }
}

/// The large page that small ones became is changed as one: every small one has to change with it.
fn small_pages_are_forgotten_with_the_large_one(window: &mut Window) {
    let large = 0..PAGES / 2;
    one_by_one(window, 0, Access::ReadWrite);
    window.unmap(large.clone());
    one_by_one(window, 0, Access::ReadWrite);
    window.protect(large.clone(), Access::Read);
    window.unmap(large.clone());
    // The same addresses, other memory.
    one_by_one(window, 0, Access::ReadWrite);
    window.unmap(large.clone());
    window.map(large.clone(), PAGES / 2, Access::ReadWrite);
    window.unmap(large.clone());
    // What could be executed cannot be any more.
    one_by_one(window, CODE, Access::ReadExecute);
    window.protect(large.clone(), Access::Read);
    window.unmap(large);
}

/// A large page that was used, and of which a part goes: the other way round.
fn the_large_page_is_forgotten_with_its_parts(window: &mut Window) {
    for part in [0..1, 5..6, 511..512, 100..300] {
        window.map(0..PAGES / 2, PAGES / 2, Access::ReadWrite);
        window.unmap(part.clone());
        window.map(part.clone(), part.start, Access::ReadWrite);
        window.unmap(part.clone());
        // It becomes whole again.
        window.map(part.clone(), PAGES / 2 + part.start, Access::ReadWrite);
        window.protect(0..PAGES / 2, Access::Read);
        window.unmap(0..PAGES / 2);
    }
}

/// Each takes its guard page out of memory that was used as a large page, and puts it back.
fn stacks_come_and_go() {
    for _ in 0..20 {
        let frames = Frames::take_where(512, 512 * PAGE_SIZE, Zone::Any).expect("2 MiB");
        // SAFETY: frames of ours.
        unsafe { frames.as_ptr().as_mut() }.fill(0);
        drop(frames);
        let stack = KernelStack::new("tested", 5000).expect("a stack");
        let guard = stack.bottom().as_u64() - PAGE_SIZE;
        assert!(probe::read(guard).is_none(), "the guard page can be read");
        // SAFETY: the stack is ours, and empty.
        assert!(unsafe { probe::write(stack.bottom().as_u64(), 1) });
        let guard_frame = PhysAddr::new(guard);
        assert_eq!(memory::map_firmware(guard_frame, 1), Err(MapError::Guarded));
        assert_eq!(memory::map_mmio(guard_frame, 1), Err(MapError::Ram));
        // SAFETY: all are refused.
        unsafe {
            let guard = VirtAddr::new(guard);
            let map = memory::map(guard, guard_frame, PAGE_SIZE, Access::Read);
            assert_eq!(map, Err(MapError::Guarded));
            assert_eq!(memory::unmap(guard, PAGE_SIZE), Err(MapError::Guarded));
            assert_eq!(memory::protect(guard, PAGE_SIZE, Access::Read), Err(MapError::Guarded));
        }
        drop(stack);
        // It is the allocator's again: written by whoever takes it.
        assert!(probe::read(guard).is_some(), "the guard page did not come back");
    }
}

/// Neither a second address for writing code, nor one for executing variables.
fn memory_is_not_both_code_and_variables() {
    let elsewhere = VirtAddr::new(1 << 45);
    let code = PhysAddr::new(main as *const () as u64 & !(PAGE_SIZE - 1));
    let variable = Frames::take(1).expect("a frame");
    let variable_at = VirtAddr::new(variable.start().as_u64());
    // SAFETY: what is done is undone at the end; reading code, and a frame of ours, harms nobody.
    unsafe {
        let map = |to, access| memory::map(elsewhere, to, PAGE_SIZE, access);
        assert_eq!(map(code, Access::ReadWrite), Err(MapError::Aliased));
        assert_eq!(map(variable.start(), Access::ReadExecute), Err(MapError::Aliased));
        assert_eq!(map(code, Access::Read), Ok(()));
        let protect = |access| memory::protect(elsewhere, PAGE_SIZE, access);
        assert_eq!(protect(Access::ReadWrite), Err(MapError::Aliased));
        assert_eq!(memory::unmap(elsewhere, PAGE_SIZE), Ok(()));
        assert_eq!(map(variable.start(), Access::Read), Ok(()));
        assert_eq!(protect(Access::ReadExecute), Err(MapError::Aliased));
        // The frame itself: under all addresses together it is the one or the other.
        let own = |access| memory::protect(variable_at, PAGE_SIZE, access);
        assert_eq!(own(Access::ReadExecute), Ok(()));
        assert_eq!(protect(Access::ReadWrite), Err(MapError::Aliased));
        assert_eq!(protect(Access::ReadExecute), Ok(()));
        assert_eq!(own(Access::ReadWrite), Err(MapError::Aliased));
        assert_eq!(memory::unmap(elsewhere, PAGE_SIZE), Ok(()));
        assert_eq!(own(Access::ReadWrite), Ok(()));
    }
}

fn main(boot: &'static BootInfo) -> Exit {
    let rounds = boot.argument("rounds").map_or(Some(30), |text| text.parse().ok());
    let Some(rounds) = rounds else {
        println!("rounds=N takes a number");
        return Exit::Failure;
    };
    probe::start();
    stacks_come_and_go();
    memory_is_not_both_code_and_variables();
    println!("guard pages and aliases: ok");
    let mut window = Window::new();
    small_pages_are_forgotten_with_the_large_one(&mut window);
    the_large_page_is_forgotten_with_its_parts(&mut window);
    println!("merged and split: ok");
    window.change_at_random(rounds);
    println!("{rounds} random changes: ok, {} pages looked at", window.looks());
    drop(window);
    match memory::audit() {
        Ok(_) => Exit::Success,
        Err(violation) => {
            println!("{violation}");
            Exit::Failure
        }
    }
}
