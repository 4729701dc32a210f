//! Networks and disks: what an image asks for, what options say, and what is wrong with them.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use common::workspace::Workspace;
use common::{
    Seen, boot, eventually, folder, require_qemu, script, see, send, start, stub, stub_with, tool,
};
use serde_json::Value;

/// Notes that ask for a network, serving TCP port 80 and UDP port 5353, and for a disk.
const NOTES: &str = r#"
    .section .note.Freestone, "a", @note
    .balign 4
    .long 10, 8, 3
    .asciz "Freestone"
    .balign 4
    .long 80 | 6 << 16, 5353 | 17 << 16
    .long 10, 0, 4
    .asciz "Freestone"
    .balign 4
"#;

/// The stub with these notes.
fn wanting() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| stub_with(&folder("wanting").join("wanting"), NOTES))
}

/// `tool run WANTING OPTIONS -- LETTER`.
fn run(letter: &str, options: &[&str]) -> Command {
    require_qemu();
    let mut command = tool();
    command.arg("run").arg(wanting()).args(options).args(["--", letter]);
    command
}

/// The line that shows QEMU's command.
fn shown(seen: &Seen) -> &str {
    seen.stderr.lines().find(|line| line.starts_with("running: ")).expect("shown")
}

/// A file of so many bytes.
fn file(path: PathBuf, len: u64) -> PathBuf {
    File::create(&path).and_then(|file| file.set_len(len)).expect("a file");
    path
}

/// What is said before ports are chosen once more, since another test has just taken one.
const AGAIN: &str = "choosing again\n";

/// The host's ports in the lines that tell of forwards, the last ones.
fn told(text: &str) -> Vec<(u16, String)> {
    let text = text.rsplit(AGAIN).next().unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("forward 127.0.0.1:"));
    let port = |line: &str| {
        let (port, rest) = line.split_once(" to the guest's ").expect("where it leads");
        (port.parse().expect("a port"), rest.to_owned())
    };
    lines.map(port).collect()
}

#[test]
fn an_image_gets_the_network_that_it_asks_for_on_every_machine() {
    for (machine, device) in [
        ("microvm", "virtio-net-device,netdev=freestone-net "),
        ("q35", "virtio-net-pci,netdev=freestone-net,romfile= "),
        ("pc", "virtio-net-pci,netdev=freestone-net,romfile= "),
    ] {
        let seen = see(&mut run("s", &["-v", "--machine", machine])).expect(0);
        let ports = told(&seen.stderr);
        let [(http, to_http), (dns, to_dns)] = &ports[..] else { panic!("{}", seen.stderr) };
        assert!(to_http.starts_with("80") && to_dns.starts_with("5353, UDP"), "{ports:?}");
        let rules = format!("hostfwd=tcp:127.0.0.1:{http}-:80,hostfwd=udp:127.0.0.1:{dns}-:5353");
        let command = shown(&seen);
        assert!(command.contains(&format!(" -netdev user,id=freestone-net,{rules} ")), "{command}");
        assert!(command.contains(&format!(" -device {device}")), "{command}");
        // A disk cannot be made up.
        seen.says("this kernel asks for a disk and gets none; --disk FILE gives it one\n");
    }
}

#[test]
fn an_image_that_asks_for_nothing_gets_nothing() {
    let seen = see(&mut boot("s", &["-v"])).expect(0);
    let command = shown(&seen);
    assert!(!command.contains("virtio") && !command.contains("netdev"), "{command}");
    assert_eq!(told(&seen.stderr), []);
}

#[test]
fn options_say_something_else() {
    let seen = see(&mut run("s", &["-v", "--net", "none"])).expect(0);
    assert!(!shown(&seen).contains("netdev"), "{}", seen.stderr);
    // A network of the user's own.
    let own = ["--qemu-arg=-nic", "--qemu-arg=none", "-v"];
    assert!(!shown(&see(&mut run("s", &own)).expect(0)).contains("netdev"));
    let words = ["-v", "--forward", "0:80", "--forward", "udp:0:7", "--mac", "52:54:00:aa:bb:cc"];
    let seen = see(&mut run("s", &words)).expect(0);
    let guests: Vec<_> = told(&seen.stderr).into_iter().map(|(_, guest)| guest).collect();
    // Those that are named come first.
    assert!(guests[0].starts_with("5353, UDP"), "{guests:?}");
    assert_eq!(guests[1..], ["80", "7, UDP"]);
    assert!(shown(&seen).contains(",mac=52:54:00:aa:bb:cc "), "{}", seen.stderr);
    let seen = see(&mut boot("s", &["-v", "--net", "user"])).expect(0);
    assert!(shown(&seen).contains(" -netdev user,id=freestone-net -device"), "{}", seen.stderr);
}

