//! A kernel that serves, and the whole other side of its wire: a socket on which each datagram is a frame.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Stdio};
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

/// A running kernel. It must be ended by [`Wire::end`], or is killed.
pub struct Wire {
    socket: UnixDatagram,
    kernel: Option<Child>,
    monitor: Option<UnixStream>,
    /// Frames that came while others were sent.
    inbox: VecDeque<Vec<u8>>,
    folder: Scratch,
}

impl Wire {
    /// Boots the kernel on a machine with this memory and device, and these words on its command line.
    pub fn boot(name: &str, machine: &str, mebibytes: u32, words: &[&str]) -> Wire {
        let image = kernel("kernel-net", "serve", Profile::Release);
        let folder = Scratch::new(name);
        let path = |file: &str| folder.path().join(file).display().to_string();
        let socket = UnixDatagram::bind(path("peer")).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let device =
            if machine == "microvm" { "virtio-net-device" } else { "virtio-net-pci,id=nic" };
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
        command.arg("run").arg(&image).args(["--machine", machine, "--timeout", "120"]);
        command.args(["-m", &mebibytes.to_string()]);
        command.args(arguments.map(|argument| format!("--qemu-arg={argument}")));
        command.arg("--").args(words).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let kernel = command.spawn().expect("the tool starts");
        let mut wire =
            Wire { socket, kernel: Some(kernel), monitor: None, inbox: VecDeque::new(), folder };
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
        let limit = Instant::now() + Duration::from_secs(20);
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
        let limit = Instant::now() + Duration::from_secs(20);
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

    /// Ends the kernel, and says how it ended.
    fn kill(&mut self) -> Ended {
        let mut kernel = self.kernel.take().expect("it runs");
        // It may be about to say why it stops.
        let limit = Instant::now() + Duration::from_secs(3);
        while kernel.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kernel.kill();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let _ = kernel.stdout.take().expect("piped").read_to_string(&mut stdout);
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

/// Reads up to the monitor's next prompt.
fn prompt(monitor: &mut UnixStream) {
    monitor.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let mut text = Vec::new();
    while !text.ends_with(b"(qemu) ") {
        let mut byte = [0];
        monitor.read_exact(&mut byte).expect("the monitor's prompt");
        text.extend(byte);
    }
}
