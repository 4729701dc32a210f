//! Runs inside a kernel, on `cargo freestone test`.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

freestone_harness::harness!();

freestone_harness::tests! {
    fn a_vector_grows() {
        let squares: Vec<u64> = (0..10_000).map(|number| number * number).collect();
        assert_eq!(squares.iter().sum::<u64>(), 333_283_335_000);
    }

    fn what_cannot_be_had_is_refused() {
        assert!(Vec::<u8>::new().try_reserve(isize::MAX as usize).is_err());
    }
}
