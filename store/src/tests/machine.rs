//! A disk that loses and tears what was not flushed, an executor, and a store between them.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

use crate::{Disk, DiskError, OpenError, Options, SECTOR_BYTES, Store};

/// Numbers that look random (xorshift64*).
#[derive(Clone)]
pub struct Random(Cell<u64>);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub fn below(&self, end: usize) -> usize {
        let x = self.0.get();
        let x = x ^ (x >> 12);
        let x = x ^ (x << 25);
        let x = x ^ (x >> 27);
        self.0.set(x);
        ((x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end as u64) as usize
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops before it is answered.
    Crash,
    Fail(DiskError),
}

pub struct Medium {
    /// What is durable.
    pub durable: RefCell<Vec<u8>>,
    /// What is read.
    pub current: RefCell<Vec<u8>>,
    /// Sectors that were written since, each time.
    cache: RefCell<Vec<(usize, [u8; SECTOR_BYTES])>>,
    /// Writes and flushes so far.
    pub changes: Cell<usize>,
    pub reads: Cell<usize>,
    pub flushes: Cell<usize>,
    pub written: Cell<u64>,
    /// At that write or flush.
    pub fault: Cell<Option<(usize, Fault)>>,
    /// At that read.
    pub bad_read: Cell<Option<usize>>,
    pub is_read_only: Cell<bool>,
    pub block_bytes: Cell<usize>,
    /// How many polls a request takes at most.
    pub latency: Cell<usize>,
    pub no_memory: Cell<bool>,
    random: Random,
}

/// A handle of it.
#[derive(Clone)]
pub struct Sim(pub Rc<Medium>);

impl Sim {
    pub fn of(bytes: Vec<u8>, seed: u64) -> Sim {
        Sim(Rc::new(Medium {
            current: RefCell::new(bytes.clone()),
            durable: RefCell::new(bytes),
            cache: RefCell::default(),
            changes: Cell::new(0),
            reads: Cell::new(0),
            flushes: Cell::new(0),
            written: Cell::new(0),
            fault: Cell::new(None),
            bad_read: Cell::new(None),
            is_read_only: Cell::new(false),
            block_bytes: Cell::new(SECTOR_BYTES),
            latency: Cell::new(1),
            no_memory: Cell::new(false),
            random: Random::new(seed),
        }))
    }

    pub fn new(bytes: usize) -> Sim {
        Sim::of(std::vec![0; bytes], 1)
    }

    /// The same bytes in a machine that was just switched on: of each sector that was not flushed, any of its contents.
    pub fn after_crash(&self, seed: u64) -> Sim {
        let random = Random::new(seed);
        let mut bytes = self.0.durable.borrow().clone();
        // All, none, or some of them.
        let kept = random.below(4);
        for (sector, content) in self.0.cache.borrow().iter() {
            if kept == 3 || kept != 0 && random.below(2) == 0 {
                bytes[sector * SECTOR_BYTES..][..SECTOR_BYTES].copy_from_slice(content);
            }
        }
        let next = Sim::of(bytes, seed);
        next.0.block_bytes.set(self.0.block_bytes.get());
        next.0.latency.set(self.0.latency.get());
        next
    }

    /// As after a kernel was killed whose disk lives on.
    pub fn again(&self) -> Sim {
        let next = Sim::of(self.0.current.borrow().clone(), 1);
        next.0.block_bytes.set(self.0.block_bytes.get());
        next
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.current.borrow().clone()
    }

