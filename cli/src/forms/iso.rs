//! A CD image that PCs boot, with a BIOS or with UEFI, from a CD drive, a USB stick or a disk.
//!
//! GRUB starts the kernel by Multiboot2 and asks nothing. For a BIOS its core is on the CD and reads the kernel from there; for
//! UEFI the kernel is inside GRUB's own file, which lies on a FAT file system in a partition of the image. `grub-mkrescue` would do
//! too, with all of GRUB's modules: 9 MB, and each time other bytes.
//!
//! ```text
//! sector 0              code for BIOSes that take the image for a disk, and a table of partitions
//! ISO 9660              boot/kernel.elf, boot/grub.img: GRUB for BIOS
//! partition 2, FAT      EFI/BOOT/BOOTX64.EFI: GRUB for UEFI, and the kernel
//! ```
//!
//! Sources: GRUB manual 2.06, "Invoking grub-mkimage"; xorrisofs(1), "Bootable ISO images"; El Torito 1.0; Multiboot2
//! specification, 3.1 (header).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::boot::install::{self, Needed, find_program};
use crate::boot::limits::{self, Bytes};
use crate::foreign::{self, Shown as _};
use crate::forms::fat;
use crate::forms::tar::{self, Entry};
use crate::say;
use crate::shell::words;
use crate::status::Failure;
use crate::unfinished::Unfinished;

/// Names of the program that makes GRUB's images; the second is Fedora's and openSUSE's.
const MKIMAGE: [&str; 2] = ["grub-mkimage", "grub2-mkimage"];
const XORRISO: &str = "xorriso";

/// GRUB's modules for BIOS and for UEFI.
const BIOS: &str = "/usr/lib/grub/i386-pc";
const UEFI: &str = "/usr/lib/grub/x86_64-efi";

/// What all of it is in.
const NEEDED: Needed = Needed {
    name: "GRUB",
    packages: &["grub-common", "grub-pc-bin", "grub-efi-amd64-bin", "xorriso"],
    commands: |_| None,
    otherwise: "GRUB's grub-mkimage with its modules for i386-pc and x86_64-efi, and xorriso",
};

/// For one program.
const LIMIT: Duration = Duration::from_secs(120);
const MOST_SAID: Bytes = Bytes(1 << 20);

/// When all files in the image were made: the earliest time that both of its file systems can express, 1980-01-01.
const TIME: &str = "315532800";

/// What makes it.
struct Tools {
    mkimage: PathBuf,
    xorriso: PathBuf,
}

fn tools() -> Option<Tools> {
    let mkimage = MKIMAGE.iter().find_map(|name| find_program(Path::new(name)))?;
    let xorriso = find_program(Path::new(XORRISO))?;
    let has_modules =
        [BIOS, UEFI].iter().all(|folder| Path::new(folder).join("multiboot2.mod").is_file());
    has_modules.then_some(Tools { mkimage, xorriso })
}

/// Installs what makes it, if that is missing and the user agrees.
pub fn require(yes: bool) -> Result<(), Failure> {
    if tools().is_some() {
        return Ok(());
    }
    say!("what makes CD images is missing: {}", NEEDED.otherwise);
    install::install(&NEEDED, yes)
}

/// Refuses what GRUB would change: it puts a backslash in front of these.
pub fn check_line(line: &str) -> Result<(), Failure> {
    match line.contains(['\'', '"', '\\']) {
        false => Ok(()),
        true => Err(Failure::usage(
            "the kernel's command line has a quote or a backslash, which GRUB does not hand on as it is; leave it out",
        )),
    }
}

