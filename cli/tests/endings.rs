//! Every way in which the tool can end: signals in the middle of every verb, output that nobody reads or that has no room; and
//! no half-written file is left.

mod common;
#[path = "../../inspect/tests/made/mod.rs"]
mod made;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, eventually, folder, process_in, script, see, send, start, stub, tool};
use made::{ALLOC, Elf, NOTE, Part, Section, Symbol};

const SIGNALS: [(&str, i32); 4] = [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)];

const BASE: u64 = 0x10_0000;

/// A kernel image with so many functions, and with room for a table of their names.
fn image(path: &Path, functions: u64) {
    image_of(path, functions, functions as usize);
}

/// The same with more code than that.
fn image_of(path: &Path, functions: u64, len: usize) {
    // Behind the code.
    let address = (BASE + len as u64).next_multiple_of(0x10_0000);
    let note = [4, 4, 18].map(u32::to_le_bytes).concat();
    let note = [note.as_slice(), b"Xen\0", &(BASE as u32).to_le_bytes()].concat();
    let (name, part) = (b".note.Xen".to_vec(), Part::Own(note));
    let mut elf = Elf::kernel(BASE, vec![0xf4; len]);
    elf.sections.push(Section { name, kind: 7, flags: ALLOC, address, info: 0, part });
    elf.segments.push((1, 4, address, Part::Same(2)));
    elf.segments.push((NOTE, 4, address, Part::Same(2)));
    elf.segments.push((0x6673_6e6d, 4, 0, Part::Own(vec![])));
    let name = |number| match number {
        0 => "main".to_owned(),
        _ => format!("kernel::part_{}::function_{number}", number % 97),
    };
    let symbol = |number| Symbol::function(name(number), BASE + number, 1);
    elf.symbols = (0..functions).map(symbol).collect();
    fs::write(path, elf.bytes()).expect("an image");
}

/// A pipe that is full, with an end that nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    // What Linux gives a pipe, see pipe(7).
    writer.write_all(&[0; 65536]).expect("there is room");
    (reader, writer)
}

fn fifo(path: &Path) {
    let status = Command::new("mkfifo").arg("-m").arg("640").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo {}", path.display());
}

