//! The reference unikernel as a service: on every machine, with every kind of disk, with clients of every kind, to its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use freestone_tests::{MACHINES, Profile, Scratch, boot, kernel, run, status, target, tool};

/// How long anything may take; hosts are busy.
const LIMIT: Duration = Duration::from_secs(60);

fn image() -> PathBuf {
    kernel("example-kernel", "example-kernel", Profile::Release)
}

/// A service that runs.
struct Service {
    child: Child,
    lines: Receiver<String>,
    said: String,
    /// Of the host's, for the guest's 80.
    port: u16,
}

impl Service {
    /// Boots it with these arguments of `run`, and waits until it is served.
    fn new(arguments: &[&str]) -> Service {
        let mut service = Service::silent(arguments);
        service.wait_for("listening on http://");
        service
    }

    /// The same, without waiting.
    fn silent(arguments: &[&str]) -> Service {
        let mut command = tool();
        command.arg("run").arg(image()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool");
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(stream)
                    .lines()
                    .map_while(Result::ok)
                    .try_for_each(|line| sender.send(line))
            });
        }
        Service { child, lines, said: String::new(), port: 0 }
    }

    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.said += &format!("{line}\n");
            if let Some((_, rest)) = line.split_once("the page: http://127.0.0.1:") {
                self.port = rest.trim_end_matches('/').parse().expect("a port");
            }
            if line.contains(text) {
                return;
            }
        }
        panic!("no {text:?} in\n{}", self.said);
    }

    fn connect(&self) -> TcpStream {
        // QEMU lets one connection wait; a further one tries again after a second.
        thread::sleep(Duration::from_millis(5));
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the forward");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream
    }

    /// The code and the body for a request on a connection of its own.
    fn ask(&self, line: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) =
            answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}\n{}", self.said));
        (head["HTTP/1.1 ".len()..][..3].parse().expect("a code"), body.to_owned())
    }

    fn metric(&self, name: &str) -> u64 {
        let (_, all) = self.ask("GET /metrics", "");
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {all}"))
    }

    /// Has the tool end it, in order; all that was said.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let ended = self.child.wait().expect("it ends");
        self.said.extend(self.lines.iter().map(|line| line + "\n"));
        assert_eq!(ended.code(), Some(status::SUCCESS), "{}", self.said);
        assert!(self.said.lines().any(|line| line == "ending"), "{}", self.said);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn disk(scratch: &Scratch, name: &str, bytes: u64) -> String {
    let path = scratch.path().join(name);
    File::create(&path).and_then(|file| file.set_len(bytes)).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn it_serves_on_every_machine_and_keeps_what_it_has_acknowledged() {
    let scratch = Scratch::new("service");
    for machine in MACHINES {
        let disk = disk(&scratch, machine, 64 << 20);
        let service = Service::new(&["--machine", machine, "--disk", &disk]);
        assert_eq!(service.ask("GET /hello", ""), (200, "Hello, world\n".into()));
        assert_eq!(service.ask("GET /healthz", ""), (200, "ok\n".into()));
        let (code, page) = service.ask("GET /", "");
        assert!(code == 200 && page.contains("QEMU TCG") && page.ends_with("</html>\n"), "{page}");
        assert_eq!(service.ask("PUT /api/kv/a", "[1]").0, 204);
        service.end();
        let service = Service::new(&["--machine", machine, "--disk", &disk]);
        assert_eq!(service.ask("GET /api/kv/a", ""), (200, "[1]".into()));
        assert_eq!(service.metric("store_keys"), 1);
        service.end();
    }
}

#[test]
fn little_memory_is_enough() {
    let scratch = Scratch::new("service-small");
    let service = Service::new(&["-m", "4"]);
    let idle: Vec<TcpStream> = (0..8).map(|_| service.connect()).collect();
    assert_eq!(service.ask("GET /", "").0, 200);
    drop(idle);
    service.end();
    let disk = disk(&scratch, "disk", 64 << 20);
    let service = Service::new(&["-m", "8", "--disk", &disk]);
    let value = format!("\"{}\"", "v".repeat(20_000));
    for key in 0..100 {
        assert_eq!(service.ask(&format!("PUT /api/kv/{key}"), &value).0, 204);
    }
    assert_eq!(service.ask("GET /api/kv/99", "").1, value);
    service.end();
}

/// Each holds what it has been given as long as it can: requests, answers, events.
#[test]
fn no_number_of_clients_takes_the_memory_that_the_kernel_lives_on() {
    let scratch = Scratch::new("service-memory");
    let path = disk(&scratch, "many.img", 32 << 20);
    let service = Service::new(&["-m", "6", "--disk", &path]);
    let value = format!("\"{}\"", "x".repeat(65_000));
    let put = |key: usize| {
        let length = value.len();
        format!("PUT /api/kv/{key} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{value}")
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let several = get("/api/kv/1") + &get("/heap.svg") + &get("/");
    let mut clients = Vec::new();
    for number in 0..20 {
        for request in [put(number), get("/api/kv/?watch"), several.repeat(9)] {
            let mut client = service.connect();
            client.set_write_timeout(Some(Duration::from_secs(1))).expect("a limit");
            // It may be told to go before it has sent all.
            let _ = client.write_all(request.as_bytes());
            clients.push(client);
        }
    }
    assert!(service.metric("http_connections") > 1);
    drop(clients);
    assert_eq!(service.ask("PUT /api/kv/last", "1").0, 204);
    assert!(!service.end().contains("PANIC"));
}

#[test]
fn a_disk_that_is_no_good_is_named_and_not_touched() {
    let scratch = Scratch::new("service-disks");
    let good = disk(&scratch, "good", 64 << 20);
    let service = Service::new(&["--disk", &good]);
    assert_eq!(service.ask("PUT /api/kv/a", "1").0, 204);
    service.end();

    let foreign = disk(&scratch, "foreign", 64 << 20);
    fs::write(&foreign, vec![0x5a; 64 << 20]).expect("a file");
    let small = disk(&scratch, "small", 1 << 20);
    for (disk, says) in [(foreign.clone(), "something else on the disk"), (small, "too small")] {
        let service = Service::new(&["--disk", &disk]);
        let (code, answer) = service.ask("GET /api/kv/a", "");
        assert!(code == 503 && answer.contains(says), "{answer}");
        let (_, page) = service.ask("GET /", "");
        assert!(page.contains(says), "{page}");
        service.end();
    }
    assert!(fs::read(&foreign).expect("a file").iter().all(|byte| *byte == 0x5a));

    let before = fs::read(&good).expect("a file");
    let service = Service::new(&["--disk", &format!("{good},ro")]);
    assert_eq!(service.ask("GET /api/kv/a", ""), (200, "1".into()));
    let (code, answer) = service.ask("PUT /api/kv/a", "2");
    assert!(code == 503 && answer.contains("read-only"), "{answer}");
    assert_eq!(service.ask("GET /healthz", "").0, 503);
    service.end();
    assert!(
        fs::read(&good).expect("a file") == before,
        "a disk that was to be read only has changed"
    );

    let service = Service::new(&[]);
    let (code, answer) = service.ask("PUT /api/kv/a", "2");
    assert!(code == 503 && answer.contains("no disk"), "{answer}");
    assert_eq!(service.ask("GET /healthz", "").0, 200);
    service.end();
}

#[test]
fn clients_come_and_go() {
    let service = Service::new(&["-m", "32"]);
    service.ask("GET /", "");
    let before = service.metric("heap_allocated_bytes");
    // Those that ask nothing, those that ask and do not listen, and those that vanish in the midst of a request.
    for round in 0..1000 {
        let mut stream = service.connect();
        let part: &[u8] = match round % 4 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            2 => b"PUT /api/kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc",
            _ => b"GET / HT",
        };
        stream.write_all(part).expect("it reads");
    }
    // Many at once, all of which are answered.
    let streams: Vec<TcpStream> = (0..200).map(|_| service.connect()).collect();
    for mut stream in &streams {
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n").expect("it reads");
    }
    for mut stream in &streams {
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
    }
    drop(streams);
    let end = Instant::now() + LIMIT;
    while service.metric("http_connections") > 1 && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(service.metric("http_connections"), 1, "its own");
    // Tables of connections stay as large as they have been.
    let after = service.metric("heap_allocated_bytes");
    assert!(after < before + (512 << 10), "{before} bytes before, {after} after");
    service.end();
}

#[test]
fn without_dhcp_it_says_so_and_ends_in_order() {
    let listen = [
        "-netdev",
        "socket,id=n,udp=127.0.0.1:9,localaddr=127.0.0.1:0",
        "-device",
        "virtio-net-device,netdev=n",
    ];
    let mut arguments = vec!["--net", "none"];
    arguments.extend(listen.iter().flat_map(|word| ["--qemu-arg", word]));
    let mut service = Service::silent(&arguments);
    service.wait_for("is there a DHCP server?");
    service.end();
}

#[test]
fn without_a_network_it_shows_the_tour() {
    boot(&image(), &["--net", "none"]).expect(status::SUCCESS, &["VERDICT: success"]);
}

#[test]
fn a_taken_port_is_stepped_over() {
    let first = Service::new(&[]);
    let second = Service::new(&[]);
    assert_ne!(first.port, second.port);
    assert_eq!(first.ask("GET /hello", "").0, 200);
    assert_eq!(second.ask("GET /hello", "").0, 200);
    first.end();
    second.end();
}

/// A machine without a clock asks a server, and the daytime service and dates of answers tell what that has said.
#[test]
fn the_time_comes_from_a_server_where_the_machine_has_none() {
    const SECONDS: u64 = 784_111_777;
    /// From 1900, the beginning of NTP's time, to 1970.
    const BEFORE_1970: u64 = 2_208_988_800;

    let server = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
    let port = server.local_addr().expect("bound").port();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((_, client)) = server.recv_from(&mut packet) {
            let mut answer = [0_u8; 48];
            // Version 4, a server, stratum 1 (RFC 5905 7.3).
            (answer[0], answer[1]) = (0x24, 1);
            // What the client has sent as its time comes back as the originate timestamp.
            answer[24..32].copy_from_slice(&packet[40..48]);
            let now = ((SECONDS + BEFORE_1970) as u32).to_be_bytes();
            for at in [16, 32, 40] {
                answer[at..at + 4].copy_from_slice(&now);
            }
            let _ = server.send_to(&answer, client);
        }
    });
    let words = format!("ntp=10.0.2.2:{port}");
    let service = Service::new(&[
        "--machine",
        "microvm",
        "--qemu-arg",
        "-machine",
        "--qemu-arg",
        "microvm,rtc=off",
        "--forward",
        "0:13",
        "--",
        &words,
    ]);
    let end = Instant::now() + LIMIT;
    loop {
        let mut stream = service.connect();
        stream
            .write_all(b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        if answer.contains("Date: Sun, 06 Nov 1994 08:") {
            break;
        }
        assert!(Instant::now() < end, "{answer}\n{}", service.said);
        thread::sleep(Duration::from_millis(50));
    }
    service.end();
}

