//! Sets `hardware_floats` where floats have registers of their own and C passes them there.
//!
//! On x86 and Arm a stable target feature shows that. On RISC-V it is `d`, which rustc reports to build scripts and `cfg` on
//! nightly only; so the target's name is read too, which has the letters of the instruction set.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(hardware_floats)");
    let variable = |name| env::var(name).unwrap_or_default();
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let has = |wanted: &str| features.split(',').any(|feature| feature == wanted);
    let has_floats = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86" | "x86_64" => has("sse2"),
        "aarch64" => has("neon"),
        "riscv32" | "riscv64" => has("d") || is_named_with_doubles(&variable("TARGET")),
        _ => false,
    };
    if has_floats {
        println!("cargo::rustc-cfg=hardware_floats");
    }
}

/// `riscv64gc-…` or `riscv64imafdc-…`, not `riscv64imac-…`: `g` means `imafd` (RISC-V Unprivileged ISA, "ISA Extension
/// Naming Conventions"). Without letters it is a target of a system with doubles; the profile RVA23 has them too.
fn is_named_with_doubles(target: &str) -> bool {
    let first = target.split('-').next().unwrap_or_default();
    let letters = first.trim_start_matches("riscv64").trim_start_matches("riscv32");
    letters.is_empty() || letters == "a23" || letters.contains(['g', 'd'])
}
