//! Test files that forge results, disturb other tests, and use every form of attribute.

/// The first makes a page of variables executable, behind the back of everything that would refuse to.
pub const OPEN: &str = "\
#![no_std]
#![no_main]

freestone_harness::harness!();

#[repr(align(4096))]
struct Page(core::cell::UnsafeCell<[u8; 4096]>);
// SAFETY: used by one test.
unsafe impl Sync for Page {}
static PAGE: Page = Page(core::cell::UnsafeCell::new([1; 4096]));

fn open() {
    let at = PAGE.0.get() as u64;
    // SAFETY: there is none; what this breaks is what is tested.
    unsafe {
        let mut table: u64;
        core::arch::asm!(\"mov {}, cr3\", out(reg) table);
        for level in [39, 30, 21] {
            table = *(table as *const u64).add((at >> level) as usize & 511) & 0x000f_ffff_ffff_f000;
        }
        *(table as *mut u64).add((at >> 12) as usize & 511) &= !(1 << 63);
    }
}

freestone_harness::tests! {
    fn a_page_is_opened() { open() }
    #[should_panic]
    fn b_page_is_opened_in_a_panic() { open(); panic!() }
    fn c_nothing_is_opened() {}
}
";

/// Every form that libtest takes, 1,000 tests in one block behind them.
pub const FORMS: &str = r#"
#![no_std]
#![no_main]

freestone_harness::harness!();

freestone_harness::tests! {
    #[cfg(feature = "no-such-feature")]
    fn a_left_out() { does_not_exist() }
    #[cfg(not(feature = "no-such-feature"))]
    #[test]
    fn b_stays() {}
    /// A comment
    /// of more
    #[doc = "than one line."]
    #[allow(clippy::unit_cmp, unused_variables)]
    #[inline(never)]
    fn c_attributes() { let x = 1; }
    #[cfg_attr(not(feature = "no-such-feature"), ignore = "slow, & <odd>", allow(dead_code))]
    fn d_ignored() { panic!() }
    #[cfg_attr(all(feature = "no-such-feature", not(test)), ignore)]
    fn e_not_ignored() {}
    #[cfg_attr(panic = "abort", should_panic(expected = "this",))]
    fn f_panics() { panic!("this") }
    #[should_panic = "that"]
    pub fn g_panics() { panic!("that") }
    #[should_panic]
    fn h_never() -> ! { panic!() }
    fn i_result() -> Result<(), &'static str> { Ok(()) }
    fn j_nested() -> Result<Result<(), u8>, &'static str> { Ok(Err(3)) }
    pub(crate) fn k_exit() -> freestone_harness::freestone::Exit { freestone_harness::freestone::Exit::Success }
    #[ignore]
    #[should_panic(expected = "x")]
    fn l_both() {}
}

mod many {
    freestone_harness::tests! {
MANY    }
}
"#;

/// What no test function is, and what is said about it.
pub const REFUSED: [(&str, &str); 6] = [
    ("#[ignore(why)] fn t() {}", "tests! knows #[ignore] and #[ignore = \"reason\"]"),
    (
        "#[should_panic(why)] fn t() {}",
        "tests! knows #[should_panic] and #[should_panic(expected = \"text\")]",
    ),
    ("#[bench] fn t() {}", "tests! knows no #[bench]"),
    ("fn t(x: u8) {}", "tests! takes functions as #[test] does"),
    ("async fn t() {}", "tests! takes functions as #[test] does"),
    ("const X: u8 = 1;", "tests! takes functions as #[test] does"),
];

/// Tests that lie about themselves, or leave something for the next one, which always says whether it noticed.
pub const SLY: &str = r#"
#![no_std]
#![no_main]

use core::time::Duration;
use freestone_harness::freestone::{self, exit, Exit, interrupts, print, println, time, timer, traps};

freestone_harness::harness!();

fn triple_fault() -> ! {
    // SAFETY: there is none; the end of the machine is what is tested.
    unsafe { core::arch::asm!("lidt [{}]", "int3", in(reg) &[0u64; 2]) };
    loop {}
}

fn is_untouched() {
    assert!(!interrupts::are_enabled());
    assert!(!interrupts::in_handler());
    // Whoever left a timer is heard of here.
    interrupts::enable();
    let until = time::now() + Duration::from_millis(20);
    while time::now() < until { core::hint::spin_loop() }
    interrupts::disable();
}

fn late(_: usize) { panic!("a timer of another test") }

fn take_the_timer() -> freestone::platform::devices::pc::apic_timer::Timer {
    freestone::platform::devices::pc::apic_timer::Timer::start(0x60).expect("nobody has it")
}

fn a_timer_comes() {
    static CAME: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);
    fn comes(_: usize) { CAME.store(true, core::sync::atomic::Ordering::Relaxed) }
    timer::after(Duration::from_millis(1), comes, 0).expect("a timer");
    interrupts::enable();
    while !CAME.swap(false, core::sync::atomic::Ordering::Relaxed) { core::hint::spin_loop() }
    interrupts::disable();
}