    async fn wait(&self) {
        let mut left = self.0.random.below(self.0.latency.get());
        poll_fn(|context| {
            let is_over = left == 0;
            left = left.saturating_sub(1);
            context.waker().wake_by_ref();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Counts a write or a flush; whether it is done.
    async fn change(&self) -> Result<(), DiskError> {
        let number = self.0.changes.get();
        self.0.changes.set(number + 1);
        match self.0.fault.get() {
            Some((at, Fault::Crash)) if number >= at => core::future::pending().await,
            Some((at, Fault::Fail(error))) if number == at => Err(error),
            _ => Ok(()),
        }
    }
}

/// Bytes, of which requests see a part.
pub struct Part(Vec<u8>, usize);

impl core::ops::Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl core::ops::DerefMut for Part {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0[..self.1]
    }
}

impl Disk for Sim {
    type Buffer = Part;

    fn sectors(&self) -> u64 {
        (self.0.current.borrow().len() / SECTOR_BYTES) as u64
    }

    fn block_bytes(&self) -> usize {
        self.0.block_bytes.get()
    }

    fn is_read_only(&self) -> bool {
        self.0.is_read_only.get()
    }

    fn buffer(&self, bytes: usize) -> Option<Part> {
        (!self.0.no_memory.get()).then(|| Part(std::vec![0x5a; bytes], bytes))
    }

    fn resize(&self, buffer: &mut Part, bytes: usize) {
        assert!(bytes <= buffer.0.len(), "{bytes} of {}", buffer.0.len());
        buffer.1 = bytes;
    }

    async fn read(&self, sector: u64, mut buffer: Part) -> Result<Part, DiskError> {
        self.check(sector, &buffer);
        self.wait().await;
        let number = self.0.reads.get();
        self.0.reads.set(number + 1);
        if self.0.bad_read.get() == Some(number) {
            return Err(DiskError::Io);
        }
        let at = sector as usize * SECTOR_BYTES;
        let len = buffer.len();
        buffer.copy_from_slice(&self.0.current.borrow()[at..at + len]);
        Ok(buffer)
    }

    async fn write(&self, sector: u64, buffer: Part) -> Result<Part, DiskError> {
        self.check(sector, &buffer);
        assert!(!self.is_read_only(), "a disk that cannot be written to is written to");
        self.wait().await;
        let is_done = pin!(self.change());
        // What is not answered may have been written, or a part of it.
        for (at, content) in (sector as usize..).zip(buffer.chunks(SECTOR_BYTES)) {
            let content = content.try_into().expect("whole sectors");
            self.0.cache.borrow_mut().push((at, content));
            self.0.current.borrow_mut()[at * SECTOR_BYTES..][..SECTOR_BYTES]
                .copy_from_slice(&content);
        }
        self.0.written.set(self.0.written.get() + buffer.len() as u64);
        is_done.await.map(|()| buffer)
    }

    async fn flush(&self) -> Result<(), DiskError> {
        self.wait().await;
        self.change().await?;
        self.0.flushes.set(self.0.flushes.get() + 1);
        self.0.durable.borrow_mut().copy_from_slice(&self.0.current.borrow());
        self.0.cache.borrow_mut().clear();
        Ok(())
    }
}

impl Sim {
    fn check(&self, sector: u64, buffer: &Part) {
        let block = (self.block_bytes() / SECTOR_BYTES) as u64;
        let sectors = (buffer.len() / SECTOR_BYTES) as u64;
        assert!(
            sector.is_multiple_of(block) && sectors.is_multiple_of(block) && sectors != 0,
            "{sector}, {sectors}"
        );
        assert!(sector + sectors <= self.sectors(), "{sector}, {sectors}");
    }
}

pub type Ours = Store<Sim>;

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// No run takes so many rounds.
const ROUNDS: usize = 4_000_000;

/// Whether a task was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs all tasks, each when it was woken, until the first `count` of them have ended, or the disk has stopped answering;
/// whether they have.
pub fn run(sim: &Sim, count: usize, mut tasks: Vec<Task>) -> bool {
    let flags: Vec<_> = tasks.iter().map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let mut is_over = std::vec![false; tasks.len()];
    for _ in 0..ROUNDS {
        let mut is_idle = true;
        for ((task, is_over), flag) in tasks.iter_mut().zip(&mut is_over).zip(&flags) {
            if *is_over || !flag.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            is_idle = false;
            let waker = Waker::from(Arc::clone(flag));
            *is_over = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        }
        if is_over[..count].iter().all(|&it| it) {
            return true;
        }
        if let Some((at, Fault::Crash)) = sim.0.fault.get()
            && sim.0.changes.get() > at
        {
            return false;
        }
        assert!(!is_idle, "somebody waits, and nobody is woken");
    }
    panic!("it does not end");
}

/// The future's output; it must need no runner.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..ROUNDS {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("it does not end");
}

/// Opens the store, and does this with it, beside its runner.
pub fn with<R>(
    sim: &Sim,
    options: Options,
    work: impl AsyncFnOnce(Ours) -> R,
) -> Result<R, OpenError> {
    let (store, runner) = block_on(Store::open(sim.clone(), options))?;
    let output = RefCell::new(None);
    let client: Task = Box::pin(async {
        let done = work(store).await;
        *output.borrow_mut() = Some(done);
    });
    assert!(run(sim, 1, std::vec![client, Box::pin(runner.run())]), "the machine has stopped");
    Ok(output.into_inner().expect("it has ended"))
}

/// Segments as small as can be.
pub const SMALL: usize = 64 << 10;

pub fn small() -> Options {
    Options { segment_bytes: Some(SMALL), seed: 7, ..Options::default() }
}

/// The smallest disk, and `more` segments.
pub fn disk(more: usize) -> Sim {
    Sim::new((64 << 10) + (16 + more) * SMALL)
}

/// Whether tests may take their time.
pub fn long() -> bool {
    std::env::var_os("FREESTONE_LONG").is_some_and(|value| value == "1")
}
