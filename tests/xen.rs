//! Kernels on a real Xen: each end has its status, and a Xen that cannot be fetched is reported.
//!
//! `cargo freestone` fetches Debian's Xen, which needs the network the first time. Without it these tests
//! fail: a green run must mean that Xen was there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use freestone_tests::{Ended, Profile, Scratch, kernel, run, status, tool};

/// `cargo freestone run --on xen IMAGE ARGUMENTS`.
fn command(image: &Path, arguments: &[&str]) -> Command {
    let mut command = tool();
    command.args(["run", "--on", "xen"]).arg(image).args(arguments);
    command
}

/// Runs it, on a Xen that is known to be there.
fn on_xen(image: &Path, arguments: &[&str]) -> Ended {
    require_xen();
    run(&mut command(image, arguments))
}

fn hello() -> PathBuf {
    kernel("kernel-hello", "kernel-hello", Profile::Dev)
}

fn fault(name: &str) -> PathBuf {
    kernel("kernel-faults", name, Profile::Dev)
}

#[track_caller]
fn require_xen() {
    static XEN: OnceLock<Result<(), String>> = OnceLock::new();
    let there = XEN.get_or_init(|| {
        let ended = run(&mut command(&hello(), &[]));
        if ended.status == Some(status::TOOL) { Err(ended.stderr) } else { Ok(()) }
    });
    if let Err(why) = there {
        panic!("these tests need Xen, and the network to fetch it the first time:\n{why}");
    }
}

/// Where Xen is kept for everybody else.
fn cache() -> PathBuf {
    let own = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(env::var_os("HOME").expect("a home")).join(".cache");
    own.unwrap_or_else(home).join("freestone/xen")
}

/// A program that does something and then is QEMU.
fn script(scratch: &Scratch, name: &str, body: &str) -> String {
    scratch.write(name, &format!("#!/bin/sh\n{body}\n"));
    let path = scratch.path().join(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn hello_and_its_output_alone() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-hello", "kernel-hello", profile);
        for memory in ["2", "64", "3000"] {
            let ended = on_xen(&image, &["-m", memory]).expect(status::SUCCESS, &[]);
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("Hello, world\n", ""));
        }
    }
}

#[test]
fn the_tour_succeeds_and_names_xen() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("example-kernel", "example-kernel", profile);
        on_xen(&image, &["--", "oneshot", "a,b=1", "c d"]).expect(
            status::SUCCESS,
            &[
                "hypervisor    Xen",
                "Xen version   4.",
                "HVM_SAFE_PVCLOCK",
                "console       Xen",
                "\"oneshot a,b=1 c d\"",
                "in Xen's own map",
                "by Xen's shared clock",
                "Z, the time of day",
                "was caught",
                "VERDICT: success",
            ],
        );
    }
}

#[test]
fn a_module_arrives_beside_the_kernel_whatever_its_path() {
    let image = kernel("example-kernel", "example-kernel", Profile::Dev);
    let scratch = Scratch::new("module");
    for name in ["plain", "with,comma", "with a space, and a comma"] {
        scratch.write(name, &"x".repeat(100_003));
        let path = scratch.path().join(name).display().to_string();
        let ended = on_xen(&image, &["--module", &path, "--", "a,b"]);
        ended.expect(status::SUCCESS, &["\"a,b\"", "module        100003 bytes"]);
    }
}

#[test]
fn no_translation_outlives_its_page() {
    let image = kernel("kernel-translations", "kernel-translations", Profile::Release);
    on_xen(&image, &["-m", "256", "--", "rounds=5"])
        .expect(status::SUCCESS, &["5 random changes: ok"]);
}

#[test]
fn the_log_of_xen_is_shown_on_request_and_apart() {
    let ended = on_xen(&hello(), &["--verbose"]).expect(status::SUCCESS, &[]);
    assert_eq!(ended.stdout, "Hello, world\n");
    assert!(ended.stderr.contains("(XEN) Xen version 4."), "{ended}");
}

#[test]
fn json_says_where() {
    let ended = on_xen(&hello(), &["--json"]).expect(status::SUCCESS, &[]);
    let line: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one line of JSON");
    assert_eq!((line["on"].as_str(), line["verdict"].as_str()), (Some("xen"), Some("success")));
    assert!(line["machine"].is_null() && line["wall_ms"].is_u64(), "{line}");
}