/// A kernel that hangs, in a machine that forwards; and the port.
fn serving(options: &[&str]) -> (Child, u16) {
    let options = [&["--timeout", "0", "--forward", "0:80", "--json"], options].concat();
    let mut child = start(&mut boot("h", &options));
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("an event");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["event"], "forwards");
    assert_eq!(event["forwards"][0]["guest"], 80);
    assert_eq!(event["forwards"][0]["protocol"], "tcp");
    let port = event["forwards"][0]["host"].as_u64().expect("a port");
    let port = u16::try_from(port).expect("a port");
    eventually("QEMU listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (child, port)
}

#[test]
fn a_port_is_forwarded_on_the_loopback_address_only_and_one_that_is_taken_is_left() {
    let (mut first, port) = serving(&[]);
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err());
    let seen = see(&mut boot("s", &["--forward", &format!("{port}:80")])).expect(0);
    let [(other, to)] = &told(&seen.stderr)[..] else { panic!("{}", seen.stderr) };
    assert!(*other != port && *to == format!("80, as {port} is taken"), "{}", seen.stderr);
    send("TERM", first.id());
    assert_eq!(first.wait().expect("ends").code(), Some(143));
    eventually("the port is free", || TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[test]
fn json_tells_the_forwards_before_the_boot_and_after_it() {
    let seen = see(&mut run("s", &["--json"])).expect(0);
    let lines: Vec<Value> =
        seen.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let again = seen.stderr.matches(AGAIN).count();
    assert_eq!(lines.len(), 2 + again, "{}", seen.stdout);
    let [event, result] = &lines[again..] else { unreachable!("two lines are left") };
    assert_eq!(event["forwards"], result["forwards"]);
    assert_eq!(result["verdict"], "success");
    let ports: Vec<_> = told(&seen.stderr).into_iter().map(|(port, _)| Value::from(port)).collect();
    assert_eq!(ports, [0, 1].map(|at| event["forwards"][at]["host"].clone()));
    let seen = see(&mut run("s", &["--json", "--net", "none"])).expect(0);
    let only: Value = serde_json::from_str(&seen.stdout).expect("one line of JSON");
    assert_eq!(only["forwards"], Value::Array(Vec::new()));
}

/// The packets of a file that `filter-dump` wrote (libpcap's format: a header of 24 bytes, then 16 bytes and a packet each,
/// whose length is the third word).
fn packets(bytes: &[u8]) -> Result<usize, String> {
    let rest = bytes.get(24..).ok_or("no header")?;
    if bytes[..4] != 0xa1b2_c3d4_u32.to_le_bytes() {
        return Err(format!("no such magic number: {:?}", &bytes[..4]));
    }
    let (mut rest, mut count) = (rest, 0);
    while !rest.is_empty() {
        let len = rest.get(8..12).ok_or("half a header")?;
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        rest = rest.get(16 + len..).ok_or("half a packet")?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn packets_are_recorded_and_the_file_is_whole_however_the_boot_ends() {
    let folder = folder("pcap");
    for signal in ["INT", "TERM", "KILL"] {
        let path = folder.join(format!("{signal}, a=b.pcap"));
        let (mut child, port) = serving(&["--pcap", path.to_str().expect("UTF-8")]);
        // The network asks for the guest's address before it can connect.
        let _connection = TcpStream::connect(("127.0.0.1", port));
        let len = || fs::metadata(&path).map_or(0, |about| about.len());
        eventually("a packet is recorded", || len() > 24);
        send(signal, child.id());
        child.wait().expect("ends");
        let bytes = fs::read(&path).expect("written");
        assert!(packets(&bytes).is_ok_and(|count| count > 0), "{:?}", packets(&bytes));
    }
    // A boot without a packet leaves a file without one.
    let path = folder.join("none.pcap");
    see(&mut run("s", &["--pcap", path.to_str().expect("UTF-8")])).expect(0);
    assert_eq!(packets(&fs::read(&path).expect("written")), Ok(0));
}

#[test]
fn files_become_disks_whatever_they_are_called() {
    let folder = folder("disks, with a=b");
    for (machine, bus) in [("microvm", "device"), ("q35", "pci"), ("pc", "pci")] {
        let names = ["a, b=c.img", "d,ro", "nbd:e"].map(|name| file(folder.join(name), 1 << 20));
        let disk = |at: usize, end: &str| format!("{}{end}", names[at].display());
        let disks = [disk(0, ""), disk(1, ",rw"), disk(2, ",ro")];
        let words = disks.iter().flat_map(|disk| ["--disk", disk]);
        let options: Vec<_> = words.chain(["-v", "--machine", machine]).collect();
        let seen = see(&mut run("s", &options)).expect(0);
        let command = shown(&seen);
        for number in 0..3 {
            let device = format!(" -device virtio-blk-{bus},drive=freestone-disk{number} ");
            assert!(command.contains(&device), "{command}");
        }
        assert_eq!(command.matches("read-only=off").count(), 2, "{command}");
        assert!(!seen.stderr.contains("asks for a disk"), "{}", seen.stderr);
    }
    // One file several times, if nobody writes it.
    let disk = format!("{},ro", file(folder.join("f"), 512).display());
    see(&mut boot("s", &["--disk", &disk, "--disk", &disk])).expect(0);
}

#[test]
fn what_is_no_disk_is_refused_with_what_to_do() {
    let folder = folder("no-disks");
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    let qcow2 = file(folder.join("qcow2"), 1024);
    fs::write(&qcow2, [&b"QFI\xfb"[..], &[0; 1020]].concat()).expect("a file");
    let odd = file(folder.join("it's odd"), 1000);
    for (path, says) in [
        (folder.join("missing"), "there is no such file; `truncate -s 64M "),
        (folder.clone(), "this is a directory"),
        (fifo, "this is not a regular file"),
        ("/dev/zero".into(), "this is not a regular file"),
        (file(folder.join("empty"), 0), "this file is empty; `truncate -s 64M "),
        (odd, r"this file has 1000 bytes, and a disk a multiple of 512; `truncate -s 1024 '"),
        (qcow2, "an image of the format qcow2, and not a raw disk; `qemu-img convert -O raw "),
        ("".into(), "it wants the path of a file"),
    ] {
        let seen = see(tool().arg("run").arg(stub()).arg("--disk").arg(&path)).expect(2).says(says);
        let begin = format!("error: --disk {}: ", path.display());
        assert!(
            seen.stderr.starts_with(&begin) && seen.stderr.lines().count() == 1,
            "{}",
            seen.stderr
        );
    }
    let disk = file(folder.join("disk"), 512);
    let seen = see(tool().arg("run").arg(stub()).arg("--disk").arg(&disk).arg("--pcap").arg(&disk));
    seen.expect(2).says("this is a disk");
    let both = file(folder.join("both"), 512);
    let (both, read) = (both.display().to_string(), format!("{},ro", both.display()));
    for [one, other] in [[&both, &both], [&both, &read], [&read, &both]] {
        let seen = see(tool().arg("run").arg(stub()).args(["--disk", one, "--disk", other]));
        seen.expect(2).says("this file is given twice; that needs ,ro behind both");
    }
}

/// Root may do all; where the tests run as root, who runs the tool here is somebody else.
#[test]
fn a_file_that_may_not_be_read_or_written_is_no_disk() {
    let nobody = |disk: &str| {
        let mut command = tool();
        command.arg("run").arg(wanting()).args(["--disk", disk]);
        // SAFETY: asks for a number.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(65534);
        }
        see(&mut command)
    };
    let folder = folder("denied");
    let disk = file(folder.join("disk"), 512);
    let permit =
        |mode| fs::set_permissions(&disk, fs::Permissions::from_mode(mode)).expect("permissions");
    permit(0o444);
    let seen = nobody(&disk.display().to_string()).expect(2);
    seen.says("it cannot be written: Permission denied").says("put ,ro behind it");
    permit(0o000);
    nobody(&disk.display().to_string()).expect(2).says("it cannot be read: Permission denied");
}

#[test]
fn a_disk_that_another_qemu_uses_is_3_and_explained() {
    let disk = file(folder("used").join("d.img"), 1 << 20).display().to_string();
    let (mut first, _) = serving(&["--disk", &disk]);
    for disk in [&disk, &format!("{disk},ro")] {
        let seen = see(&mut boot("s", &["--disk", disk])).expect(3);
        let says =
            "error: QEMU could not start: another program uses the disk, a second QEMU perhaps";
        seen.says(says).says("  qemu: ");
    }
    send("KILL", first.id());
    first.wait().expect("ends");
    let read = format!("{disk},ro");
    eventually("it is free", || see(&mut boot("s", &["--disk", &read])).status == 0);
    let (mut first, _) = serving(&["--disk", &read]);
    see(&mut boot("s", &["--disk", &read])).expect(0);
    send("TERM", first.id());
    first.wait().expect("ends");
}

#[test]
fn wrong_words_are_2() {
    let files = folder("words");
    let here = files.display().to_string();
    for (words, says) in [
        (
            &["--net", "usr"][..],
            "invalid value 'usr' for '--net <NET>': it may be none, user, tap=NAME",
        ),
        (&["--net", "tap"], "which one: tap=NAME"),
        (&["--net", "tap="], "no network device can have the name ``"),
        (&["--net", "tap=no/such"], "no network device can have the name `no/such`"),
        (
            &["--net", "tap=nosuchtap"],
            "no network device has this name; `sudo ip tuntap add nosuchtap mode tap",
        ),
        (&["--net", "tap=lo"], "this network device is not a tap"),
        (&["--net", "user", "--net", "none"], "cannot be used multiple times"),
        (&["--forward", "80"], "it may be HOST:GUEST"),
        (&["--forward", "http:80"], "it may be HOST:GUEST"),
        (&["--forward", "-1:80"], "it may be HOST:GUEST"),
        (&["--forward", "8080:0"], "the guest's port may be from 1 to 65535"),
        (&["--forward", "8080:65536"], "the guest's port may be from 1 to 65535"),
        (&["--forward", "65536:80"], "may be from 0 to 65535"),
        (&["--forward", "0:80", "--forward", "0:80"], "tcp:0:80 is given twice"),
        (&["--forward", "9:80", "--forward", "tcp:9:81"], "port 9 of the host's is given twice"),
        (&["--forward", "9:80", "--net", "none"], "--forward needs the user network"),
        (&["--mac", "53:54:00:12:34:56"], "this is the address of no single device"),
        (&["--mac", "52-54-00-12-34-56"], "six numbers of two hexadecimal digits"),
        (&["--pcap", &here], "this is a directory; name a file in it"),
        (&["--pcap", "/nowhere/p"], "there is no such folder"),
        (&["--pcap", ""], "a value is required for '--pcap <FILE>'"),
        (&["--pcap", "p", "--net", "none"], "--pcap needs a network, and there is --net none"),
        (&["--on", "xen", "--net", "user"], "--net is not there yet with --on xen"),
        (&["--on", "xen", "--disk", "d"], "--disk is not there yet with --on xen"),
        (
            &["--on", "kvm-nested", "--forward", "0:1"],
            "--forward is not there yet with --on kvm-nested",
        ),
    ] {
        see(tool().arg("run").arg(wanting()).args(words)).expect(2).says(says);
    }
    for words in [["--pcap", "p"], ["--mac", "52:54:00:12:34:56"]] {
        require_qemu();
        let seen = see(tool().arg("run").arg(stub()).args(words)).expect(2);
        seen.says("needs a network, and this image asks for none; --net user gives it one");
    }
}

#[test]
fn a_port_that_is_taken_in_between_is_chosen_again() {
    let folder = folder("races");
    let (fake, count) = (folder.join("qemu"), folder.join("count"));
    let qemu = |fails: u32| {
        let _ = fs::remove_file(&count);
        let body = format!(
            "echo x >> '{0}'\n[ $(wc -l < '{0}') -gt {fails} ] && exit 33\n\
             echo \"q: Could not set up host forwarding rule 'tcp:127.0.0.1:1-:80'\" >&2; exit 1",
            count.display()
        );
        script(&fake, &body);
        see(tool().arg("run").arg(stub()).args(["--forward", "0:80", "--qemu"]).arg(&fake))
    };
    let tried = |seen: &Seen| seen.stderr.matches("forward 127.0.0.1:").count();
    let seen = qemu(2).expect(0);
    assert_eq!((tried(&seen), seen.stderr.matches(AGAIN).count()), (3, 2));
    let seen = qemu(9).expect(3);
    assert_eq!((tried(&seen), seen.stderr.matches(AGAIN).count()), (5, 4));
    seen.says(
        "error: QEMU could not start: a port that was free is now taken: try again\n  qemu: q: ",
    );
}

#[test]
fn debug_gives_the_same_devices() {
    require_qemu();
    let disk = file(folder("debug").join("d,1.img"), 512).display().to_string();
    let words = ["--forward", "0:80", "--disk", &disk, "--print"];
    let seen = see(tool().arg("debug").arg(wanting()).args(words)).expect(0);
    let ports = told(&seen.stderr);
    let [(udp, _), (tcp, _)] = &ports[..] else { panic!("{}", seen.stderr) };
    let wanted =
        format!("--net user --forward udp:{udp}:5353 --forward tcp:{tcp}:80 --disk {disk},rw ");
    assert!(seen.stdout.contains(&wanted), "{wanted}\n{}", seen.stdout);
    see(tool().arg("debug").arg(wanting()).args(["--disk", "/nowhere/d", "--print"])).expect(2);
}

#[test]
fn tests_get_a_network_that_nothing_leads_to() {
    let w = Workspace::new("devices-test", "");
    w.kernel("one");
    let disk = file(w.0.join("d.img"), 512).display().to_string();
    let words = ["test", "-p", "one", "-v", "--net", "user", "--disk", &disk, "--machine", "pc"];
    let seen = w.see("", &words).expect(0);
    let wanted = "-device virtio-blk-pci,drive=freestone-disk0 -netdev user,id=freestone-net -device virtio-net-pci";
    let command = seen.stderr.lines().find(|line| line.contains(" -kernel ")).expect("shown");
    assert!(command.contains(wanted), "{command}");
    w.see("", &["test", "-p", "one", "--disk", "/nowhere/d"]).expect(2).says("no such file");
}
