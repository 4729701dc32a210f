//! The forms in which `cargo freestone image` writes a kernel: each that can boot here is booted, by the firmware and the loader
//! that it is for; the others are shown to programs that read them.
//!
//! None of the machines has QEMU's exit device: the verdict is the last line of the serial port, and the kernel powers off.
//! What is not installed is skipped, with a message.

#[path = "images/machines.rs"]
mod machines;
#[path = "images/oci.rs"]
mod oci;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_tests::{Ended, Profile, Scratch, boot, kernel, root, run, status, tool};
use machines::{bochs, is_here, ovmf, qemu};

fn kernel_images() -> PathBuf {
    kernel("kernel-images", "kernel-images", Profile::Release)
}

/// `cargo freestone image ARGUMENTS`, in a folder; the form of this kernel, with these words on its command line.
fn image(folder: &Path, form: &[&str], words: &[&str]) -> Ended {
    let mut command = tool();
    command.current_dir(folder).arg("image").args(form).arg(kernel_images());
    if !words.is_empty() {
        command.arg("--").args(words);
    }
    run(&mut command)
}

/// Asserts what every form's kernel says.
#[track_caller]
fn expect(said: &str, started_by: &str, words: &str, verdict: &str) {
    let parts = [
        format!("started by {started_by}"),
        format!("command line: [{words}]"),
        "I/O APICs: 1".into(),
        format!("\u{1e}freestone verdict: {verdict}"),
    ];
    for part in parts {
        assert!(said.contains(&part), "{part:?} is not in what was said:\n{said}");
    }
    assert!(!said.contains("not prepared"), "{said}");
}

#[test]
fn the_elf_file_has_what_is_loaded_and_no_more() {
    let scratch = Scratch::new("images-elf");
    image(scratch.path(), &[], &[]).expect(status::SUCCESS, &[]);
    let file = scratch.path().join("kernel-images.elf");
    let words = boot(&file, &["--no-names", "--", "a", "b"]);
    words.expect(status::SUCCESS, &["started by PVH", "command line: [a b]"]);
    // Its own table of names, as the file has no symbols.
    let panic = boot(&file, &["--no-names", "--", "panic"]);
    panic.expect(status::CRASH, &["as was asked for", "kernel_images::freestone_main"]);
    let [before, after] = [kernel_images(), file].map(|path| fs::read(path).expect("a file"));
    assert!(!after.windows(8).any(|window| window == b".symtab\0"), "it has symbols");
    assert!(before.windows(8).any(|window| window == b".symtab\0"), "symbols are called otherwise");
    // Again, with all of its parts where they were.
    let again =
        run(tool().current_dir(scratch.path()).args(["image", "-o", "again", "kernel-images.elf"]));
    again.expect(status::SUCCESS, &[]);
    assert!(fs::read(scratch.path().join("again")).expect("a file") == after);
}

/// A CD with GRUB; `None`, with a message, if it cannot be made here.
fn cd(scratch: &Scratch, words: &[&str]) -> Option<PathBuf> {
    let has_grub =
        ["i386-pc", "x86_64-efi"].iter().all(|name| Path::new("/usr/lib/grub").join(name).is_dir());
    if !has_grub || !is_here("grub-mkimage") || !is_here("xorriso") {
        println!(
            "SKIPPED: no GRUB to make a CD with. On Debian: \
             apt-get install grub-common grub-pc-bin grub-efi-amd64-bin xorriso"
        );
        return None;
    }
    image(scratch.path(), &["--iso"], words).expect(status::SUCCESS, &[]);
    Some(scratch.path().join("kernel-images.iso"))
}

#[test]
fn a_bios_starts_it_from_a_cd_and_from_a_disk() {
    let scratch = Scratch::new("images-bios");
    let Some(file) = cd(&scratch, &["a=1;$b", "c"]) else { return };
    for (machine, option) in [("pc", "-cdrom"), ("q35", "-hda")] {
        let said = qemu(machine).arg(option, &file).run();
        expect(&said, "Multiboot2 on QEMU TCG", "a=1;$b c", "success");
    }
    for (word, verdict) in [("fail", "failure"), ("panic", "crash")] {
        let file = cd(&scratch, &[word]).expect("there was one");
        expect(&qemu("pc").arg("-cdrom", &file).run(), "Multiboot2 on", word, verdict);
    }
}

#[test]
fn uefi_starts_it_through_grub() {
    let scratch = Scratch::new("images-uefi");
    let (Some(ovmf), Some(file)) = (ovmf(), cd(&scratch, &["a", "b"])) else { return };
    let said = qemu("q35").arg("-bios", ovmf).arg("-cdrom", &file).run();
    expect(&said, "Multiboot2 on QEMU TCG", "a b", "success");
}

