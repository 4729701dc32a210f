//! Kernels that work, on every machine.

use freestone_tests::{MACHINES, Profile, boot, kernel, long, status};

#[test]
fn the_tour_succeeds_on_every_machine_in_16_mib() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("example-kernel", "example-kernel", profile);
        for machine in MACHINES {
            let clock = if machine == "microvm" { "PIT" } else { "HPET" };
            let arguments = ["--machine", machine, "-m", "16", "--", "oneshot key=value"];
            boot(&image, &arguments).expect(
                status::SUCCESS,
                &[
                    "PVH, start_info version 1",
                    "QEMU TCG",
                    "16550",
                    "\"oneshot key=value\"",
                    "Usable",
                    "333283335000",
                    "the 3",
                    "1.4142135623730951",
                    &format!("measured against the {clock}"),
                    "Z, the time of day",
                    "[\"quick\", \"slow\"]",
                    "was caught",
                    "VERDICT: success",
                ],
            );
        }
    }
}

#[test]
fn hello_needs_2_mib() {
    let image = kernel("kernel-hello", "kernel-hello", Profile::Release);
    for machine in MACHINES {
        let arguments = ["--machine", machine, "-m", "2"];
        boot(&image, &arguments).expect(status::SUCCESS, &["Hello, world"]);
    }
}

#[test]
fn large_memory_is_mapped_and_used() {
    let image = kernel("example-kernel", "example-kernel", Profile::Dev);
    // More than the entry code maps, and on pc a region above 4 GiB: QEMU reserves, but does not
    // touch, what the guest does not use.
    let ended = boot(&image, &["--machine", "pc", "-m", "6144", "--", "oneshot"]);
    let ended = ended.expect(status::SUCCESS, &["0x000100000000..", "VERDICT: success"]);
    assert!(ended.stdout.contains("RAM were free"), "{ended}");
}

#[test]
fn any_amount_of_memory_will_do() {
    // Odd sizes end in the middle of a huge page; with --long, every size in a range and large ones.
    let mut sizes = vec![2, 3, 5, 17, 1025];
    if long() {
        sizes.extend(2..=130);
        sizes.extend([511, 1023, 1024, 2047, 2048, 2049, 3071, 3073, 4096, 5000, 8192]);
    }
    let image = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    for mib in sizes {
        for machine in MACHINES {
            let arguments = ["--machine", machine, "-m", &mib.to_string()];
            boot(&image, &arguments).expect(status::SUCCESS, &["Hello, world"]);
        }
    }
}

#[test]
fn no_translation_outlives_its_page() {
    let image = kernel("kernel-translations", "kernel-translations", Profile::Release);
    for machine in MACHINES {
        let ended = boot(&image, &["--machine", machine, "-m", "256"]);
        ended.expect(status::SUCCESS, &["guard pages and aliases: ok", "30 random changes: ok"]);
    }
}

#[test]
fn an_image_larger_than_the_machine_is_refused() {
    let image = kernel("kernel-faults", "large_image", Profile::Dev);
    let ended = boot(&image, &["-m", "4"]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("it needs -m 8 or more"), "{ended}");
}

#[test]
fn a_module_arrives_whole() {
    let image = kernel("example-kernel", "example-kernel", Profile::Dev);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let bytes = std::fs::read(manifest).expect("this crate has a manifest").len();
    for machine in MACHINES {
        boot(&image, &["--machine", machine, "--module", manifest, "--", "oneshot"])
            .expect(status::SUCCESS, &[&format!("module        {bytes} bytes")]);
    }
}

#[test]
fn a_kernel_with_its_own_boot_code_takes_rt_alone() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-own-boot", "kernel-own-boot", profile);
        for machine in MACHINES {
            boot(&image, &["--machine", machine]).expect(
                status::CRASH,
                &[
                    "booted by code of its own, PVH magic 0x336ec578, 0.667",
                    "KERNEL PANIC at tests/kernels/own-boot/src/main.rs:",
                    "and it panics with rt's handler",
                ],
            );
        }
    }
}
