//! A kernel that serves, and the whole other side of its wire: a socket on which each datagram is a frame.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use freestone_tests::{Ended, Profile, Scratch, kernel, status, tool};

use crate::frames::{self, Station};

/// The kernel's station and address, and ours.
pub const KERNEL: Station = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const OURS: Station = [0x52, 0x54, 0, 0xaa, 0xbb, 0xcc];
pub const KERNEL_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The argument that gives the kernel its address.
pub const STATIC: &str = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off";

/// How long QEMU and the kernel may take for anything that they do at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running kernel. It must be ended by [`Wire::end`], or is killed.
pub struct Wire {
    socket: UnixDatagram,
    kernel: Option<Child>,
    monitor: Option<UnixStream>,
    /// What the kernel says on its console, and what it has said so far.
    console: Receiver<Vec<u8>>,
    said: String,
    /// Frames that came while others were sent.
    inbox: VecDeque<Vec<u8>>,
    folder: Scratch,
}

impl Wire {
    /// Boots the kernel of this profile, on a machine with this memory and these arguments for QEMU, and these words on its
    /// command line.
    pub fn boot(
        name: &str,
        (machine, profile): (&str, Profile),
        mebibytes: u32,
        extra: &[&str],
        words: &[&str],
    ) -> Wire {
        let image = kernel("kernel-net", "serve", profile);
        let folder = Scratch::new(name);
        let path = |file: &str| folder.path().join(file).display().to_string();
        let socket = UnixDatagram::bind(path("peer")).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let device = match machine {
            "microvm" => "virtio-net-device",
            "pc" => "virtio-net-pci,id=nic,addr=5",
            _ => "virtio-net-pci,id=nic",
        };
        let arguments = [
            "-netdev".to_string(),
            format!(
                "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                path("qemu"),
                path("peer")
            ),
            "-device".to_string(),
            format!("{device},netdev=n0,mac=52:54:00:12:34:56"),
            "-monitor".to_string(),
            format!("unix:{},server=on,wait=off", path("monitor")),
        ];
        let mut command = tool();
        command.arg("run").arg(&image).args(["--machine", machine, "--timeout", "300"]);
        command.args(["-m", &mebibytes.to_string()]);
        command.args(arguments.map(|argument| format!("--qemu-arg={argument}")));
        command.args(extra.iter().map(|argument| format!("--qemu-arg={argument}")));
        command.args(["--stdin", "--"]).args(words).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut kernel = command.spawn().expect("the tool starts");
        let console = listen(kernel.stdout.take().expect("piped"));
        let mut wire = Wire {
            socket,
            kernel: Some(kernel),
            monitor: None,
            console,
            said: String::new(),
            inbox: VecDeque::new(),
            folder,
        };
        let qemu = wire.folder.path().join("qemu");
        wire.wait_for("QEMU's end of the wire", |wire| wire.socket.connect(&qemu).is_ok());
        let monitor = wire.folder.path().join("monitor");
        wire.wait_for("QEMU's monitor", |wire| {
            wire.monitor = UnixStream::connect(&monitor).ok();
            wire.monitor.is_some()
        });
        prompt(wire.monitor.as_mut().expect("a monitor"));
        wire
    }

