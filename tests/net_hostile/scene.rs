//! A kernel under attack, an honest client, and what must be true of both after each attack.

use std::time::{Duration, Instant};

use freestone_tests::Profile;

use crate::client::Client;
use crate::frames::RST;
use crate::wire::{STATIC, Wire};

pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
pub const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
pub const ANSWER_END: &[u8] = b"world\n";

/// How long an honest client may wait for its answer. It takes 2 to 5 ms on an idle machine, and of a debug build
/// up to 120.
pub const AT_ONCE: Duration = Duration::from_millis(700);

/// As many connections as there are at once.
pub const MANY: usize = 300;

/// By how much the heap may be larger after an attack than before all of them: records of TIME-WAIT, what waits for
/// embassy-net, and what it puts together. A connection takes 9 KiB, so that twenty of them which stay are seen.
pub const GROWTH_BYTES: u64 = 192 << 10;

/// A connection to port 80, at least.
pub const HALF_OPEN_BYTES: u64 = 9 << 10;

/// What the kernel says of itself.
pub struct Stats(pub String);

impl Stats {
    /// The number in front of a word.
    pub fn before(&self, word: &str) -> u64 {
        let number =
            self.0.split_once(word).and_then(|(text, _)| text.trim_end().rsplit(' ').next());
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{word}: {}", self.0))
    }

    /// The number behind a name.
    pub fn of(&self, name: &str) -> u64 {
        let rest = self.0.split_once(&format!(" {name}: ")).map_or("", |(_, rest)| rest);
        let number = rest.split(|c: char| !c.is_ascii_digit()).next();
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {}", self.0))
    }
}

pub struct Scene {
    pub wire: Wire,
    port: u16,
    bytes: u64,
    random: u64,
    pub started: Instant,
}

impl Scene {
    /// Boots, and notes how much memory is in use once a client was served.
    pub fn static_on(name: &str, machine: &str) -> Scene {
        Scene::new(name, (machine, Profile::Release), &[])
    }

    /// The same of this profile, and with more arguments for QEMU.
    pub fn new(name: &str, kernel: (&str, Profile), extra: &[&str]) -> Scene {
        let wire = Wire::boot(name, kernel, 128, extra, &[STATIC]);
        let (port, random, started) = (20_000, 0x2545_f491_4f6c_dd1d, Instant::now());
        let mut scene = Scene { wire, port, bytes: 0, random, started };
        scene.ask("a boot", 80, REQUEST, ANSWER_END);
        // Tables grow with the connections that there were at once, and stay so.
        for mut client in open_many(&mut scene, 7, MANY) {
            client.say(&mut scene.wire, RST, &[]);
        }
        scene.bytes = scene.stats().before(" bytes");
        scene.started = Instant::now();
        scene
    }

    /// A client on a port that none had for long.
    pub fn client(&mut self, port: u16) -> Client {
        self.port = if self.port == u16::MAX { 20_000 } else { self.port + 1 };
        Client::new(port, self.port)
    }

    #[track_caller]
    pub fn ask(&mut self, after: &str, port: u16, question: &[u8], end: &[u8]) -> Vec<u8> {
        match self.client(port).ask(&mut self.wire, question, end) {
            Some(answer) => answer,
            None => self.wire.failed(&format!("no answer after {after}")),
        }
    }

    pub fn stats(&mut self) -> Stats {
        let text = self.ask("all this", 9, b"stats\n", b"\n");
        Stats(String::from_utf8(text).expect("text"))
    }

    /// Asserts that all is as before: service, memory, connections.
    #[track_caller]
    pub fn is_well_after(&mut self, what: &str) {
        let attack = self.started.elapsed();
        let start = Instant::now();
        self.ask(what, 80, REQUEST, ANSWER_END);
        let took = start.elapsed();
        let stats = self.stats();
        let bytes = stats.before(" bytes");
        println!("{what}: {} ms, then {} ms, {bytes} bytes", attack.as_millis(), took.as_millis());
        assert!(took < AT_ONCE, "{what}: an answer took {took:?}");
        // The one that asks is counted, and handshakes have ten seconds.
        let half_open = stats.of("half_open");
        assert_eq!(stats.of("connections"), 1 + half_open, "{what}: {}", stats.0);
        let bytes = bytes - half_open * HALF_OPEN_BYTES;
        assert!(
            bytes < self.bytes + GROWTH_BYTES,
            "{what}: {} bytes before, {}",
            self.bytes,
            stats.0
        );
        self.started = Instant::now();
    }

    pub fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub fn end(mut self) {
        self.ask("all this", 9, b"exit\n", b"\n");
        self.wire.end();
    }
}

/// Opens so many connections at once.
pub fn open_many(s: &mut Scene, port: u16, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| s.client(port)).collect();
    for client in &mut clients {
        assert!(client.open(&mut s.wire));
    }
    clients
}
