//! What goes away while it is used: the cable, the host's side of it, a host that reads, the device itself, a disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use freestone_tests::{Profile, Scratch};

use crate::client::Client;
use crate::frames::{ACK, PSH, RST};
use crate::scene::{ANSWER_END, MANY, REQUEST, Scene, Stats, open_many};

/// Where the network device and the disk are on `pc`.
const NETWORK_SLOT: u32 = 5;
const DISK_SLOT: u32 = 6;

/// How soon the kernel says that a device has gone which it uses: a peer's segment is sent again after 1, 2 and 4 seconds.
const SOON: Duration = Duration::from_secs(15);

/// Connections to the port that sends without end, whose peers do not say a word: each has a window under way.
fn load(s: &mut Scene, count: usize) -> Vec<Client> {
    let clients = open_many(s, 5002, count);
    s.wire.drain(Duration::from_millis(20));
    clients
}

fn unload(s: &mut Scene, clients: Vec<Client>) {
    for client in clients {
        s.wire.send(&client.frame(RST | ACK, &[], &[]));
    }
}

/// What the kernel says of itself on its console.
#[track_caller]
fn console_stats(s: &mut Scene) -> Stats {
    Stats(s.wire.asks_console("stats", " halts, "))
}

fn end_by_console(mut s: Scene) {
    s.wire.asks_console("exit", "bye");
    s.wire.end();
}

#[test]
fn a_cable_that_is_pulled_under_load_ends_no_connection() {
    for machine in ["microvm", "q35"] {
        let mut s = Scene::static_on(&format!("pulled-{machine}"), machine);
        let mut waits = s.client(7);
        assert!(waits.open(&mut s.wire));
        let clients = load(&mut s, 20);
        for _ in 0..5 {
            s.wire.monitor("set_link n0 off");
            std::thread::sleep(Duration::from_millis(300));
            s.wire.monitor("set_link n0 on");
            std::thread::sleep(Duration::from_millis(100));
        }
        waits.say(&mut s.wire, ACK | PSH, b"still there?");
        let answer = waits.read(&mut s.wire, |bytes| bytes.len() >= 12);
        assert_eq!(answer.as_deref(), Some(&b"still there?"[..]));
        waits.say(&mut s.wire, RST | ACK, &[]);
        unload(&mut s, clients);
        s.is_well_after("a cable under load");
        s.end();
    }
}

#[test]
fn the_hosts_side_of_the_wire_goes_and_the_kernel_goes_on() {
    let mut s = Scene::static_on("side", "q35");
    load(&mut s, 20);
    s.wire.monitor("netdev_del n0");
    let stats = console_stats(&mut s);
    assert_eq!(stats.of("connections"), 20, "{}", stats.0);
    std::thread::sleep(Duration::from_secs(2));
    // They wait for their peers, and do so by halting.
    let (halts, began) = (console_stats(&mut s).before(" halts"), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let halts = console_stats(&mut s).before(" halts") - halts;
    assert!(halts < 500, "{halts} halts in {:?}", began.elapsed());
    end_by_console(s);
}

#[test]
fn a_host_that_does_not_read_costs_what_is_under_way_and_no_more() {
    for machine in ["microvm", "q35"] {
        let mut s = Scene::static_on(&format!("deaf-{machine}"), machine);
        // Each has a window to fill, of 60,000 bytes, and nobody takes them from the wire.
        let clients = open_many(&mut s, 5002, MANY);
        let before = Stats(s.wire.asks_console_deaf("stats", " halts, ")).before(" bytes");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(8) {
            let stats = Stats(s.wire.asks_console_deaf("stats", " halts, "));
            let bytes = stats.before(" bytes");
            assert!(bytes < before + (1 << 20), "{before} bytes before, {}", stats.0);
            std::thread::sleep(Duration::from_millis(500));
        }
        unload(&mut s, clients);
        s.wire.drain(Duration::from_millis(300));
        s.is_well_after("a host that did not read");
        s.end();
    }
}

/// A disk of 16 MiB whose blocks begin with their numbers, as arguments for QEMU.
fn disk(folder: &Path) -> Vec<String> {
    let path = folder.join("disk");
    let block = |number: u64| [&number.to_le_bytes()[..], &[0; 4088]].concat();
    fs::write(&path, (0..4096).flat_map(block).collect::<Vec<u8>>()).expect("a disk");
    let drive = format!("if=none,id=d0,format=raw,file={}", path.display());
    let device = format!("virtio-blk-pci,id=disk,drive=d0,addr={DISK_SLOT}");
    ["-drive", &drive, "-device", &device].map(str::to_owned).to_vec()
}

fn with_disk(name: &str) -> (Scene, Scratch) {
    let folder = Scratch::new(&format!("{name}-disk"));
    let arguments = disk(folder.path());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    (Scene::new(name, ("pc", Profile::Release), &arguments), folder)
}

/// QEMU asks the guest to let the device go, by an interrupt of ACPI's that this kernel does not hear: the device stays, and
/// works. What a kernel would do that hears it, its console has it do here; for the driver that is a surprise.
#[test]
fn a_network_device_that_is_taken_out_is_told_of_and_the_rest_goes_on() {
    let (mut s, _folder) = with_disk("network-out");
    load(&mut s, 20);
    s.wire.monitor("device_del nic");
    std::thread::sleep(Duration::from_millis(500));
    s.ask("a wish that it goes", 80, REQUEST, ANSWER_END);
    s.wire.type_line(&format!("eject {NETWORK_SLOT}"));
    s.wire.hears("network: the virtio device has been taken out; it is used no more", SOON);
    let stats = console_stats(&mut s);
    assert_eq!((stats.of("connections"), stats.of("half_open")), (0, 0), "{}", stats.0);
    s.wire.asks_console("read 16 1000", "ok ");
    end_by_console(s);
}

#[test]
fn a_disk_that_goes_under_load_fails_its_requests_and_the_network_goes_on() {
    // The device, and what is behind it.
    for (name, order, told) in [
        ("device-out", None, Some("the disk is not there any more, and is used no more")),
        ("drive-out", Some("drive_del d0"), None),
    ] {
        let (mut s, _folder) = with_disk(name);
        let mut client = s.client(5003);
        assert!(client.open(&mut s.wire));
        client.say(&mut s.wire, ACK | PSH, b"read 32 1000000000\n");
        s.ask("a load", 80, REQUEST, ANSWER_END);
        match order {
            Some(order) => s.wire.monitor(order),
            None => {
                s.wire.monitor("device_del disk");
                s.ask("a wish that it goes", 80, REQUEST, ANSWER_END);
                s.wire.type_line(&format!("eject {DISK_SLOT}"));
            }
        }
        if let Some(told) = told {
            s.wire.hears(told, SOON);
        }
        let answer = client.read(&mut s.wire, |bytes| bytes.ends_with(b"\n")).expect("an answer");
        assert!(answer.starts_with(b"bad "), "{}", String::from_utf8_lossy(&answer));
        client.say(&mut s.wire, RST | ACK, &[]);
        s.is_well_after(name);
        s.end();
    }
}
