//! virtio disks, and a console, in a kernel, on every machine and in every way in which they are reached: what the kernel reads is what the
//! host has written, and the other way round; disks that fail, do not answer, and are taken out.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, thread};

use freestone_tests::{Ended, Profile, Scratch, boot, kernel, status};

const SECTOR: usize = 512;
const SECTORS: u64 = 8192;

/// As in the kernel.
fn pattern(sector: u64, seed: u8) -> impl Iterator<Item = u8> {
    (0..SECTOR as u64).map(move |at| (sector * 7 + at * 3 + at / 256) as u8 ^ seed)
}

const HOSTS: u8 = 0;
const OURS: u8 = 0x5a;

/// What the kernel has written.
const WRITTEN: std::ops::Range<u64> = 2048..2048 + 32 * 8;
/// And what it has zeroed of it, and then discarded.
const ZEROED: std::ops::Range<u64> = 2048..2048 + 8;
const DISCARDED: std::ops::Range<u64> = 2048 + 8..2048 + 16;

/// A disk's file, with the pattern, removed at the end.
struct Image(PathBuf);

impl Image {
    fn new() -> Image {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("freestone-disk-{}-{number}", process::id()));
        let bytes: Vec<u8> = (0..SECTORS).flat_map(|sector| pattern(sector, HOSTS)).collect();
        fs::write(&path, bytes).expect("a disk");
        Image(path)
    }

    /// Asserts that what the kernel has written is there, and nothing else.
    fn check(&self, zeroes: bool) {
        let bytes = fs::read(&self.0).expect("the disk");
        for (sector, bytes) in (0..).zip(bytes.chunks(SECTOR)) {
            let is = |seed| bytes.iter().copied().eq(pattern(sector, seed));
            let is_zero = bytes.iter().all(|&byte| byte == 0);
            let is_good = match sector {
                sector if zeroes && ZEROED.contains(&sector) => is_zero,
                sector if zeroes && DISCARDED.contains(&sector) => is_zero || is(OURS),
                sector if WRITTEN.contains(&sector) => is(OURS),
                _ => is(HOSTS),
            };
            assert!(is_good, "sector {sector}: {bytes:?}");
        }
    }

    /// An argument for the host's side of it.
    fn drive(&self, options: &str) -> String {
        format!("--qemu-arg=if=none,id=d0,format=raw,file={}{options}", self.0.display())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Boots the kernel with a disk, as `device` says, and these words.
fn run(profile: Profile, arguments: &[&str], drive: &str, device: &str, words: &[&str]) -> Ended {
    let image = kernel("kernel-disk", "disk", profile);
    let device = format!("--qemu-arg={device},drive=d0,serial=a-name");
    let disk = ["--timeout", "60", "--qemu-arg=-drive", drive, "--qemu-arg=-device", &device];
    boot(&image, &[arguments, &disk, &["--"], words].concat())
}

const GLOBAL: [&str; 2] = ["--qemu-arg=-global", "--qemu-arg=virtio-mmio.force-legacy=false"];

/// Machine, arguments, device: legacy and not, with messages and without.
const WAYS: [(&str, &[&str], &str); 9] = [
    ("microvm", &[], "virtio-blk-device"),
    ("microvm", &GLOBAL, "virtio-blk-device"),
    ("q35", &[], "virtio-blk-pci"),
    ("q35", &[], "virtio-blk-pci,vectors=0"),
    ("q35", &[], "virtio-blk-pci,disable-legacy=on,event_idx=off"),
    ("pc", &[], "virtio-blk-pci"),
    ("pc", &[], "virtio-blk-pci,disable-modern=on"),
    ("pc", &[], "virtio-blk-pci,disable-modern=on,vectors=0"),
    ("pc", &[], "virtio-blk-pci,vectors=0,queue-size=4,num-queues=1"),
];

#[test]
fn a_disk_is_read_and_written_in_every_way_in_which_it_is_reached() {
    for (machine, arguments, device) in WAYS {
        let image = Image::new();
        let arguments = [&["--machine", machine], arguments].concat();
        let texts =
            ["has a driver already", "8192 sectors", "name: a-name", "read: true", "at once: 32"];
        let drive = image.drive(",discard=unmap");
        let ended = run(Profile::Release, &arguments, &drive, device, &[]);
        let ended = ended.expect(status::SUCCESS, &texts);
        let ended =
            ended.expect(status::SUCCESS, &["beyond the end: the disk has no such", "then: true"]);
        println!("{machine} {device}: {} notifications", ended.number("notifications:"));
        let zeroes = ended.stdout.contains("zeroed: true");
        assert!(zeroes, "{ended}");
        image.check(zeroes);
    }
}

#[test]
fn a_debug_build_does_so_too_and_larger_blocks_are_kept_to() {
    let image = Image::new();
    let device = "virtio-blk-device,logical_block_size=4096,physical_block_size=4096";
    let ended = run(Profile::Dev, &[], &image.drive(""), device, &[]);
    let texts =
        ["block_bytes: 4096", "read: true", "at once: 32", "not a whole number", "then: true"];
    ended.expect(status::SUCCESS, &texts);
    let image = Image::new();
    let ended = run(Profile::Dev, &[], &image.drive(""), "virtio-blk-device", &[]);
    ended.expect(status::SUCCESS, &["read: true", "at once: 32", "then: true"]);
}

#[test]
fn without_a_disk_there_is_none_and_a_read_only_one_is_not_written_to() {
    let nothing = boot(&kernel("kernel-disk", "disk", Profile::Release), &[]);
    nothing.expect(status::FAILURE, &["there is no disk"]);
    for (machine, device) in [("microvm", "virtio-blk-device"), ("q35", "virtio-blk-pci")] {
        let image = Image::new();
        let drive = image.drive(",readonly=on");
        let ended = run(Profile::Release, &["--machine", machine], &drive, device, &["read-only"]);
        ended.expect(
            status::SUCCESS,
            &["is_read_only: true", "written: the disk cannot be written to", "read: true"],
        );
    }
}

#[test]
fn a_request_that_the_host_fails_is_the_only_one_that_fails() {
    let image = Image::new();
    let file = format!("--qemu-arg=driver=file,node-name=f0,filename={}", image.0.display());
    let fails = ["read,inject-error.0.sector=99", "write,inject-error.1.sector=99", "flush"];
    let rules: String = (0..).zip(fails)
        .map(|(at, kind)| {
            format!(",inject-error.{at}.event=none,inject-error.{at}.once=on,inject-error.{at}.errno=5,inject-error.{at}.iotype={kind}")
        })
        .collect();
    let debug = format!("--qemu-arg=driver=blkdebug,node-name=d0,image=f0{rules}");
    let arguments =
        ["--qemu-arg=-blockdev", &file, "--qemu-arg=-blockdev", &debug, "--qemu-arg=-device"];
    let image = kernel("kernel-disk", "disk", Profile::Release);
    let device = ["--qemu-arg=virtio-blk-device,drive=d0", "--timeout", "60", "--", "errors"];
    let texts =
        ["could not do it", "read: true", "could not do it", "could not do it", "flushed: true"];
    boot(&image, &[&arguments[..], &device].concat()).expect(status::SUCCESS, &texts);
}

#[test]
fn a_disk_that_does_not_answer_is_given_up() {
    for (machine, device) in [("microvm", "virtio-blk-device"), ("q35", "virtio-blk-pci")] {
        let image = Image::new();
        let drive = image.drive(",throttling.iops-total=1");
        let ended = run(Profile::Release, &["--machine", machine], &drive, device, &["silent"]);
        let texts = ["Err(TimedOut)", "then: the disk did not answer in time"];
        let ended = ended.expect(status::SUCCESS, &texts);
        let took = ended.number("milliseconds:");
        assert!((2000..10_000).contains(&took), "{ended}");
    }
}

#[test]
fn a_disk_that_is_taken_out_is_seen_to_be_gone() {
    for device in ["virtio-blk-pci,addr=5", "virtio-blk-pci,addr=5,vectors=0"] {
        let image = Image::new();
        let drive = image.drive("");
        let words = ["unplug", "slot=5"];
        let ended = run(Profile::Release, &["--machine", "pc"], &drive, device, &words);
        let ended =
            ended.expect(status::SUCCESS, &["Err(Unplugged)", "then: the disk is not there"]);
        assert!(ended.number("milliseconds:") < 5000, "{ended}");
    }
}

#[test]
fn what_is_typed_at_a_console_is_said_again() {
    let kernel = kernel("kernel-disk", "port", Profile::Release);
    let scratch = Scratch::new("port");
    let typed = "x".repeat(3000) + "\n";
    for (machine, arguments, device) in [
        ("microvm", &[][..], "virtio-serial-device"),
        ("microvm", &GLOBAL, "virtio-serial-device"),
        ("q35", &[], "virtio-serial-pci"),
        ("pc", &[], "virtio-serial-pci,disable-modern=on"),
        ("pc", &[], "virtio-serial-pci,vectors=0"),
    ] {
        let path = scratch.path().join("socket");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let socket = format!("--qemu-arg=socket,id=c0,path={}", path.display());
        let device = format!("--qemu-arg={device}");
        let port = [
            "--timeout",
            "60",
            "--qemu-arg=-chardev",
            &socket,
            "--qemu-arg=-device",
            &device,
            "--qemu-arg=-device",
            "--qemu-arg=virtconsole,chardev=c0",
        ];
        let line = typed.clone();
        let other_end = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("QEMU");
            stream.write_all(line.as_bytes()).expect("it reads");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("it writes");
            said
        });
        let ended = boot(&kernel, &[&["--machine", machine], arguments, &port].concat());
        ended.expect(status::SUCCESS, &["came: 3001 bytes", "notifications: 1"]);
        assert_eq!(other_end.join().expect("it ends"), format!("said: {typed}"), "{machine}");
    }
}

/// Instructions that the tasks take for each reading of 4 KiB, of one and of 32. One at a time is all waiting: how many of the
/// disk's naps fall into it depends on the host.
const COST: [u64; 2] = [1_200, 1_000];

#[test]
fn a_reading_stays_within_budget() {
    let image = Image::new();
    let kernel = kernel("kernel-disk", "disk-cost", Profile::Release);
    let drive = image.drive("");
    let device = "--qemu-arg=virtio-blk-pci,drive=d0";
    let arguments = ["--machine", "q35", "--icount", "--timeout", "100"];
    let disk = ["--qemu-arg=-drive", &drive, "--qemu-arg=-device", device, "--", "count=2000"];
    let ended = boot(&kernel, &[&arguments[..], &disk].concat()).expect(status::SUCCESS, &[]);
    println!("{}", ended.stdout);
    for (at_once, most) in ["1 at once: ", "32 at once: "].into_iter().zip(COST) {
        let line = ended.stdout.lines().rfind(|line| line.starts_with(at_once)).expect("a line");
        let each = line[at_once.len()..].split(' ').next().and_then(|number| number.parse().ok());
        let each: u64 = each.expect("a number");
        assert!(each <= most, "{each} instructions: {line}");
    }
}
