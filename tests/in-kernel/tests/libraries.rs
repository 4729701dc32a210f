//! Libraries as a kernel links them: their C symbols, without a C library beside them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;

use freestone::math::Float as _;

#[path = "../../../math/tests/answers.rs"]
mod answers;

freestone_harness::harness!();

freestone_harness::tests! {
    fn slices_move_within_themselves() {
        let pattern: Vec<u8> = (0..600).map(|index| (index % 251) as u8).collect();
        for length in 0..=300 {
            for (from, to) in [(0, 1), (1, 0), (7, 200), (200, 7), (0, 8), (8, 0)] {
                let mut moved = pattern.clone();
                moved.copy_within(from..from + length, to);
                for (at, &byte) in moved.iter().enumerate() {
                    let source = if (to..to + length).contains(&at) { at - to + from } else { at };
                    assert_eq!(byte, pattern[source], "length {length}, {from} to {to}, at {at}");
                }
            }
        }
    }

    fn comparisons_are_by_unsigned_bytes() {
        for length in 1..=100 {
            let low = alloc::vec![0x7f_u8; length];
            let mut high = low.clone();
            high[length - 1] = 0x80;
            assert!(black_box(&low) < black_box(&high));
            assert!(black_box(&low) != black_box(&high));
            assert!(black_box(&low) == black_box(&low.clone()));
        }
    }

    fn floats_are_computed_and_shown() {
        assert_eq!(format!("{:.3}", black_box(2.0_f64).sqrt()), "1.414");
        assert_eq!(format!("{}", black_box(0.1_f64) + black_box(0.2)), "0.30000000000000004");
        assert_eq!(black_box(2.0_f64).powi(10), 1024.0);
        assert_eq!(black_box(-2.5_f64).floor(), -3.0);
        assert!((black_box(0.5_f64).sin().asin() - 0.5).abs() < 1e-15);
        assert_eq!(black_box(3.0_f32).mul_add(2.0, 1.0), 7.0);
    }

    fn wide_integers_divide() {
        let large = black_box(u128::MAX);
        for divisor in [1_u128, 3, 10, u128::from(u64::MAX), 1 << 100] {
            let divisor = black_box(divisor);
            assert_eq!(large / divisor * divisor + large % divisor, large);
        }
        assert_eq!(black_box(i128::MIN) / black_box(-2), 1 << 126);
    }

    fn arithmetic_gives_the_hosts_answers() {
        assert_eq!(answers::operators(), answers::ANSWER);
        assert_eq!(answers::functions(), answers::ANSWER);
        assert_eq!(answers::methods(), answers::OF_METHODS);
    }

    fn collections_grow_and_shrink() {
        let mut map = BTreeMap::new();
        for number in 0..1000_u32 {
            map.insert(format!("key {number}"), number);
        }
        map.retain(|_, number| number.is_multiple_of(7));
        assert_eq!(map.len(), 143);
        let text: String = map.keys().map(String::as_str).collect();
        assert!(text.contains("key 994"));
    }

    fn a_result_may_be_returned() -> Result<(), core::num::ParseIntError> {
        let number: u32 = "42".parse()?;
        assert_eq!(number, 42);
        Ok(())
    }

    #[ignore]
    fn what_is_ignored_does_not_run() {
        panic!("it ran");
    }
}
