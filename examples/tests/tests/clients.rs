//! The clients of NTP, DNS, HTTP and MQTT over the host's sockets, against servers made here and mosquitto.

use std::io::{BufRead, BufReader, Error, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use embedded_nal_async::ConnectedUdp;
use examples_tests::{Blocking, Host, LIMIT, run};
use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

/// A UDP socket of this host, with a limit of time.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Has `answer` answer so many datagrams, each with as many as it likes.
fn udp_server(
    datagrams: usize,
    answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let server = socket();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 512];
        for _ in 0..datagrams {
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            for datagram in answer(&bytes[..count]) {
                server.send_to(&datagram, from).unwrap();
            }
        }
    });
    address
}

struct Ntp(UdpSocket);

impl sntpc::NtpUdpSocket for Ntp {
    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> sntpc::Result<usize> {
        self.0.send_to(bytes, to).map_err(|_| sntpc::Error::Network)
    }
    async fn recv_from(&self, bytes: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        self.0.recv_from(bytes).map_err(|_| sntpc::Error::Network)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// An NTP server's answer (RFC 4330, section 4) whose clock is an hour ahead.
fn an_hour_ahead(question: &[u8]) -> Vec<u8> {
    const SINCE_1900: u64 = 2_208_988_800;
    let now = now();
    let seconds = (now.as_secs() + SINCE_1900 + 3600) as u32;
    let fraction = ((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000) as u32;
    let time = [seconds.to_be_bytes(), fraction.to_be_bytes()].concat();
    // Version 4, from a server, stratum 2; delay and dispersion small.
    let head = [0x24, 2, 6, 0xec, 0, 0, 0, 1, 0, 0, 0, 1, 127, 0, 0, 1];
    [&head, &time[..], &question[40..48], &time, &time].concat()
}

#[test]
fn ntp_finds_how_far_the_clock_is_off() {
    let server = udp_server(1, |question| vec![an_hour_ahead(question)]);
    let answer = run(ntp::ask(&Ntp(socket()), server, now)).unwrap();
    assert_eq!(answer.stratum(), 2);
    let off = answer.offset().abs_diff(3_600_000_000);
    assert!(off < 1_000_000, "{off} us");
    assert_eq!(ntp::corrected(Duration::from_secs(5), -2_000_000), Duration::from_secs(3));
    assert_eq!(ntp::corrected(Duration::from_secs(5), 2_000_000), Duration::from_secs(7));
}

#[test]
fn ntp_refuses_an_answer_to_another_question() {
    let server = udp_server(1, |question| {
        let mut other = question.to_vec();
        other[45] ^= 1;
        vec![an_hour_ahead(&other)]
    });
    run(ntp::ask(&Ntp(socket()), server, now)).unwrap_err();
}

struct Dns(UdpSocket);

impl ConnectedUdp for Dns {
    type Error = Error;
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.send(bytes).map(drop)
    }
    async fn receive_into(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.0.recv(bytes)
    }
}

fn dns(server: SocketAddr) -> Dns {
    let socket = socket();
    socket.connect(server).unwrap();
    Dns(socket)
}

/// What a server answers that knows `www.example` as another name of `host.example`, which has both addresses.
fn answer(question: &[u8]) -> Packet<'_> {
    let packet = Packet::parse(question).unwrap();
    assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
    let mut packet = packet.into_reply();
    let host = Name::new_unchecked("host.example");
    let name = packet.questions[0].qname.clone();
    let is_ipv6 = packet.questions[0].qtype == simple_dns::TYPE::AAAA.into();
    let record = |name, data| ResourceRecord::new(name, CLASS::IN, 60, data);
    packet.answers.push(record(name, RData::CNAME(CNAME(host.clone()))));
    packet.answers.push(record(
        host,
        if is_ipv6 {
            RData::AAAA(AAAA { address: Ipv6Addr::LOCALHOST.into() })
        } else {
            RData::A(A { address: Ipv4Addr::LOCALHOST.into() })
        },
    ));
    packet
}

#[test]
fn dns_finds_addresses_among_other_datagrams() {
    let server = udp_server(2, |question| {
        let right = answer(question).build_bytes_vec_compressed().unwrap();
        let mut guessed = answer(question);
        guessed.set_id(guessed.id() ^ 1);
        let mut asked_else = answer(question);
        asked_else.questions[0].qname = Name::new_unchecked("else.example");
        let others = [guessed, asked_else].map(|packet| packet.build_bytes_vec().unwrap());
        let noise = [b"noise".to_vec(), question.to_vec(), right[..20].to_vec()];
        noise.into_iter().chain(others).chain([right]).collect()
    });
    let mut socket = dns(server);
    let found = run(dns::addresses(&mut socket, 17, "www.example", false)).unwrap();
    assert_eq!(found, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    // What the first question left over is no answer to the second.
    let found = run(dns::addresses(&mut socket, 18, "www.example", true)).unwrap();
    assert_eq!(found, [IpAddr::from(Ipv6Addr::LOCALHOST)]);
}

#[test]
fn dns_says_why_there_is_no_address() {
    let server = udp_server(1, |question| {
        let mut packet = answer(question);
        *packet.rcode_mut() = RCODE::NameError;
        vec![packet.build_bytes_vec().unwrap()]
    });
    let error = run(dns::addresses(&mut dns(server), 1, "www.example", false)).unwrap_err();
    assert!(matches!(error, dns::Error::Refused(RCODE::NameError)), "{error}");
    let server = udp_server(1, |question| {
        let mut packet = answer(question);
        packet.set_flags(PacketFlag::TRUNCATION);
        vec![packet.build_bytes_vec().unwrap()]
    });
    let error = run(dns::addresses(&mut dns(server), 1, "www.example", false)).unwrap_err();
    assert!(matches!(error, dns::Error::Truncated), "{error}");
    let long = "a".repeat(64);
    let error = run(dns::addresses(&mut dns(server), 1, &long, false)).unwrap_err();
    assert!(matches!(error, dns::Error::Name), "{error}");
}

/// An HTTP server for one request, which answers `answer`; the request's first line goes to the caller.
fn http_server(answer: Vec<u8>) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        while !lines.next().unwrap().unwrap().is_empty() {}
        stream.write_all(&answer).unwrap();
        first
    });
    (port, server)
}

