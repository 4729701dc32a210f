//! Every exception at random moments of the tour: its report and its status must be right each time. By instructions, so
//! that the same number stands for the same moment.

use freestone_tests::{Profile, boot, kernel, long, status};

/// What reports call them, by vector, as far as that is not "reserved".
const NAMES: [&str; 32] = [
    "(#DE)", "(#DB)", "(NMI)", "(#BP)", "(#OF)", "(#BR)", "(#UD)", "(#NM)", "(#DF)", "overrun",
    "(#TS)", "(#NP)", "(#SS)", "(#GP)", "(#PF)", "reserved", "(#MF)", "(#AC)", "(#MC)", "(#XM)",
    "(#VE)", "(#CP)", "reserved", "reserved", "reserved", "reserved", "reserved", "reserved",
    "(#HV)", "(#VC)", "(#SX)", "reserved",
];

/// Random numbers that are the same in every run.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *seed >> 33
}

#[test]
fn every_exception_is_reported_at_every_moment() {
    let points = if long() { 200 } else { 2 };
    let image = kernel("kernel-matrix", "kernel-matrix", Profile::Release);
    let tour = boot(&image, &["--icount"]).expect(status::SUCCESS, &["[boot]", "[traps]"]);
    // The tour's last stop handles breakpoints: the moments are before that.
    let length = tour.number("the tour: ") * 9 / 10;
    assert!(length > 1_000_000, "{tour}");
    let mut seed = 1;
    for point in 0..points {
        for (vector, name) in NAMES.iter().enumerate() {
            let [vector, at] =
                [format!("vector={vector}"), format!("at={}", 1 + random(&mut seed) % length)];
            // By turns with the true cause.
            let how = if point % 2 == 0 { "real" } else { "int" };
            let ended = boot(&image, &["--icount", "--timeout", "60", "--", &vector, &at, how]);
            let ended = ended.expect(status::CRASH, &["EXCEPTION: ", name, "backtrace\n  at   0x"]);
            let number = vector.replace('=', " ");
            let is_right = ended.stdout.contains(&format!("{name}, {number}, at 0x"));
            let reports = ended.stdout.matches("EXCEPTION").count();
            assert!(is_right && reports == 1, "{vector} {at} {how}: {ended}");
        }
    }
}
