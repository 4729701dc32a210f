//! A kernel that serves: over every kind of transport, with each way to an address, and when things go away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use freestone_tests::{Profile, Scratch, boot, kernel, status, tool};

/// How long anything may take that a guest does at once; hosts are busy.
const LIMIT: Duration = Duration::from_secs(60);

const STATIC: &str = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world\n";

fn image() -> PathBuf {
    kernel("kernel-net", "serve", Profile::Release)
}

/// A kernel that runs, and is told to end when this is dropped.
struct Guest {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    /// The host's ports for the guest's 80, 7 and 9.
    ports: [u16; 3],
}

impl Guest {
    /// Boots it with these arguments of `run`, and waits until it listens.
    fn new(arguments: &[&str]) -> Guest {
        let mut command = tool();
        command.arg("run").arg(image()).args(["--timeout", "120"]);
        for port in ["0:80", "0:7", "0:9"] {
            command.args(["--forward", port]);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool");
        let (sender, lines) = channel();
        let (stdout, stderr) =
            (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let also = sender.clone();
        thread::spawn(move || send_lines(stdout, |line| sender.send(line).is_ok()));
        thread::spawn(move || send_lines(stderr, |line| also.send(line).is_ok()));
        let mut guest = Guest { child, lines, said: Vec::new(), ports: [0; 3] };
        guest.wait_for("listening on");
        for (index, port) in [80, 7, 9].into_iter().enumerate() {
            let end = format!(" to the guest's {port}");
            let line = guest.said.iter().find(|line| line.ends_with(&end)).expect("a forward");
            let host = line.rsplit_once("127.0.0.1:").expect("an address").1;
            guest.ports[index] = host.trim_end_matches(&end).parse().expect("a port");
        }
        guest
    }

    /// Waits until the kernel or the tool says this.
    fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} in\n{}", self.said.join("\n"))
                }
            }
        }
    }

    fn connect(&self, index: usize) -> TcpStream {
        connect(self.ports[index])
    }

    /// Whether `count` requests on one connection are answered.
    fn serves(&self, count: usize) -> bool {
        serves(self.ports[0], count)
    }

    /// What the kernel says of itself.
    fn control(&self, word: &str) -> String {
        let mut stream = self.connect(2);
        stream.write_all(word.as_bytes()).expect("it reads");
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    fn halts(&self) -> u64 {
        let said = self.control("stats");
        let number = said.split(", ").find_map(|part| part.strip_suffix(" halts"));
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    }

    /// Tells it to end, and looks at the verdict.
    fn end(mut self) {
        assert_eq!(self.control("exit"), "bye\n");
        let ended = self.child.wait().expect("it ends");
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.said.push(line);
        }
        assert_eq!(ended.code(), Some(status::SUCCESS), "{}", self.said.join("\n"));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the forward");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_nodelay(true).expect("an option");
    stream
}

fn serves(port: u16, count: usize) -> bool {
    let mut stream = connect(port);
    (0..count).all(|_| request(&mut stream).is_ok())
}

fn send_lines(stream: impl Read, mut send: impl FnMut(String) -> bool) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|count| count != 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if !send(text) {
            return;
        }
    }
}

fn request(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(REQUEST)?;
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, ANSWER);
    Ok(())
}

#[test]
fn it_serves_over_every_transport() {
    let global = |option| ["--qemu-arg=-global", option];
    let machine = |machine| ["--machine", machine];
    for options in [
        &machine("microvm")[..],
        &[machine("microvm"), global("--qemu-arg=virtio-mmio.force-legacy=false")].concat(),
        &[machine("microvm"), global("--qemu-arg=virtio-net-device.event_idx=off")].concat(),
        &machine("q35"),
        &machine("pc"),
        &[machine("pc"), global("--qemu-arg=virtio-net-pci.disable-modern=on")].concat(),
        &[machine("q35"), global("--qemu-arg=virtio-net-pci.disable-legacy=on")].concat(),
        // By the wire, and by one message.
        &[machine("q35"), global("--qemu-arg=virtio-net-pci.vectors=0")].concat(),
        &[machine("q35"), global("--qemu-arg=virtio-net-pci.vectors=1")].concat(),
        &[
            machine("pc"),
            global("--qemu-arg=virtio-net-pci.vectors=0"),
            global("--qemu-arg=virtio-net-pci.disable-modern=on"),
        ]
        .concat(),
    ] {
        let guest = Guest::new(&[options, &["--", STATIC]].concat());
        assert!(guest.serves(100), "{options:?}");
        let port = guest.ports[0];
        let clients: Vec<_> = (0..8).map(|_| thread::spawn(move || serves(port, 50))).collect();
        assert!(clients.into_iter().all(|client| client.join().expect("no panic")));
        guest.end();
    }
}

