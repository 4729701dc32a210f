//! Bulk over a tap, whose packets may be larger than frames: what the device cuts, merges and sums is what was sent, with each of
//! these and without.
//!
//! A network namespace of its own has the tap. Where the system lets nobody make one, nothing is tested, and the test says so.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use freestone_tests::{Profile, kernel, run, status, tool};

/// How long anything may take that a guest does at once; hosts are busy.
const LIMIT: Duration = Duration::from_secs(60);

/// In each direction.
const BYTES: usize = 4 << 20;
/// What a frame holds at most.
const SEGMENT: usize = 1460;

const CONTROL: u16 = 9;
const ECHO: u16 = 5004;

#[test]
fn bulk_is_right_with_each_offload_and_without() {
    kernel("kernel-net", "serve", Profile::Release);
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--net", "--"]);
    let can = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--", "sh", "-c"])
        .arg("ip tuntap add dev tap0 mode tap && test -w /dev/net/tun")
        .output();
    if !can.as_ref().is_ok_and(|can| can.status.success()) {
        println!("nothing was tested: no tap in a network namespace: {can:?}");
        return;
    }
    inside.arg(std::env::current_exe().expect("this program"));
    inside.args(["--ignored", "--exact", "inside_a_namespace", "--nocapture"]);
    run(&mut inside).expect(0, &["1 passed"]);
}

#[test]
#[ignore = "the test above runs it, where it has a network of its own"]
fn inside_a_namespace() {
    let setup = "ip link set lo up && ip tuntap add dev tap0 mode tap && \
        ip address add 10.0.2.2/24 dev tap0 && ip address add fd00::2/64 dev tap0 nodad && ip link set tap0 up";
    run(Command::new("sh").args(["-c", setup])).expect(0, &[]);
    let legacy = "disable-modern=on";
    for (machine, device, options, is_large) in [
        ("q35", "virtio-net-pci", "", [true, true]),
        ("microvm", "virtio-net-device", "", [true, true]),
        ("pc", "virtio-net-pci", legacy, [true, true]),
        ("q35", "virtio-net-pci", "event_idx=off", [true, true]),
        ("q35", "virtio-net-pci", "mrg_rxbuf=off", [false, true]),
        ("q35", "virtio-net-pci", "guest_tso4=off,guest_tso6=off", [false, true]),
        ("q35", "virtio-net-pci", "host_tso4=off,host_tso6=off", [true, false]),
        ("microvm", "virtio-net-device", "mrg_rxbuf=off,host_tso4=off,host_tso6=off", [false; 2]),
        ("q35", "virtio-net-pci", "csum=off,guest_csum=off", [false; 2]),
    ] {
        let mut guest = boot(machine, &format!("{device},netdev=n,{options}"));
        let v4 = SocketAddr::from(([10, 0, 2, 15], 0));
        control(v4, b"stats\n");
        let link_local: Ipv6Addr = "fe80::5054:ff:fe12:3456".parse().expect("an address");
        let v6 = SocketAddr::V6(SocketAddrV6::new(link_local, 0, 0, tap_index()));
        for to in [v4, v6] {
            let [packets_in, packets_out] = tap_packets();
            let frames = frames(v4);
            echo(to);
            let into = usize::try_from(self::frames(v4) - frames).expect("few");
            let out = usize::try_from(tap_packets()[0] - packets_in).expect("few");
            println!("{machine} {device} {options} {to}: {into} frames in, {out} packets out");
            let all = BYTES / SEGMENT;
            for (count, is_large, way) in [(into, is_large[0], "in"), (out, is_large[1], "out")] {
                // With those that only acknowledge.
                let is_right = if is_large { count < all } else { count >= all };
                assert!(is_right, "{machine} {options} {to}: {count} {way}, {all} segments");
            }
            assert!(tap_packets()[1] > packets_out);
        }
        control(v4, b"exit\n");
        let ended = guest.wait().expect("it ends");
        assert_eq!(ended.code(), Some(status::SUCCESS));
    }
}

fn boot(machine: &str, device: &str) -> Child {
    let mut command = tool();
    command.arg("run").arg(kernel("kernel-net", "serve", Profile::Release));
    command.args(["--machine", machine, "--timeout", "120", "--net", "none"]);
    let device = device.trim_end_matches(',');
    let device = format!("{device},mac=52:54:00:12:34:56");
    let tap = "tap,id=n,ifname=tap0,script=no,downscript=no";
    for option in ["-netdev", tap, "-device", &device] {
        command.arg(format!("--qemu-arg={option}"));
    }
    command.args(["--", "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the tool")
}

fn connect(to: SocketAddr, port: u16) -> TcpStream {
    let mut to = to;
    to.set_port(port);
    let end = Instant::now() + LIMIT;
    loop {
        match TcpStream::connect_timeout(&to, Duration::from_secs(1)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).expect("a limit");
                stream.set_write_timeout(Some(LIMIT)).expect("a limit");
                return stream;
            }
            Err(error) => assert!(Instant::now() < end, "{to}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends bytes of which no two neighbourhoods are alike, and reads them again.
fn echo(to: SocketAddr) {
    let byte = |at: usize| (at ^ at >> 8 ^ at >> 16) as u8;
    let mut stream = connect(to, ECHO);
    let mut writer = stream.try_clone().expect("a handle");
    let writer = thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(byte).collect();
        writer.write_all(&bytes).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("an end");
    });
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an echo");
    writer.join().expect("all is sent");
    assert_eq!(bytes.len(), BYTES);
    let wrong = (0..BYTES).find(|&at| bytes[at] != byte(at));
    assert_eq!(wrong, None, "{to}: the first byte that is wrong");
}

fn control(to: SocketAddr, word: &[u8]) -> String {
    let mut stream = connect(to, CONTROL);
    stream.write_all(word).expect("it reads");
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// How many frames the kernel has taken in.
fn frames(to: SocketAddr) -> u64 {
    let said = control(to, b"stats\n");
    let rest = said.split_once("frames_in: ").expect("a count").1;
    rest.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How many packets the tap has got from the guest, and given to it: of /proc/net/dev, whose columns proc(5) tells.
fn tap_packets() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").expect("Linux");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("tap0:")).expect("the tap");
    let columns: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    [columns[1], columns[9]]
}

fn tap_index() -> u32 {
    let text = run(Command::new("ip").args(["-o", "link", "show", "tap0"])).stdout;
    text.split(':').next().and_then(|number| number.trim().parse().ok()).expect("a number")
}
