//! The `f32` functions that are correctly rounded, for every argument there is.
//!
//! The C library's `f64` function has an error below 2^-49. Where its value rounds to the same `f32` from a
//! little above and a little below, that is the right result; elsewhere MPFR decides with 200 bits.
//!
//! `cargo test` tries about a million arguments of each function. All 2^32 took 66 to 544 seconds for each function, 62
//! minutes in all, in one thread on a machine with much else to do. They are part of `cargo freestone test --long`;
//! by themselves
//!
//! `cargo test --release -p freestone-math --test correctly_rounded -- --ignored`

mod reference;

use freestone_math::export;
use reference::functions::correctly_rounded;
use reference::{Function, Mpfr};
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

/// More than the error of any of the C library's `f64` functions, relative.
const DOUBT: f64 = 1.0 / (1_u64 << 48) as f64;

/// Tries every `step`th argument, and shows what is wrong as a list of exceptions.
#[inline(always)]
fn sweep(step: usize, mpfr_name: &str, ours: impl Fn(f32) -> f32, double: impl Fn(f64) -> f64) {
    let mut mpfr = Mpfr::new(200);
    let function = mpfr.as_ref().map(|mpfr| mpfr.one(mpfr_name));
    let mut judge = |x: f32| -> Option<f32> {
        let function: Function = function?;
        Some(mpfr.as_mut()?.single(function, x.into()))
    };
    let (mut doubtful, mut wrong) = (0_u64, Vec::new());
    let begin = Instant::now();
    for bits in (0..=u32::MAX).step_by(step) {
        if step == 1 && bits & 0x0fff_ffff == 0 && bits != 0 {
            progress(mpfr_name, bits, begin);
        }
        let x = f32::from_bits(bits);
        let (got, value) = (ours(x), double(x.into()));
        let (low, high) = ((value - value * DOUBT) as f32, (value + value * DOUBT) as f32);
        let want = if low.to_bits() == high.to_bits() || !value.is_finite() {
            value as f32
        } else {
            doubtful += 1;
            // Without a judge, the doubtful ones are not judged.
            judge(x).unwrap_or(got)
        };
        if got.to_bits() != want.to_bits() && !(got.is_nan() && want.is_nan()) {
            wrong.push((bits, want.to_bits()));
            if wrong.len() > 200 {
                break;
            }
        }
    }
    if mpfr.is_none() {
        println!("{doubtful} arguments not judged: there is no libmpfr.so.6");
    }
    let list: Vec<_> =
        wrong.iter().map(|(bits, want)| format!("({bits:#010x}, {want:#010x})")).collect();
    assert!(wrong.is_empty(), "{} wrong: [{}]", wrong.len(), list.join(", "));
}

/// To the terminal, which a test's `println` would not reach before its end.
fn progress(name: &str, done: u32, begin: Instant) {
    let (sixteenths, seconds) = (done >> 28, begin.elapsed().as_secs());
    let line = format!("{name} of an f32: {sixteenths}/16 of all arguments, {seconds} s\n");
    // Nobody there to read it is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Without optimisation all arguments would take hours, so this builds the tests once more.
#[test]
fn every_argument_in_the_long_tier() {
    if std::env::var_os("FREESTONE_LONG").is_none_or(|value| value != "1") {
        println!("SKIPPED: only with FREESTONE_LONG=1");
        return;
    }
    let status = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--release", "--test", "correctly_rounded", "--", "--ignored"])
        .status()
        .expect("the cargo that built this");
    assert!(status.success(), "cargo test --release --test correctly_rounded -- --ignored");
}

macro_rules! functions {
    ($($name:ident: $double:ident $mpfr:literal;)*) => {
        /// The C library's: `std` computes some of these itself, and not as well.
        mod host {
            unsafe extern "C" {
                $(pub safe fn $double(x: f64) -> f64;)*
            }
        }

        $(#[test]
        fn $name() {
            sweep(4099, $mpfr, |x| export::$name(x), |x| host::$double(x));
        })*

        mod every_argument {
            use super::*;

            $(#[test]
            #[ignore = "2^32 arguments"]
            fn $name() {
                sweep(1, $mpfr, |x| export::$name(x), |x| host::$double(x));
            })*
        }
    };
}

correctly_rounded!(functions);