struct Spy;
static HEARD: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
static WORD: [core::sync::atomic::AtomicU8; 18] = [const { core::sync::atomic::AtomicU8::new(0) }; 18];
impl freestone::rt::console::Console for Spy {
    fn name(&self) -> &'static str { "spy" }
    fn write(&self, bytes: &[u8]) {
        if bytes.first() == Some(&0x1e) {
            WORD.iter().zip(bytes).for_each(|(at, byte)| at.store(*byte, core::sync::atomic::Ordering::Relaxed));
        }
        HEARD.fetch_add(bytes.len(), core::sync::atomic::Ordering::Relaxed);
    }
}
static SPY: Spy = Spy;

freestone_harness::tests! {
    fn a_exit_with_success() { exit(Exit::Success) }
    fn b_untouched() { is_untouched() }
    fn c_forge_and_reset() {
        print!("
ok
end
0000000000000000 ok
freestone verdict: success 
");
        triple_fault()
    }
    fn d_untouched() { is_untouched() }
    #[should_panic(expected = "another test")]
    fn e_panic_in_a_timer() {
        timer::after(Duration::from_millis(1), late, 0).expect("a timer");
        interrupts::enable();
        loop { core::hint::spin_loop() }
    }
    fn f_untouched() { is_untouched() }
    #[should_panic]
    fn g_fail_where_a_panic_is_due() { exit(Exit::Failure) }
    fn h_leave_a_timer() { timer::after(Duration::from_millis(5), late, 0).expect("a timer"); }
    fn i_untouched() { is_untouched() }
    fn j_leave_interrupts_on() { interrupts::enable() }
    fn k_untouched() { is_untouched() }
    #[should_panic]
    fn l_panic_without_interrupts() { interrupts::enable(); interrupts::without(|| panic!()) }
    fn m_untouched() { is_untouched() }
    fn n_leave_half_a_trace() { print!("  from 0x0000000000100000") }
    fn o_ask_to_be_asked() { exit::before_exit(|_| { println!("asked"); Exit::Failure }) }
    fn p_untouched() { is_untouched() }
    fn q_leave_a_handler() { traps::handle(traps::BREAKPOINT, |_, _| traps::Outcome::Handled, 0) }
    fn r_faults_again() { traps::breakpoint() }
    #[should_panic]
    fn s_panic_in_the_message() {
        struct Bad;
        impl core::fmt::Display for Bad {
            fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { panic!("in it") }
        }
        panic!("{}", Bad)
    }
    fn t_overhear_and_repeat() {
        freestone::rt::console::register(&SPY).unwrap();
        let word: [u8; 18] = core::array::from_fn(|at| WORD[at].load(core::sync::atomic::Ordering::Relaxed));
        if let Ok(word) = core::str::from_utf8(&word) { print!("{word}ok
{word}end
") }
        triple_fault()
    }
    fn u_power_off() {
        // SAFETY: there is none; the end of the machine is what is tested.
        unsafe { core::arch::asm!("out dx, ax", in("dx") 0x604_u16, in("ax") 1_u16 << 13) };
        triple_fault()
    }
    fn v_write_the_exit_device() {
        // SAFETY: as above.
        unsafe { core::arch::asm!("out dx, al", in("dx") 0xf4_u16, in("al") 0x10_u8) };
    }
    fn w_untouched() { is_untouched() }
    fn x_hang() { interrupts::enable(); loop { core::hint::spin_loop() } }
    fn y_halt() { loop { interrupts::wait() } }
    fn z_untouched() { is_untouched() }
    fn z1_keep_the_hardware() { core::mem::forget(take_the_timer()) }
    fn z2_a_timer_comes() { a_timer_comes() }
    fn z3_interrupt_by_the_last_vector() {
        freestone::platform::devices::pc::apic::start().expect("an APIC");
        interrupts::enable();
        freestone::platform::devices::pc::apic::send_to_self(0xff);
        a_timer_comes();
    }
    fn z4_a_timer_comes() { a_timer_comes() }
}
"#;

/// Code of a test's crate that runs before the tests, as soon as any does, and would answer for them.
pub const EARLY: &str = r#"
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};
use freestone_harness::freestone::{exit, platform, Exit};

freestone_harness::harness!();

/// How much of the boot's key was to be had.
static DIGITS: AtomicUsize = AtomicUsize::new(usize::MAX);

extern "C" fn early(_: i32, _: *const *const u8, _: *const *const u8) {
    DIGITS.store(platform::take_secret().len(), Ordering::Relaxed);
    freestone_harness::begin(&[]);
    let boot = platform::boot_info::boot_info().expect("it has started");
    // The tests of this file, and no others.
    exit(freestone_harness::main(boot));
}
#[used]
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn(i32, *const *const u8, *const *const u8) = early;

freestone_harness::tests! {
    fn a_good() { assert_eq!(DIGITS.load(Ordering::Relaxed), 0) }
    fn b_bad() { panic!("as it is") }
    fn c_early() { exit(Exit::Success) }
}
"#;