/// The exit status, if it ends soon enough; else it is killed, and the test fails.
#[track_caller]
fn status_of(what: &str, mut child: Child) -> i32 {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code().unwrap_or_else(|| 128 + status.signal().expect("one of both"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it still runs");
    panic!("{what} does not end");
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sends signals to the tool where it hangs, and compares the status.
fn ends_where_it_hangs(what: &str, signals: &[(&str, i32)], mut command: impl FnMut() -> Command) {
    for &(signal, status) in signals {
        let child = command().spawn().expect("the tool starts");
        // It hangs for ever, so that the time to get there is no matter: a signal that comes before must do, too.
        std::thread::sleep(Duration::from_millis(400));
        send(signal, child.id());
        assert_eq!(status_of(what, child), status, "{what}, SIG{signal}");
    }
}

#[test]
fn a_signal_ends_a_verb_that_writes_where_nobody_reads() {
    let folder = folder("unread");
    let (kernel, pipe) = (folder.join("kernel"), folder.join("pipe"));
    image(&kernel, 10);
    fifo(&pipe);
    ends_where_it_hangs("names to a FIFO", &SIGNALS, || {
        let mut command = tool();
        command.arg("names").arg(&kernel).arg("-o").arg(&pipe).stderr(Stdio::null());
        command
    });
    let (_reader, writer) = full_pipe();
    let verbs = [&["symbols"][..], &["doctor"], &["--help"], &["check", "--rules"], &["new", "k"]];
    for (words, signal) in verbs.into_iter().zip(SIGNALS.iter().cycle()) {
        ends_where_it_hangs(&words.join(" "), &[*signal], || {
            let mut command = tool();
            let _ = fs::remove_dir_all(folder.join("k"));
            command.args(words).current_dir(&folder).stderr(Stdio::null());
            command.stdout(writer.try_clone().expect("another end"));
            command
        });
    }
    // The same where the complaint is what nobody hears.
    ends_where_it_hangs("a complaint", &SIGNALS[1..2], || {
        let mut command = tool();
        command.arg("names").arg("nowhere").stderr(writer.try_clone().expect("another end"));
        command
    });
    // It may have come to its name, or not.
    let _ = fs::remove_dir_all(folder.join("k"));
    assert_eq!(names(&folder), ["kernel", "pipe"]);
}

#[test]
fn a_chart_for_a_fifo_can_be_ended() {
    common::require_qemu();
    let pipe = folder("chart").join("pipe");
    fifo(&pipe);
    ends_where_it_hangs("chart --svg", &SIGNALS[1..], || {
        let mut command = tool();
        command.arg("chart").arg(stub()).arg("--svg").arg(&pipe).args(["--", "s"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    });
    assert!(fs::metadata(&pipe).expect("still there").mode() & 0o777 == 0o640);
}

#[test]
fn an_end_in_order_that_hangs_is_cut_short() {
    let folder = folder("order");
    let (qemu, id) = (folder.join("qemu"), folder.join("id"));
    script(&qemu, &format!("echo $$ > '{}'; exec sleep 1000", id.display()));
    let (_reader, writer) = full_pipe();
    let start = || {
        let _ = fs::remove_file(&id);
        let mut command = tool();
        command.arg("run").arg(stub()).env("FREESTONE_QEMU", &qemu).stdout(Stdio::null());
        command.stderr(writer.try_clone().expect("another end"));
        let child = command.spawn().expect("the tool starts");
        (child, process_in(&id))
    };
    // Ctrl-C again: at once.
    let (child, qemu) = start();
    send("INT", child.id());
    std::thread::sleep(Duration::from_millis(500));
    send("INT", child.id());
    assert_eq!(status_of("told twice", child), 130);
    eventually("QEMU is gone", || !common::is_alive(qemu));
    // And once, if it takes too long to say so where nobody listens.
    let (mut child, qemu) = start();
    send("TERM", child.id());
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    eventually("QEMU is gone", || !common::is_alive(qemu));
}

#[test]
fn at_every_moment_a_signal_leaves_the_old_file_or_the_new_one() {
    let folder = folder("moments");
    let (kernel, output) = (folder.join("kernel"), folder.join("named"));
    // Writing it is a good part of the time.
    image_of(&kernel, 10, 24 << 20);
    let names_of = || {
        let mut command = tool();
        command.arg("names").arg(&kernel).arg("-o").arg(&output).stderr(Stdio::null());
        command
    };
    let begin = Instant::now();
    assert_eq!(status_of("names", names_of().spawn().expect("it starts")), 0);
    let (long, whole) = (begin.elapsed(), fs::read(&output).expect("written"));
    const MOMENTS: u32 = 32;
    let mut ended_by_signal = 0;
    for moment in 0..MOMENTS {
        fs::write(&output, "old").expect("a file");
        let (signal, status) = SIGNALS[moment as usize % SIGNALS.len()];
        let child = names_of().spawn().expect("it starts");
        std::thread::sleep(long * moment / MOMENTS);
        send(signal, child.id());
        let ended = status_of("names", child);
        assert!(ended == 0 || ended == status, "{ended}, SIG{signal} at {moment}");
        let there = fs::read(&output).expect("still there");
        assert!(there == b"old" && ended != 0 || there == whole, "at {moment}, {ended}");
        assert_eq!(names(&folder), ["kernel", "named"], "at {moment}");
        ended_by_signal += u32::from(ended != 0);
    }
    // Not all of them can have come too late: the first ones come at once.
    assert!(ended_by_signal > 0);
}

#[test]
fn whoever_of_the_tool_is_killed_leaves_nothing_half_made() {
    let folder = folder("killed");
    let (qemu, id) = (folder.join("qemu"), folder.join("id"));
    script(&qemu, &format!("echo $$ > '{}'; exec sleep 1000", id.display()));
    let place = folder.join("place");
    fs::create_dir(&place).expect("a folder");
    let kernel = folder.join("kernel");
    image(&kernel, 10);
    let cases = ["the picture", "the folder"].map(|what| [(what, "guard"), (what, "worker")]);
    for (what, who) in cases.into_iter().flatten() {
        let is_worker = who == "worker";
        let _ = fs::remove_file(&id);
        let mut command = tool();
        if what == "the picture" {
            command.arg("chart").arg(&kernel).arg("--svg").arg(place.join("picture"));
            command.arg("--no-check").env("FREESTONE_QEMU", &qemu);
        } else {
            // Not its own name's: cargo is asked while it is made.
            command.arg("new").arg(place.join("folder")).env("CARGO", &qemu);
        }
        let mut child = start(&mut command);
        process_in(&id);
        assert_eq!(names(&place).len(), 1, "{what} is begun");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let worker = fs::read_to_string(children).expect("proc(5) has it");
        send("KILL", if is_worker { worker.trim().parse().expect("one") } else { child.id() });
        child.wait().expect("it was killed");
        eventually(&format!("the {who} is killed, and nothing is left of {what}"), || {
            names(&place).is_empty()
        });
    }
}

#[test]
fn a_stdout_that_is_closed_is_an_error_of_whoever_writes_there() {
    for (words, status) in [("check --rules", 3), ("run /nowhere", 2)] {
        let line = format!("exec {} {words} >&-", env!("CARGO_BIN_EXE_cargo-freestone"));
        let mut command = Command::new("/bin/sh");
        let seen = see(command.args(["-c", &line])).expect(status);
        assert_eq!(
            seen.stderr.contains("stdout cannot be written"),
            status == 3,
            "{}",
            seen.stderr
        );
    }
}

/// Runs a verb with its stdout on a full disk, and with a stdout that nobody reads.
#[test]
fn stdout_that_cannot_be_written_is_an_error_of_every_verb() {
    let folder = folder("stdout");
    let kernel = folder.join("kernel");
    image(&kernel, 10);
    let kernel = kernel.to_str().expect("a plain path");
    let stub = stub().to_str().expect("a plain path");
    common::require_qemu();
    for words in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["symbols"],
        &["symbols", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["check", "--rules"],
        &["check", "--explain", "red-zone"],
        &["check", kernel],
        &["check", "--json", kernel],
        &["check", "--sarif", kernel],
        &["run", stub, "--json", "--", "s"],
        &["run", stub, "--json", "--", "f"],
        &["run", "nowhere", "--json"],
        &["chart", stub, "--", "s"],
        &["chart", stub, "--json", "--", "s"],
        &["debug", kernel, "--print"],
        &["new", "k"],
    ] {
        let see = |stdout: Stdio| {
            let _ = fs::remove_dir_all(folder.join("k"));
            let mut command = tool();
            command.args(words).current_dir(&folder).stdout(stdout).stderr(Stdio::piped());
            common::seen(command.spawn().and_then(Child::wait_with_output).expect("it ends"))
        };
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let seen = see(full.into());
        let last = seen.stderr.lines().last().unwrap_or_default();
        let complaint = "error: stdout cannot be written: No space left on device (os error 28)";
        assert_eq!((seen.status, last), (3, complaint), "{words:?}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let seen = see(writer.into());
        assert_eq!(seen.status, 141, "{words:?}\n{}", seen.stderr);
        assert!(!seen.stderr.contains("stdout"), "{words:?}\n{}", seen.stderr);
    }
}

#[test]
fn a_stdout_that_makes_its_writers_try_again_gets_all() {
    let (mut reader, writer) = full_pipe();
    use std::os::fd::AsRawFd;
    // SAFETY: two integers and a flag, for a pipe that is open.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let mut command = tool();
    let child = command.arg("--help").stdout(writer).spawn().expect("the tool starts");
    drop(command);
    std::thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).expect("text");
    assert_eq!(status_of("--help", child), 0);
    assert_eq!(text.trim_start_matches('\0'), see(tool().arg("--help")).expect(0).stdout);
}

/// `names IMAGE -o OUTPUT`, and the files that it writes can have so many blocks of 512 bytes.
fn names_with_room(image: &Path, output: &Path, blocks: usize) -> common::Seen {
    let line = format!("ulimit -f {blocks}; exec \"$0\" names \"$1\" -o \"$2\"");
    let mut command = Command::new("/bin/sh");
    command.args([OsStr::new("-c"), OsStr::new(&line), tool().get_program()]);
    see(command.arg(image).arg(output))
}

#[test]
fn a_full_disk_leaves_the_image_as_it_was() {
    let folder = folder("full");
    let kernel = folder.join("kernel");
    image(&kernel, 1000);
    let before = fs::read(&kernel).expect("an image");
    names_with_room(&kernel, &kernel, 1).expect(2).says("File too large");
    assert!(fs::read(&kernel).expect("an image") == before, "it is another one now");
    assert_eq!(names(&folder), ["kernel"]);
    names_with_room(&kernel, &kernel, 1 << 20).expect(0);
    assert!(fs::read(&kernel).expect("an image") != before);
}

#[test]
fn what_is_no_file_is_written_and_otherwise_left_as_it_is() {
    let folder = folder("nodes");
    let at = |name: &str| folder.join(name);
    let write = |output: &Path| see(tool().arg("names").arg(at("kernel")).arg("-o").arg(output));
    image(&at("kernel"), 10);
    fs::set_permissions(at("kernel"), Permissions::from_mode(0o755)).expect("ours");
    write(&at("named")).expect(0);
    let named = fs::read(at("named")).expect("written");
    assert_eq!(fs::metadata(at("named")).expect("written").mode() & 0o777, 0o755);
    // A FIFO, with its mode.
    fifo(&at("pipe"));
    let reader = std::thread::spawn({
        let pipe = at("pipe");
        move || fs::read(pipe).expect("all of it")
    });
    write(&at("pipe")).expect(0);
    assert!(reader.join().expect("it reads") == named);
    let mode = |path: &Path| fs::metadata(path).expect("there").mode();
    assert_eq!(mode(&at("pipe")) & 0o777, 0o640);
    // Devices.
    let device = mode(Path::new("/dev/full"));
    write(Path::new("/dev/full")).expect(2).says("/dev/full: No space left on device");
    assert_eq!(mode(Path::new("/dev/full")), device);
    // Stdout, whatever that is.
    let out = File::create(at("out")).expect("a file");
    let mut command = tool();
    command.arg("names").arg(at("kernel")).args(["-o", "/dev/stdout"]).stdout(out);
    assert!(command.stderr(Stdio::null()).status().is_ok_and(|status| status.success()));
    assert!(fs::read(at("out")).expect("written") == named);
    // A link, to a file with another mode.
    fs::write(at("real"), "").expect("a file");
    fs::set_permissions(at("real"), Permissions::from_mode(0o600)).expect("ours");
    symlink("real", at("link")).expect("a link");
    write(&at("link")).expect(0);
    assert!(fs::symlink_metadata(at("link")).expect("there").is_symlink());
    assert!(fs::read(at("real")).expect("written") == named);
    assert_eq!(mode(&at("real")) & 0o777, 0o600);
    assert_eq!(names(&folder), ["kernel", "link", "named", "out", "pipe", "real"]);
}

#[test]
fn names_says_what_is_wrong() {
    let folder = folder("causes");
    let at = |name: &str| folder.join(name);
    image(&at("kernel"), 10);
    let write = |image: &str, output: PathBuf| {
        see(tool().arg("names").arg(at(image)).arg("-o").arg(output)).expect(2)
    };
    write("kernel", at("nowhere/k")).says("nowhere/k: no file can be made beside it: No such file");
    see(tool().arg("names").arg(at("kernel")).arg("-o").arg(at("named"))).expect(0);
    write("named", at("x")).says("it has a table of names already");
    // `strip` takes the table and leaves its header: what is missing are the symbols, not the room.
    let strip = Command::new("strip").arg("-o").arg(at("stripped")).arg(at("named")).status();
    assert!(strip.is_ok_and(|status| status.success()), "strip");
    write("stripped", at("x")).says("it has no symbols to make names of");
}

#[test]
fn a_new_folder_is_there_as_a_whole_and_needs_no_network() {
    let folder = folder("new");
    let new = |name: &str| {
        let mut command = tool();
        for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "CARGO_HTTP_PROXY"] {
            command.env(proxy, "http://127.0.0.1:9");
        }
        command.current_dir(&folder).arg("new").arg(name);
        command
    };
    let seen = see(&mut new("kernel")).expect(0);
    assert_eq!(seen.stderr, "", "all crates are here, or this test could not have been built");
    let mut metadata = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    metadata.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    see(metadata.current_dir(folder.join("kernel"))).expect(0);
    // Where cargo has nothing, that is said.
    fs::create_dir(folder.join("home")).expect("a folder");
    see(new("other").env("CARGO_HOME", folder.join("home")))
        .expect(0)
        .says("some of its crates are not here")
        .says("cargo fetch --manifest-path");
    // No room: nothing is left.
    let mut command = Command::new("/bin/sh");
    command.args([OsStr::new("-c"), OsStr::new("ulimit -f 0; exec \"$0\" new third")]);
    see(command.arg(tool().get_program()).current_dir(&folder)).expect(3).says("third");
    symlink("nowhere", folder.join("link")).expect("a link");
    see(&mut new("link")).expect(2).says("exists already");
    assert_eq!(names(&folder), ["home", "kernel", "link", "other"]);
}