/// A folder that QEMU shows as a disk, with this application on it.
fn efi_disk(scratch: &Scratch, application: &str) -> String {
    let folder = scratch.path().join("disk/EFI/BOOT");
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(scratch.path().join(application), folder.join("BOOTX64.EFI")).expect("a file");
    format!("file=fat:rw:{},format=raw", scratch.path().join("disk").display())
}

#[test]
fn uefi_starts_it_by_itself() {
    let scratch = Scratch::new("images-efi");
    let Some(ovmf) = ovmf() else { return };
    image(scratch.path(), &["--efi"], &["it's", "a  \"b\""]).expect(status::SUCCESS, &[]);
    let disk = efi_disk(&scratch, "kernel-images.efi");
    let said = qemu("q35").arg("-bios", ovmf).arg("-drive", disk).run();
    expect(&said, "PVH, start_info version 1 on QEMU TCG", "it's a  \"b\"", "success");
}

#[test]
fn an_efi_application_without_room_for_its_kernel_says_so() {
    let scratch = Scratch::new("images-large");
    let Some(ovmf) = ovmf() else { return };
    // The last part's size in memory, so that it reaches what OVMF has at 8 MiB for itself: p_memsz of the third header.
    let mut large = fs::read(kernel_images()).expect("an image");
    let at = 64 + 2 * 56 + 40;
    large[at..at + 8].copy_from_slice(&(32_u64 << 20).to_le_bytes());
    fs::write(scratch.path().join("large"), large).expect("a file");
    let mut command = tool();
    command.current_dir(scratch.path()).args([
        "image",
        "--efi",
        "--no-names",
        "--no-check",
        "large",
    ]);
    run(&mut command).expect(status::SUCCESS, &[]);
    let disk = efi_disk(&scratch, "large.efi");
    let refusal = "this kernel cannot start: the firmware uses the memory that it is linked at";
    qemu("q35").arg("-bios", ovmf).arg("-drive", disk).run_until(refusal);
}

#[test]
fn bochs_starts_it() {
    let scratch = Scratch::new("images-bochs");
    let Some(bochs) = bochs() else { return };
    let Some(file) = cd(&scratch, &["a", "b"]) else { return };
    let said = bochs.run(&scratch, &file);
    expect(&said, "Multiboot2 on none", "a b", "success");
}

#[test]
fn libvirt_takes_its_domain() {
    let scratch = Scratch::new("images-libvirt");
    let given =
        ["--libvirt", "-m", "32", "--cores", "2", "--disk", "a & b.img", "--disk", "/dev/sda,ro"];
    for network in ["none", "user", "bridge=br0", "network=the 'default'"] {
        let form = [&given[..], &["--net", network]].concat();
        image(scratch.path(), &form, &["a=<b>", "\"c\" & 'd'"]).expect(status::SUCCESS, &[]);
        if !is_here("virt-xml-validate") || !is_here("xmllint") {
            println!(
                "SKIPPED: no validator. On Debian: apt-get install libvirt-clients libxml2-utils"
            );
            return;
        }
        let file = scratch.path().join("kernel-images.xml");
        run(Command::new("virt-xml-validate").arg(&file).arg("domain")).expect(0, &[]);
        // A parser of XML reads what was given.
        let value = |path: &str| {
            run(Command::new("xmllint").args(["--xpath", path]).arg(&file)).expect(0, &[]).stdout
        };
        assert_eq!(value("string(/domain/os/cmdline)").trim_end(), "a=<b> \"c\" & 'd'");
        assert_eq!(value("string(/domain/memory)").trim_end(), "32");
        let kernel = PathBuf::from(value("string(/domain/os/kernel)").trim_end());
        assert_eq!(kernel, scratch.path().join("kernel-images.elf"));
    }
    boot(&scratch.path().join("kernel-images.elf"), &[])
        .expect(status::SUCCESS, &["started by PVH"]);
}

