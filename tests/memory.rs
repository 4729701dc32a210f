//! The C memory functions inside a kernel, on several processors.
//!
//! The emulator runs the same instructions on all of them; only `CPUID` differs. So the
//! tests show that nothing is detected that is not there, and that no body needs more than its processor has. The emulator has
//! no flag for fast short strings, so the kernel also sets that by hand.

use freestone_tests::{Profile, boot, kernel, status};

/// The least there is, two Intel generations, three of AMD, and everything the emulator knows.
const PROCESSORS: [&str; 7] =
    ["qemu64", "Nehalem", "Icelake-Server", "phenom", "EPYC", "EPYC-Milan", "max"];

/// 58 lengths at eleven places, five checks: fewer would mean that the kernel left some out.
const CHECKS: u64 = 58 * 11 * 5;

#[test]
fn every_way_is_right_on_every_processor() {
    let image = kernel("kernel-memory", "kernel-memory", Profile::Release);
    for processor in PROCESSORS {
        // The last `-cpu` counts.
        let ended = boot(&image, &["--qemu-arg=-cpu", &format!("--qemu-arg={processor}")]);
        // No fast short strings here, whatever the processor's name.
        let ended = ended.expect(status::SUCCESS, &["detected: Unknown\n"]);
        for way in ["Unknown:", "Long:", "Short:"] {
            assert_eq!(ended.number(way), CHECKS, "{processor}, {way} {ended}");
        }
    }
}
