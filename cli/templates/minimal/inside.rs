//! Runs inside a kernel, on `cargo freestone test`.

#![no_std]
#![no_main]

freestone_harness::harness!();

freestone_harness::tests! {
    fn division_rounds_towards_zero() {
        assert_eq!(core::hint::black_box(-7) / 2, -3);
    }

    #[should_panic(expected = "divide by zero")]
    fn division_is_checked() {
        let zero = core::hint::black_box(0);
        let _ = 1 / zero;
    }
}