    fn wait_for(&mut self, what: &str, mut is_there: impl FnMut(&mut Wire) -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !is_there(self) {
            if Instant::now() >= limit {
                self.failed(&format!("no {what}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a frame. What arrives while the kernel takes its time is kept.
    #[track_caller]
    pub fn send(&mut self, frame: &[u8]) {
        let limit = Instant::now() + PATIENCE;
        loop {
            match self.socket.send(frame) {
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= limit {
                        self.failed(&format!(
                            "the kernel takes no more frames, {} bytes",
                            frame.len()
                        ));
                    }
                    if !self.take_in() {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
                Err(error) => panic!("the kernel has gone: {error}\n{}", self.kill()),
            }
        }
    }

    /// Takes in a frame, if there is one. Who asks for an address of ours is told that it is here.
    fn take_in(&mut self) -> bool {
        let mut frame = [0; 70_000];
        let Ok(len) = self.socket.recv(&mut frame) else { return false };
        let frame = &frame[..len];
        if frame[12..14] == frames::ARP.to_be_bytes() && frame[21] == 1 {
            let address = |at: usize| Ipv4Addr::from(*frame[at..].first_chunk::<4>().expect("4"));
            let (asks, wanted) = (address(28), address(38));
            if asks != wanted && wanted != KERNEL_IP {
                let answer = frames::arp(2, (OURS, wanted), (KERNEL, asks));
                let _ = self.socket.send(&frames::ethernet(KERNEL, OURS, frames::ARP, &answer));
            }
        }
        self.inbox.push_back(frame.to_vec());
        true
    }

    /// The next frame from the kernel.
    pub fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let limit = Instant::now() + patience;
        loop {
            while self.take_in() {}
            if let Some(frame) = self.inbox.pop_front() {
                return Some(frame);
            }
            if Instant::now() >= limit {
                return None;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Throws away what has come, until nothing comes for so long.
    pub fn drain(&mut self, silence: Duration) {
        while self.receive(silence).is_some() {}
    }

    /// Has QEMU's monitor do something, and waits until it has.
    pub fn monitor(&mut self, command: &str) {
        let monitor = self.monitor.as_mut().expect("a monitor");
        writeln!(monitor, "{command}").expect("the monitor listens");
        prompt(monitor);
    }

    /// Types a line at the kernel's console.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.kernel.as_mut().and_then(|kernel| kernel.stdin.as_mut()).expect("piped");
        writeln!(stdin, "{line}").expect("the tool reads");
    }

    /// Waits until the kernel has said this on its console, from now on, and returns the line. Frames that come are read.
    #[track_caller]
    pub fn hears(&mut self, text: &str, limit: Duration) -> String {
        self.hears_or_reads(text, limit, true)
    }

    #[track_caller]
    fn hears_or_reads(&mut self, text: &str, limit: Duration, reads: bool) -> String {
        let (from, limit) = (self.said.len(), Instant::now() + limit);
        loop {
            let mut lines = self.said[from..].split_inclusive('\n');
            let found = lines.find(|line| line.contains(text) && line.ends_with('\n'));
            if let Some(line) = found {
                return line.to_owned();
            }
            while reads && self.take_in() {}
            match self.console.recv_timeout(Duration::from_millis(5)) {
                Ok(bytes) => self.said += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout) if Instant::now() < limit => {}
                Err(_) => self.failed(&format!("the kernel does not say {text:?}")),
            }
        }
    }

    /// Types a line, and returns the answer: the line that has this in it.
    #[track_caller]
    pub fn asks_console(&mut self, line: &str, answer: &str) -> String {
        self.type_line(line);
        self.hears(answer, PATIENCE)
    }

    /// The same, and leaves on the wire what comes.
    #[track_caller]
    pub fn asks_console_deaf(&mut self, line: &str, answer: &str) -> String {
        self.type_line(line);
        self.hears_or_reads(answer, PATIENCE, false)
    }

    /// Ends the kernel, and says how it ended.
    fn kill(&mut self) -> Ended {
        let mut kernel = self.kernel.take().expect("it runs");
        // It may be about to say why it stops.
        let limit = Instant::now() + Duration::from_secs(3);
        while kernel.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kernel.kill();
        let mut stderr = String::new();
        self.said.extend(self.console.iter().map(|b| String::from_utf8_lossy(&b).into_owned()));
        let stdout = std::mem::take(&mut self.said);
        let _ = kernel.stderr.take().expect("piped").read_to_string(&mut stderr);
        let status = kernel.wait().expect("it ends").code();
        Ended { status, stdout, stderr }
    }

    /// The kernel has been told to end: asserts that it does so, in good order.
    #[track_caller]
    pub fn end(mut self) {
        self.kill().expect(status::SUCCESS, &["Statistics"]);
    }

    /// What to say of a kernel that does not do what it should.
    pub fn failed(&mut self, what: &str) -> ! {
        panic!("{what}\n{}", self.kill())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(mut kernel) = self.kernel.take() {
            let _ = kernel.kill();
            let _ = kernel.wait();
        }
    }
}

/// Reads to the end, in a thread of its own.
fn listen(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes)
            && sender.send(bytes[..count].to_vec()).is_ok()
        {}
    });
    receiver
}

/// Reads up to the monitor's next prompt.
fn prompt(monitor: &mut UnixStream) {
    monitor.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut text = Vec::new();
    while !text.ends_with(b"(qemu) ") {
        let mut byte = [0];
        monitor.read_exact(&mut byte).expect("the monitor's prompt");
        text.extend(byte);
    }
}