#[test]
fn xl_gets_a_guest_of_type_pvh() {
    let scratch = Scratch::new("images-xl");
    let form = ["--xl", "--net", "bridge=xenbr0", "--installed-as", "/srv/k.elf", "--json"];
    let ended = image(scratch.path(), &form, &["a=\"b\""]).expect(status::SUCCESS, &[]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a line of JSON");
    assert_eq!(report["form"], "xl");
    assert_eq!(report["files"], serde_json::json!(["kernel-images.cfg", "kernel-images.elf"]));
    let file = fs::read_to_string(scratch.path().join("kernel-images.cfg")).expect("a file");
    for line in [
        "type = \"pvh\"",
        "kernel = \"/srv/k.elf\"",
        "cmdline = \"a=\\\"b\\\"\"",
        "vif = [ \"bridge=xenbr0\" ]",
    ] {
        assert!(file.lines().any(|one| one == line), "{line} is not in\n{file}");
    }
    // The file beside it is one that Xen starts.
    let on_xen =
        run(tool().args(["run", "--on", "xen"]).arg(scratch.path().join("kernel-images.elf")));
    on_xen.expect(status::SUCCESS, &["started by PVH"]);
}

#[test]
fn an_oci_image_is_as_the_specification_says() {
    let scratch = Scratch::new("images-oci");
    for (monitor, words) in [("qemu", &[][..]), ("firecracker", &["ip=10.0.0.2", "a"])] {
        image(scratch.path(), &["--oci", "--monitor", monitor], words).expect(status::SUCCESS, &[]);
        oci::check(&scratch.path().join("kernel-images-oci"), monitor, words);
    }
    if !is_here("skopeo") {
        println!("SKIPPED: no skopeo. On Debian: apt-get install skopeo");
        return;
    }
    let mut skopeo = Command::new("skopeo");
    let read =
        run(skopeo.current_dir(scratch.path()).args(["inspect", "oci:kernel-images-oci:latest"]));
    read.expect(0, &["\"Architecture\": \"amd64\"", "\"Os\": \"linux\""]);
}

/// What is there and is not an image of this tool's stays as it is, and nothing half made is left.
#[test]
fn what_cannot_be_written_is_refused_before_anything_is() {
    let scratch = Scratch::new("images-refused");
    let folder = scratch.path();
    fs::create_dir(folder.join("b.elf")).expect("a folder");
    fs::write(folder.join("disk"), "mine").expect("a file");
    fs::write(folder.join("d.elf"), "mine").expect("a file");
    let empty = folder.join("empty");
    fs::create_dir(&empty).expect("a folder");
    for (place, form, says) in [
        (folder, &["--xl", "-o", "b.cfg"][..], "b.elf: Is a directory"),
        (folder, &["--xl", "-o", "disk", "--disk", "disk"], "disk: this is a disk"),
        (folder, &["--libvirt", "-o", "d.xml", "--disk", "./d.elf"], "d.elf: this is a disk"),
        (&empty, &["--oci", "-o", "."], ".: this is where you are"),
        (&empty, &["--oci", "-o", "../empty"], "../empty: this is where you are"),
    ] {
        let ended = image(place, form, &[]).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains(says), "{says}\n{ended}");
    }
    for name in ["disk", "d.elf"] {
        assert_eq!(fs::read_to_string(folder.join(name)).expect("a file"), "mine");
    }
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["b.elf", "d.elf", "disk", "empty"]);
}

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let name = path.strip_prefix(folder).expect("below it").to_owned();
                    all.push((name, fs::read(&path).expect("a file")));
                }
            }
        }
    }
    all.sort();
    all
}

#[test]
fn builds_in_two_folders_are_the_same_bytes() {
    let scratch = Scratch::new("images-same");
    // What both are built on is built once: it is at one place for both, as a registry's crates are.
    let target = scratch.path().join("target");
    let build = |place: &str, zone: &str| {
        let folder = scratch.path().join(place);
        fs::create_dir_all(&folder).expect("a folder");
        let mut new = tool();
        new.args(["new", "--path"]).arg(root()).current_dir(&folder).arg("k");
        run(&mut new).expect(status::SUCCESS, &[]);
        let (project, images) = (folder.join("k"), folder.join("images"));
        let source = fs::read_to_string(project.join("src/main.rs")).expect("a kernel");
        let with = source.replace("entry!(main", "entry!(main, multiboot2: on");
        assert_ne!(with, source, "the template has no entry! of this form");
        fs::write(project.join("src/main.rs"), with).expect("a kernel");
        fs::create_dir(&images).expect("a folder");
        // The versions of this repository's, so that nothing is looked up in a registry.
        fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).expect("both are there");
        let forms: &[&[&str]] = &[
            &["-o", "../images/k.elf"],
            &["--iso", "-o", "../images/k.iso"],
            &["--efi", "-o", "../images/k.efi"],
            &["--oci", "-o", "../images/oci"],
            &["--libvirt", "-o", "../images/k.xml", "--installed-as", "/srv/k.elf"],
            &["--xl", "-o", "../images/k.cfg", "--installed-as", "/srv/k.elf"],
        ];
        for form in forms.iter().filter(|form| form[0] != "--iso" || is_here("xorriso")) {
            let mut command = tool();
            command.current_dir(&project).env("TZ", zone).env("CARGO_TARGET_DIR", &target);
            let ended = run(command.arg("image").args(*form));
            assert_eq!(ended.status, Some(status::SUCCESS), "{form:?}: {ended}");
        }
        files(&images)
    };
    let (one, other) = (build("here", "UTC"), build("over/there", "Asia/Tokyo"));
    assert!(one.len() >= 8, "{} files", one.len());
    let names =
        |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for ((name, left), (_, right)) in one.iter().zip(&other) {
        assert!(left == right, "{} differs", name.display());
    }
}