#[test]
fn http_gets_a_page_of_a_length_and_one_in_chunks() {
    let body: Vec<u8> = (0..100_000).map(|index| (index % 251) as u8).collect();
    let mut whole = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    whole.extend(&body);
    let mut chunks = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(7000) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    for (answer, status) in [(whole, 200), (chunks, 404)] {
        let (port, server) = http_server(answer);
        let mut got: Vec<u8> = Vec::new();
        let url = format!("http://localhost:{port}/a/page?b=c");
        let sink = |bytes: &[u8]| got.extend(bytes);
        assert_eq!(run(http_client::get(&Host, &Host, &url, sink)).unwrap(), status);
        assert!(got == body, "{} bytes", got.len());
        assert_eq!(server.join().unwrap(), "GET /a/page?b=c HTTP/1.1");
    }
}

#[test]
fn http_says_that_a_page_was_cut_off() {
    for head in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"] {
        let (port, server) = http_server(format!("HTTP/1.1 200 OK\r\n{head}").into_bytes());
        let url = format!("http://127.0.0.1:{port}/");
        run(http_client::get(&Host, &Host, &url, |_| {})).unwrap_err();
        server.join().unwrap();
    }
    run(http_client::get(&Host, &Host, "https://localhost/", |_| {})).unwrap_err();
}

#[test]
fn mqtt_gets_its_message_back_from_mosquitto() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!("{}/mosquitto.conf", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let mut broker = Command::new("/usr/sbin/mosquitto")
        .args(["-c", &config])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed");
    let begin = Instant::now();
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed() < LIMIT, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let message = [b"hello ".as_slice(), &[0, 255, 7]].concat();
    let back = run(mqtt::echo(Blocking::new(stream), "test", "some/topic", &message));
    broker.kill().unwrap();
    broker.wait().unwrap();
    assert_eq!(back, Ok(message));
}

#[test]
fn mqtt_says_where_a_broker_gives_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    let back = run(mqtt::echo(Blocking::new(stream), "test", "some/topic", b"hello"));
    assert_eq!(back, Err(mqtt::Error::Connect));
}
