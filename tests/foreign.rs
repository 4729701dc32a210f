//! Kernels that are not built on Freestone: they have boot code, a panic handler or an allocator of
//! their own, and use a crate or two.
//!
//! One is started by GRUB, from a CD, through the PC's firmware. Making the CD takes Debian's packages grub-pc-bin,
//! grub-common, xorriso and mtools; without them that test is skipped, with a message.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{
    Ended, Profile, Scratch, boot, cargo, kernel, root, run, status, target, tool,
};

/// Built in both profiles as plain cargo does it, and, where that can be done, without SSE.
fn images(package: &str) -> Vec<PathBuf> {
    let mut images =
        vec![kernel(package, package, Profile::Dev), kernel(package, package, Profile::Release)];
    if sysroot("x86_64-unknown-none").is_some() {
        // Without a PVH entry it is built but not booted, so its status is no matter.
        run(tool().args(["run", "--mode", "none", "-p", package]));
        images.push(target().join("x86_64-unknown-none/debug").join(package));
    }
    images
}

/// Our crates that end up in a kernel; of them `protocol`, which comes with `rt`, is constants.
fn parts(package: &str) -> BTreeSet<String> {
    let arguments = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = run(cargo(root()).args(arguments)).expect(0, &[package]);
    let names = tree.stdout.lines().filter_map(|line| line.split(' ').next());
    names.filter_map(|name| name.strip_prefix("freestone-")).map(str::to_owned).collect()
}

#[test]
fn each_has_what_it_asked_for_and_nothing_else() {
    for (package, wanted) in [
        ("kernel-own-boot", &["mem", "protocol", "rt"][..]),
        ("kernel-multiboot", &["mem", "protocol", "rt"]),
        ("kernel-own-panic", &["math", "mem", "protocol", "rt"]),
        ("kernel-own-heap", &["mem", "protocol", "rt"]),
    ] {
        let wanted: BTreeSet<_> = wanted.iter().map(|name| name.to_string()).collect();
        assert_eq!(parts(package), wanted, "{package}");
    }
}

#[test]
fn a_kernel_keeps_its_own_panic_handler() {
    for image in images("kernel-own-panic") {
        let said = "this kernel's own handler, line 41: a third of 2^100 is \
                    422550200076076467165567735125, the root of 2 is 1.414214\n";
        let ended = boot(&image, &[]).expect(status::SUCCESS, &[said]);
        assert_eq!(ended.stdout, said, "nobody else has a word in it");
    }
}

#[test]
fn a_kernel_keeps_its_own_allocator() {
    for image in images("kernel-own-heap") {
        let exhausted = "memory allocation of 262144 bytes failed";
        boot(&image, &[]).expect(
            status::CRASH,
            &["100 names in ", "its own heap", "KERNEL PANIC at ", exhausted],
        );
    }
}

/// A program on PATH or where distributions keep those of the administrator.
fn is_here(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A CD from which GRUB starts a kernel, with these words on its command line.
fn cd(scratch: &Scratch, image: &Path, words: &str) -> PathBuf {
    let menu = format!("serial\nterminal_output serial\nmultiboot2 /boot/kernel {words}\nboot\n");
    scratch.write("cd/boot/grub/grub.cfg", &menu);
    std::fs::copy(image, scratch.path().join("cd/boot/kernel")).expect("both are there");
    let cd = scratch.path().join("kernel.iso");
    let mut command = Command::new("grub-mkrescue");
    // No menu is shown, so none of what makes it pretty.
    command.args(["-d", GRUB, "--locales=", "--fonts=", "--themes=", "-o"]);
    let made = run(command.arg(&cd).arg(scratch.path().join("cd")));
    assert_eq!(made.status, Some(0), "{made}");
    cd
}

/// GRUB for PCs with a BIOS.
const GRUB: &str = "/usr/lib/grub/i386-pc";

fn boot_cd(cd: &Path) -> Ended {
    let qemu =
        env::var_os("FREESTONE_QEMU").unwrap_or_else(|| OsString::from("qemu-system-x86_64"));
    let mut command = Command::new("timeout");
    command.arg("60").arg(qemu);
    command.args(["-M", "pc", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot"]);
    command.args(["-accel", "tcg", "-serial", "stdio", "-boot", "d"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-cdrom"]);
    run(command.arg(cd))
}

/// What QEMU makes of the numbers that a kernel writes to its exit port.
const SUCCESS: i32 = 0x10 << 1 | 1;
const CRASH: i32 = 0x12 << 1 | 1;

#[test]
fn grub_starts_a_kernel_that_takes_rt_and_mem() {
    let programs = ["grub-mkrescue", "xorriso", "mformat"];
    if !programs.iter().all(|program| is_here(program)) || !Path::new(GRUB).is_dir() {
        println!(
            "SKIPPED: no GRUB to make a CD with. On Debian: \
             apt-get install grub-pc-bin grub-common xorriso mtools"
        );
        return;
    }
    let scratch = Scratch::new("grub");
    for image in images("kernel-multiboot") {
        let found =
            run(tool().arg("check").arg(&image)).expect(status::SUCCESS, &["0 errors, 0 warnings"]);
        assert!(!found.stdout.contains("entry-note"), "{found}");
        let plain = boot_cd(&cd(&scratch, &image, ""));
        plain.expect(SUCCESS, &["booted by GRUB 2.", "63.", " MiB of memory"]);
        let panic = boot_cd(&cd(&scratch, &image, "panic"));
        let place = "KERNEL PANIC at tests/kernels/multiboot/src/main.rs:";
        panic.expect(CRASH, &["booted by GRUB", place, "as was asked for"]);
    }
}