#[test]
fn a_panic_is_a_crash() {
    let ended =
        on_xen(&fault("panic"), &[]).expect(status::CRASH, &["KERNEL PANIC at tests/", "54"]);
    assert!(ended.stderr.contains("its report is above"), "{ended}");
}

#[test]
fn a_page_fault_is_a_crash_with_a_report() {
    let texts = ["page fault (#PF)", "reading 0x0000456789abcd00: nothing is mapped there"];
    on_xen(&fault("page_fault"), &[]).expect(status::CRASH, &texts);
}

#[test]
fn failure_is_told_from_crash() {
    on_xen(&fault("failure"), &[]).expect(status::FAILURE, &["it did not work out"]);
}

#[test]
fn a_triple_fault_is_a_crash_and_xen_tells_where() {
    let ended = on_xen(&fault("triple_fault"), &[]).expect(status::CRASH, &["about to reset"]);
    assert!(ended.stderr.contains("without a verdict: a triple fault"), "{ended}");
    assert!(ended.stderr.contains("xen: RIP:"), "{ended}");
}

#[test]
fn a_halt_is_a_power_off_to_xen_and_still_no_success() {
    let ended = on_xen(&fault("halt"), &[]).expect(status::CRASH, &[]);
    assert_eq!(ended.stdout, "half a line");
    assert!(ended.stderr.contains("without a verdict: a power-off"), "{ended}");
}

#[test]
fn a_hang_ends_at_the_timeout_and_leaves_nothing_running() {
    let scratch = Scratch::new("xen-hang");
    let note = scratch.path().join("process");
    let body = format!("echo $$ >{}; exec qemu-system-x86_64 \"$@\"", note.display());
    let qemu = script(&scratch, "qemu", &body);
    let ended = on_xen(&fault("hang"), &["--timeout", "10", "--qemu", &qemu]);
    let ended = ended.expect(status::TIMEOUT, &["the last words"]);
    assert!(ended.stderr.contains("  | the last words"), "{ended}");
    assert!(!is_alive(&note));
    on_xen(&hello(), &["--qemu", &qemu]).expect(status::SUCCESS, &[]);
    assert!(!is_alive(&note), "QEMU outlived a success");

    let mut child = command(&fault("hang"), &["--qemu", &qemu]);
    let _ = fs::remove_file(&note);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let until = Instant::now() + Duration::from_secs(300);
    while !is_alive(&note) {
        assert!(Instant::now() < until, "QEMU did not start");
        thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    assert_eq!(child.wait().expect("ended").code(), Some(143));
    assert!(!is_alive(&note), "QEMU outlived SIGTERM");
}

/// Whether the process runs whose number is in the file; a zombie does not.
fn is_alive(note: &Path) -> bool {
    let process = fs::read_to_string(note).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn what_is_no_xen_is_refused() {
    let scratch = Scratch::new("xen-not");
    scratch.write("text", "Xen version 4.17\n");
    scratch.write("broken.gz", "\u{1f}\u{8b}");
    fs::write(scratch.path().join("broken.gz"), [0x1f, 0x8b, 8, 0]).expect("a file");
    let image = hello();
    let at = |name: &str| scratch.path().join(name).display().to_string();
    for (path, why) in [
        (at("text"), "this is not an ELF file"),
        (at("broken.gz"), "gzip cannot unpack it"),
        (at("missing"), "No such file"),
        (at("."), "this is no Xen"),
        (image.display().to_string(), "this is an ELF file, but no Xen"),
    ] {
        let ended = run(&mut command(&image, &["--xen", &path])).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains(why), "{path}: {ended}");
        let by_variable = run(command(&image, &[]).env("FREESTONE_XEN", &path));
        assert!(by_variable.stderr.contains("FREESTONE_XEN"), "{by_variable}");
    }
    for (arguments, why) in [
        (&["--machine", "q35"][..], "--machine has no meaning with --on xen"),
        (&["--icount"], "--icount has no meaning with --on xen"),
        (&["-m", "1"], "1 is not in"),
    ] {
        let ended = run(&mut command(&image, arguments)).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains(why), "{ended}");
    }
    let ended = run(&mut command(&fault("large_image"), &["-m", "4"])).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("it needs -m 8 or more"), "{ended}");
}

