//! A machine and a disk that are none, and requests as text.

#[path = "../../../../task/src/sync/tests/sections.rs"]
mod sections;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use embassy_futures::block_on;
use embassy_futures::select::{Either, select};
use embedded_io_async::{ErrorType, Read, Write};
use example_http::{Shared, serve};
use example_service::{Heap, Machine, Metric, Service, Span, Task};
use freestone_store::{Disk, DiskError, Options, SECTOR_BYTES, Store};

pub struct Fake {
    pub log: String,
}

impl Machine for Fake {
    fn uptime(&self) -> Duration {
        Duration::from_secs(3725)
    }
    fn time_of_day(&self) -> Option<Duration> {
        Some(Duration::from_secs(784_111_777))
    }
    fn sleep(&self, _: Duration) -> impl Future<Output = ()> {
        pending()
    }
    fn about(&self) -> Vec<(&'static str, String)> {
        vec![("hypervisor", "none & \"nothing\"".into())]
    }
    fn boot(&self) -> Vec<Span> {
        let span = |name, millis| Span { name, end: Duration::from_millis(millis) };
        vec![span("to main", 1), span("store", 1), span("address", 21)]
    }
    fn heap(&self) -> Heap {
        Heap { capacity: 4 << 20, peak: 1 << 20, used: vec![1 << 10, 1 << 20, 1 << 19] }
    }
    fn heap_map(&self) -> String {
        "<svg/>".into()
    }
    fn tasks(&self) -> Vec<Task> {
        vec![Task { name: "<a>", polls: 12, is_running: true }]
    }
    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric { name: "heap_peak_bytes", help: "The most.", value: 1 << 20 },
            Metric { name: "network_resets_total", help: "Resets.", value: u64::MAX },
        ]
    }
    fn log_tail(&self) -> String {
        self.log.clone()
    }
}

/// A disk in memory.
#[derive(Clone)]
pub struct Ram {
    pub bytes: Rc<RefCell<Vec<u8>>>,
    pub is_read_only: bool,
}

impl Ram {
    pub fn new(bytes: usize) -> Ram {
        Ram { bytes: Rc::new(RefCell::new(vec![0; bytes])), is_read_only: false }
    }
}

impl Disk for Ram {
    type Buffer = Vec<u8>;

    fn sectors(&self) -> u64 {
        (self.bytes.borrow().len() / SECTOR_BYTES) as u64
    }
    fn block_bytes(&self) -> usize {
        SECTOR_BYTES
    }
    fn is_read_only(&self) -> bool {
        self.is_read_only
    }
    fn buffer(&self, bytes: usize) -> Option<Vec<u8>> {
        Some(vec![0; bytes])
    }
    fn resize(&self, buffer: &mut Vec<u8>, bytes: usize) {
        buffer.resize(bytes, 0);
    }
    async fn read(&self, sector: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>, DiskError> {
        let start = sector as usize * SECTOR_BYTES;
        let length = buffer.len();
        buffer.copy_from_slice(&self.bytes.borrow()[start..start + length]);
        Ok(buffer)
    }
    async fn write(&self, sector: u64, buffer: Vec<u8>) -> Result<Vec<u8>, DiskError> {
        if self.is_read_only {
            return Err(DiskError::ReadOnly);
        }
        let start = sector as usize * SECTOR_BYTES;
        self.bytes.borrow_mut()[start..start + buffer.len()].copy_from_slice(&buffer);
        Ok(buffer)
    }
    fn flush(&self) -> impl Future<Output = Result<(), DiskError>> {
        ready(Ok(()))
    }
}

/// Runs `test` with a service on this disk, or without a store.
pub fn with<F: AsyncFnOnce(&Service<Fake, Ram>)>(disk: Option<Ram>, test: F) {
    let machine = Fake { log: "first line\n<script>alert(1)</script>\x07\n".into() };
    block_on(async {
        let Some(disk) = disk else {
            let store = Err("no <disk>".into());
            return test(&Service { machine, store, shared: Shared::new(8, 1 << 20) }).await;
        };
        let options = Options { segment_bytes: Some(64 << 10), seed: 7, ..Options::default() };
        let (store, runner) = Store::open(disk, options).await.expect("a good disk");
        let service = Service { machine, store: Ok(store), shared: Shared::new(8, 1 << 20) };
        match select(test(&service), runner.run()).await {
            Either::First(()) => {}
            Either::Second(_) => panic!("the store has ended"),
        }
    });
}

/// A client that sends one text, and keeps what it gets.
pub struct Client<'a> {
    pub to_send: &'a [u8],
    pub got: Rc<RefCell<Vec<u8>>>,
    /// Whether it stays when it has sent all.
    pub stays: bool,
}

impl<'a> Client<'a> {
    pub fn new(to_send: &'a [u8]) -> Client<'a> {
        Client { to_send, got: Rc::default(), stays: false }
    }
}

impl ErrorType for Client<'_> {
    type Error = Infallible;
}

impl Read for Client<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if self.to_send.is_empty() && self.stays {
            return pending().await;
        }
        let count = buffer.len().min(self.to_send.len());
        buffer[..count].copy_from_slice(&self.to_send[..count]);
        self.to_send = &self.to_send[count..];
        Ok(count)
    }
}

impl Write for Client<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.got.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The whole answer to a request.
pub async fn whole(service: &Service<Fake, Ram>, line: &str, body: &str) -> String {
    let text =
        format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let client = Client::new(text.as_bytes());
    let got = client.got.clone();
    serve(service, client).await;
    let got = got.borrow();
    String::from_utf8(got.clone()).expect("UTF-8")
}

/// The code and the body of the answer.
pub async fn ask(service: &Service<Fake, Ram>, line: &str, body: &str) -> (u16, String) {
    let whole = whole(service, line, body).await;
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
    (head["HTTP/1.1 ".len()..][..3].parse().expect("a code"), body.into())
}