/// The image.
pub fn of(kernel: &[u8], line: &str, verbose: bool) -> Result<Vec<u8>, Failure> {
    if !has_header(kernel) {
        return Err(Failure::usage(
            "this kernel has no Multiboot2 header, by which GRUB would start it: \
             `freestone::entry!(main, multiboot2: on);` gives it one",
        ));
    }
    let tools = tools().ok_or_else(|| Failure::tool(NEEDED.cure()))?;
    let scratch = Unfinished::folder_in(&std::env::temp_dir())
        .map_err(|error| Failure::tool(format!("{}: {error}", std::env::temp_dir().shown())))?;
    let at = |name: &str| scratch.path().join(name);
    let failed = |error: io::Error| Failure::tool(format!("{}: {error}", scratch.path().shown()));
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).map_err(failed);

    fs::create_dir_all(at("cd/boot")).map_err(failed)?;
    write("cd/boot/kernel.elf", kernel)?;
    write("memory.tar", &tar::of(&[Entry::File("kernel.elf", kernel)]))?;
    write("bios.cfg", script("/boot/kernel.elf", line).as_bytes())?;
    write("uefi.cfg", script("(memdisk)/kernel.elf", line).as_bytes())?;

    // In the folder, so that no path of it gets into a file.
    let program = |path: &Path| {
        let mut command = Command::new(path);
        command.current_dir(scratch.path()).stdin(Stdio::null()).envs([
            ("SOURCE_DATE_EPOCH", TIME),
            ("TZ", "UTC"),
            ("LC_ALL", "C"),
        ]);
        command
    };
    let mut bios = program(&tools.mkimage);
    bios.args(["-O", "i386-pc-eltorito", "-d", BIOS, "-p", "/boot", "-c", "bios.cfg"]);
    bios.args(["-o", "cd/boot/grub.img", "biosdisk", "iso9660", "multiboot2", "boot"]);
    run(bios, verbose)?;
    let mut uefi = program(&tools.mkimage);
    uefi.args(["-O", "x86_64-efi", "-d", UEFI, "-p", "(memdisk)/", "-c", "uefi.cfg"]);
    uefi.args(["-m", "memory.tar", "-o", "uefi.efi", "memdisk", "tar", "multiboot2", "boot"]);
    run(uefi, verbose)?;
    let fat = fat::of(&fs::read(at("uefi.efi")).map_err(failed)?);
    write("uefi.fat", &fat.ok_or_else(|| Failure::usage("this kernel is too large for a CD"))?)?;

    let mut cd = program(&tools.xorriso);
    cd.args(["-as", "mkisofs", "-quiet", "-r", "-V", "FREESTONE", "-o", "cd.iso"]);
    cd.args(["--set_all_file_dates", "1980010100000000"]);
    cd.args(["-b", "boot/grub.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]);
    cd.args(["--grub2-boot-info", "--grub2-mbr", &format!("{BIOS}/boot_hybrid.img")]);
    cd.args(["-append_partition", "2", "0xef", "uefi.fat", "-eltorito-alt-boot"]);
    cd.args(["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", "cd"]);
    run(cd, verbose)?;
    fs::read(at("cd.iso")).map_err(failed)
}

/// What GRUB does, in the language of its rescue mode.
fn script(kernel: &str, line: &str) -> String {
    let words: String = line.split_ascii_whitespace().map(|word| format!(" '{word}'")).collect();
    format!("multiboot2 {kernel}{words}\nboot\n")
}

fn run(mut command: Command, verbose: bool) -> Result<(), Failure> {
    if verbose {
        say!("running: {}", words(&command));
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let outcome = limits::run(&mut command, LIMIT, MOST_SAID)?;
    if outcome.is_success() {
        return Ok(());
    }
    let said = foreign::line(outcome.stderr.trim_ascii());
    Err(Failure::tool(format!("{program} did not do its work: {said}")))
}

/// Whether there is a Multiboot2 header: its magic number, and a sum of zero, in the first 32 KiB, aligned to 8.
fn has_header(kernel: &[u8]) -> bool {
    const MAGIC: u32 = 0xe852_50d6;
    const SEARCHED: usize = 32 << 10;
    let begin = kernel.get(..SEARCHED).unwrap_or(kernel);
    begin.windows(16).step_by(8).any(|header| {
        let mut words =
            header.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_le_bytes);
        let sum = words.clone().fold(0, u32::wrapping_add);
        words.next() == Some(MAGIC) && sum == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_where_loaders_look() {
        let header: Vec<u8> = [0xe852_50d6_u32, 0, 24, 0x17ad_af12]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        for at in [0, 8, 416, (32 << 10) - 16] {
            let mut kernel = vec![0; 64 << 10];
            kernel[at..at + 16].copy_from_slice(&header);
            assert!(has_header(&kernel), "{at}");
            kernel[at + 15] ^= 1;
            assert!(!has_header(&kernel), "{at}");
        }
        for at in [4, 32 << 10] {
            let mut kernel = vec![0; 64 << 10];
            kernel[at..at + 16].copy_from_slice(&header);
            assert!(!has_header(&kernel), "{at}");
        }
        assert!(!has_header(b"") && !has_header(&header[..15]) && has_header(&header));
    }

    #[test]
    fn words_reach_the_kernel_as_they_are_or_not_at_all() {
        assert_eq!(script("/k", "a=1;b  $c"), "multiboot2 /k 'a=1;b' '$c'\nboot\n");
        assert_eq!(script("/k", ""), "multiboot2 /k\nboot\n");
        assert!(check_line("a=1,$b").is_ok());
        for line in ["it's", "a=\"b\"", r"a\b"] {
            assert!(check_line(line).is_err(), "{line}");
        }
    }
}