#[test]
fn an_address_comes_by_dhcp_too_and_a_wrong_one_is_named() {
    let guest = Guest::new(&[]);
    let told = guest.said.iter().find(|line| line.contains("listening on")).expect("waited for");
    assert!(told.contains("10.0.2.15"), "{told}");
    assert!(guest.serves(10));
    guest.end();
    let image = image();
    for (option, text) in [
        ("ip=10.0.2.15/24", "no network: ip= on the command line:"),
        ("ip=10.0.2.300", "no network: ip= on the command line:"),
    ] {
        boot(&image, &["--net", "user", "--", option]).expect(status::FAILURE, &[text]);
    }
    let absent = "no network: the machine has no virtio network device";
    boot(&image, &["--net", "none"]).expect(status::FAILURE, &[absent]);
}

#[test]
fn little_memory_is_enough_and_much_has_room_for_hundreds() {
    let guest = Guest::new(&["-m", "4", "--", STATIC]);
    assert!(guest.serves(100));
    guest.end();
    let guest = Guest::new(&["-m", "512", "--", STATIC]);
    // As many as QEMU may have files open, and some. Its own queue of connections has room for one, so each is used at once.
    let mut many = Vec::new();
    for _ in 0..400 {
        let mut stream = guest.connect(0);
        request(&mut stream).expect("an answer");
        many.push(stream);
    }
    for stream in &mut many {
        request(stream).expect("an answer");
    }
    guest.end();
}

#[test]
fn connections_one_after_the_other_never_run_out() {
    let guest = Guest::new(&["--", STATIC]);
    for _ in 0..3000 {
        assert!(guest.serves(1));
    }
    let said = guest.control("stats");
    assert!(said.contains("out_of_memory: 0"), "{said}");
    guest.end();
}

/// At most 5 wake-ups in 10 s: there is nothing to do.
#[test]
fn an_idle_network_sleeps() {
    for options in [&["--", STATIC][..], &[]] {
        let guest = Guest::new(options);
        assert!(guest.serves(1));
        // What is still to be announced, and acknowledged.
        thread::sleep(Duration::from_secs(3));
        let before = guest.halts();
        let asking = guest.halts() - before;
        thread::sleep(Duration::from_secs(10));
        let idle = guest.halts() - before - 2 * asking;
        assert!(idle <= 5, "{idle} wake-ups in 10 s, and {asking} by asking");
        guest.end();
    }
}

/// Commands of QEMU's monitor for machines.
struct Monitor(BufReader<UnixStream>);

impl Monitor {
    fn new(path: &str) -> Monitor {
        let stream = UnixStream::connect(path).expect("the monitor");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut monitor = Monitor(BufReader::new(stream));
        monitor.line();
        monitor.run(r#"{"execute": "qmp_capabilities"}"#);
        monitor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    fn run(&mut self, command: &str) {
        writeln!(self.0.get_mut(), "{command}").expect("it reads");
        loop {
            let line = self.line();
            assert!(!line.contains("\"error\""), "{command}: {line}");
            if line.contains("\"return\"") {
                return;
            }
        }
    }
}

#[test]
fn a_cable_that_is_pulled_and_put_back() {
    let scratch = Scratch::new("cable");
    let path = scratch.path().join("qmp").to_str().expect("UTF-8").to_owned();
    let monitor = format!("--qemu-arg=unix:{path},server=on,wait=off");
    let options = ["--machine", "q35", "--qemu-arg=-qmp", &monitor, "--", STATIC];
    let guest = Guest::new(&options);
    assert!(guest.serves(10));
    let mut waits = guest.connect(1);
    waits.write_all(b"before").expect("it reads");
    let mut echo = [0; 6];
    waits.read_exact(&mut echo).expect("an echo");
    let mut monitor = Monitor::new(&path);
    let set =
        |up| format!(r#"{{"execute": "set_link", "arguments": {{"name": "net0", "up": {up}}}}}"#);
    let device = guest_device(&mut monitor);
    monitor.run(&set(false).replace("net0", &device));
    thread::sleep(Duration::from_secs(1));
    monitor.run(&set(true).replace("net0", &device));
    waits.write_all(b"after!").expect("it reads");
    waits.read_exact(&mut echo).expect("the connection is still there");
    assert_eq!(&echo, b"after!");
    assert!(guest.serves(10));
    waits.shutdown(Shutdown::Both).expect("an end");
    guest.end();
}

/// The name of the network device in QEMU.
fn guest_device(monitor: &mut Monitor) -> String {
    writeln!(monitor.0.get_mut(), r#"{{"execute": "query-rx-filter"}}"#).expect("it reads");
    let line = loop {
        let line = monitor.line();
        if line.contains("\"return\"") {
            break line;
        }
    };
    let (_, rest) = line.split_once(r#""name": ""#).expect("a name");
    rest.split_once('"').expect("its end").0.to_owned()
}
