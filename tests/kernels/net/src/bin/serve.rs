//! Serves over TCP what tests and measurements ask for: on port 80 a constant answer to each HTTP request, on 7 what was sent,
//! on 5001 nothing for any amount of bytes, on 5002 bytes without end, on 5003 random reads of the disk, if there is one, on
//! 5004 what was sent, by large buffers.
//!
//! Each line `stats` on port 9, or on the console, is answered by counters. `exit` there ends the kernel, and `eject SLOT` takes a
//! device out of QEMU's `pc`.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::Cell;
use core::time::Duration;

use embedded_io_async::{Read, Write};
use freestone::block::{self, Disk};
use freestone::net::{self, Net, Options, TcpStream};
use freestone::platform::x86_64::cpu::ticks;
use freestone::{BootInfo, Exit, print, println, task};

#[path = "../reads.rs"]
mod reads;

freestone::entry!(async main, audit: exit);
freestone::task_time_driver!();

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world\n";
const BULK: u16 = 65_535;

async fn main(boot: &'static BootInfo) -> Exit {
    let net = match net::start(boot) {
        Ok(net) => net,
        Err(error) => {
            println!("no network: {error}");
            return Exit::Failure;
        }
    };
    freestone::wants::tcp_port::<80>();
    let options = Options::default();
    let mut bulk = Options::default();
    (bulk.receive_buffer, bulk.send_buffer) = (BULK.into(), 4 * usize::from(BULK));
    let (end, ended) = task::sync::oneshot::channel();
    serve(net, 80, &options, http);
    serve(net, 7, &options, echo);
    serve(net, 5001, &bulk, discard);
    serve(net, 5002, &bulk, generate);
    serve(net, 5004, &bulk, echo_much);
    let disk = block::disks().next().and_then(|found| block::open(&found).ok());
    if let Some(disk) = disk.clone() {
        serve(net, 5003, &options, move |stream| reads::serve(stream, disk.clone()));
    }
    let end = Rc::new(Cell::new(Some(end)));
    task::spawn(control(net, end.clone()));
    task::spawn(console(net, end, disk));
    task::spawn(async move {
        net.wait_up().await;
        let (ticks, start) = (ticks() - boot.entry_ticks(), boot.boot_ticks());
        let (v4, v6) = (net.stack().config_v4(), net.stack().config_v6());
        let addresses = (v4.map(|v4| v4.address), v6.map(|v6| v6.address));
        println!("listening on {addresses:?} after {ticks} ticks, {start} to main");
    });
    let _ = ended.await;
    println!("{:?}", net.statistics());
    // For the last answer to leave.
    task::sleep(Duration::from_millis(50)).await;
    Exit::Success
}

/// Has `handler` serve each connection to `port`.
fn serve<F: Future<Output = ()> + 'static>(
    net: Net,
    port: u16,
    options: &Options,
    handler: impl Fn(TcpStream) -> F + 'static,
) {
    let listener = net.listen(port, options).expect("nobody else listens");
    task::spawn(async move {
        loop {
            let stream = listener.accept().await;
            // Without memory the connection is reset by dropping it.
            let _ = task::try_spawn(handler(stream));
        }
    });
}

/// Answers each empty line, which ends a request without a body, until one asks for the end.
async fn http(mut stream: TcpStream) {
    let (mut is_empty, mut is_last) = (true, false);
    while !is_last {
        let read = stream.read_with(|bytes| {
            let mut requests = 0;
            let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
            while let Some(line) = lines.next() {
                is_empty &= matches!(line, b"" | b"\r");
                is_last |= line.starts_with(b"Connection: close");
                // The last one goes on in what comes next.
                if lines.peek().is_some() {
                    requests += usize::from(is_empty);
                    is_empty = true;
                }
            }
            (bytes.len(), (bytes.len(), requests))
        });
        let Ok((1.., requests)) = read.await else { return };
        for _ in 0..requests {
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn echo_much(mut stream: TcpStream) {
    let mut bytes = vec![0; BULK.into()];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn discard(mut stream: TcpStream) {
    while let Ok(1..) = stream.read_with(|bytes| (bytes.len(), bytes.len())).await {}
}

async fn generate(mut stream: TcpStream) {
    while let Ok(1..) = stream.write_with(|room| (room.len(), room.len())).await {}
}

type End = Rc<Cell<Option<task::sync::oneshot::Sender<()>>>>;

async fn control(net: Net, end: End) {
    let listener = net.listen(9, &Options::default()).expect("nobody else listens");
    loop {
        let mut stream = listener.accept().await;
        let mut line = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut line).await {
            let answer = obey(net, &end, &line[..count]);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

/// The same for lines that are typed, when nobody comes over the network any more; and `read`, as on port 5003.
async fn console(net: Net, end: End, disk: Option<Disk>) {
    let Ok(input) = task::console_input() else { return };
    let mut line = Vec::new();
    while let Some(byte) = input.recv().await {
        line.push(byte);
        if byte == b'\n' {
            match disk.as_ref().filter(|_| line.starts_with(b"read ")) {
                Some(disk) => {
                    let text = core::str::from_utf8(&line).unwrap_or_default();
                    print!("{}", reads::answer(text, disk.clone()).await);
                }
                None => print!("{}", obey(net, &end, &line)),
            }
            line.clear();
        }
    }
}

/// Does what a line says. Returns the answer.
fn obey(net: Net, end: &End, line: &[u8]) -> String {
    let text = core::str::from_utf8(line).unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next().and_then(|number| number.parse().ok())) {
        (Some("stats"), _) => {
            let (ticks, halts, heap) = (ticks(), task::halts(), FREESTONE_HEAP.stats());
            let bytes = heap.allocated_bytes;
            format!("{ticks} ticks, {halts} halts, {bytes} bytes, {:?}\n", net.statistics())
        }
        (Some("exit"), _) => {
            if let Some(end) = end.take() {
                let _ = end.send(());
            }
            "bye\n".into()
        }
        (Some("eject"), Some(slot @ ..32)) => {
            eject(slot);
            "ejected\n".into()
        }
        _ => "stats, exit or eject SLOT\n".into(),
    }
}

/// QEMU's `pc`: writes to these ports of its hot-plug registers take the functions of a slot out at once
/// (docs/specs/acpi_pci_hotplug). Kernels with ACPI's interpreter do so when `device_del` asks for it.
fn eject(slot: u32) {
    const SELECT: u16 = 0xae10;
    const EJECT: u16 = 0xae08;
    for (port, value) in [(SELECT, 0), (EJECT, 1 << slot)] {
        // SAFETY: hot-plug registers, which touch no memory.
        unsafe {
            core::arch::asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags));
        }
    }
}