/// Whether a program is installed; what is not tested without it is said.
fn has(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        println!("not tested: {program} is not installed");
    }
    found.is_ok()
}

/// Pictures of it, for people, are in the folder `page` below `target`.
#[test]
fn a_browser_shows_the_page_and_has_no_complaint() {
    if !has("chromium") {
        return;
    }
    let service = Service::new(&[]);
    let address = format!("http://127.0.0.1:{}/", service.port);
    let pictures = target().join("page");
    fs::create_dir_all(&pictures).expect("a folder");
    let scratch = Scratch::new("service-browser");
    let browse = |options: &[&str]| {
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        command.args(["--hide-scrollbars", "--window-size=1000,1400", "--enable-logging=stderr"]);
        command
            .arg(format!("--user-data-dir={}", scratch.path().display()))
            .args(options)
            .arg(&address);
        let ended = run(&mut command);
        assert!(ended.status == Some(0) && !ended.stderr.contains("CONSOLE"), "{ended}");
        ended.stdout
    };
    for (name, scheme) in [("light", "1"), ("dark", "0")] {
        let picture = pictures.join(format!("{name}.png"));
        let _ = fs::remove_file(&picture);
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        browse(&[&scheme, &format!("--screenshot={}", picture.display())]);
        assert!(fs::metadata(&picture).expect("a picture").len() > 10_000);
    }
    // Ten seconds of the browser's clock, which does not wait for ours.
    let page = browse(&["--virtual-time-budget=10000", "--dump-dom"]);
    assert!(page.contains("<h1>Freestone</h1>") && page.contains("id=\"lost\" hidden"), "{page}");
    let requests =
        page.split("<td>requests</td><td>").nth(1).and_then(|rest| rest.split('<').next());
    let requests: u32 =
        requests.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{page}"));
    // Three pages with what belongs to them are nine requests.
    assert!(requests > 9, "it does not refresh itself: {requests}");
    service.end();
}

#[test]
fn prometheus_own_tool_likes_the_metrics() {
    if !has("promtool") {
        return;
    }
    let scratch = Scratch::new("service-metrics");
    let disk = disk(&scratch, "disk", 64 << 20);
    let service = Service::new(&["--disk", &disk]);
    scratch.write("metrics", &service.ask("GET /metrics", "").1);
    let file = File::open(scratch.path().join("metrics")).expect("a file");
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(file)
        .output()
        .expect("it starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    service.end();
}