#[test]
fn a_xen_may_be_named_packed_or_not_and_paths_may_have_spaces() {
    require_xen();
    let scratch = Scratch::new("xen-named");
    let folder = scratch.path().join("a b,c");
    fs::create_dir(&folder).expect("a folder");
    let (image, plain) = (folder.join("kernel"), folder.join("xen"));
    fs::copy(hello(), &image).expect("a copy");
    fs::copy(cache().join("xen.elf"), &plain).expect("a copy");
    let packed = Command::new("gzip").arg("-k").arg(&plain).status();
    assert!(packed.is_ok_and(|status| status.success()));
    for name in ["xen", "xen.gz"] {
        let xen = folder.join(name).display().to_string();
        run(&mut command(&image, &["--xen", &xen])).expect(status::SUCCESS, &["Hello, world"]);
    }
}

#[test]
fn a_damaged_cache_is_noticed_and_fetched_anew() {
    require_xen();
    let scratch = Scratch::new("xen-damaged");
    let folder = scratch.path().join("freestone/xen");
    fs::create_dir_all(&folder).expect("a folder");
    for entry in fs::read_dir(cache()).expect("the cache").flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
    }
    let image = folder.join("xen.elf");
    let mut bytes = fs::read(&image).expect("Xen");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, &bytes).expect("a damaged Xen");
    let hello = hello();
    let mut command = command(&hello, &[]);
    command.env("XDG_CACHE_HOME", scratch.path());
    let ended = run(&mut command).expect(status::SUCCESS, &["Hello, world"]);
    assert!(ended.stderr.contains("is damaged or old; making it anew"), "{ended}");
    assert_eq!(run(&mut command).expect(status::SUCCESS, &[]).stderr, "");
}

#[test]
fn without_packages_or_network_the_message_says_what_to_do() {
    let scratch = Scratch::new("xen-offline");
    let lists = scratch.path().join("lists");
    fs::create_dir(&lists).expect("a folder");
    let lists = format!("Dir::State::lists \"{}/\";", lists.display());
    let nothing = "Dir::Etc::sourcelist \"/dev/null\"; Dir::Etc::sourceparts \"/dev/null\";";
    // A port that nobody listens on.
    let nobody = "Acquire::http::Proxy \"http://127.0.0.1:9\"; Acquire::Retries \"0\";";
    for (name, text) in [("no-mirrors", nothing), ("no-network", nobody)] {
        scratch.write(name, &format!("{lists}\n{text}\n"));
        let mut command = command(&hello(), &[]);
        command.env("APT_CONFIG", scratch.path().join(name));
        let ended = run(command.env("XDG_CACHE_HOME", scratch.path())).expect(status::TOOL, &[]);
        assert!(ended.stderr.contains("is there a network"), "{ended}");
        assert!(ended.stderr.contains("name a Xen with --xen"), "{ended}");
        let left: Vec<_> = fs::read_dir(scratch.path().join("freestone")).expect("made").collect();
        assert_eq!(left.len(), 1, "more than the lock is left: {left:?}");
    }
}

#[test]
fn a_machine_that_cannot_run_guests_is_the_tools_fault() {
    let scratch = Scratch::new("xen-no-svm");
    for cpu in ["EPYC,-svm,-monitor,-smap", "qemu64,+svm"] {
        let body = format!("exec qemu-system-x86_64 \"$@\" -cpu {cpu}");
        let qemu = script(&scratch, "qemu", &body);
        let ended = on_xen(&hello(), &["--qemu", &qemu]).expect(status::TOOL, &[]);
        assert!(ended.stderr.contains("SVM with nested paging"), "{ended}");
    }
    let qemu = script(&scratch, "qemu", "echo 'unable to find CPU model' >&2; exit 1");
    let ended = on_xen(&hello(), &["--qemu", &qemu]).expect(status::TOOL, &[]);
    assert!(ended.stderr.contains("QEMU could not start Xen\n  qemu: unable to find"), "{ended}");
}
