//! The disk driver beside a disk in memory, and one that lies.

use core::cell::{Cell, RefCell};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use super::*;
use crate::interrupt::Interrupt;
use crate::model::{ANY_LAYOUT, Chain, EVENTS, Host, Lie, Model, VERSION_1};

mod any_order;
mod wrong;

const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const SIZE_MAX: u64 = 1 << 1;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;

pub(super) const SECTORS: u64 = 64;
const BYTES: usize = SECTORS as usize * SECTOR_BYTES;

pub(super) type Ours<'a> = Disk<&'a Model, Host>;

pub(super) fn attention() -> &'static Attention {
    Box::leak(Box::new(Attention::new(Interrupt::NONE)))
}

fn config(size_max: u32, block: u32) -> Vec<u8> {
    let mut config = std::vec![0; 60];
    config[..8].copy_from_slice(&SECTORS.to_le_bytes());
    config[8..12].copy_from_slice(&size_max.to_le_bytes());
    config[20..24].copy_from_slice(&block.to_le_bytes());
    config[36..40].copy_from_slice(&7_u32.to_le_bytes());
    config[48..52].copy_from_slice(&9_u32.to_le_bytes());
    config
}

pub(super) fn model(features: u64) -> Model {
    let model = Model { features: features | VERSION_1, ..Model::new(KIND) };
    *model.config.borrow_mut() = config(0, 512);
    model
}

/// All ways in which a disk may be reached.
fn models() -> impl Iterator<Item = Model> {
    [0, EVENTS].into_iter().flat_map(|events| {
        let features = events | FLUSH | DISCARD | WRITE_ZEROES;
        let legacy = Model { is_legacy: true, features: features | ANY_LAYOUT, ..model(0) };
        let short = Model { most: 4, ..model(features) };
        // Before a header might share a descriptor with what follows it.
        let old = Model { is_legacy: true, features, ..model(0) };
        [model(features), legacy, old, short]
    })
}

/// Counts how often it is called.
#[derive(Default)]
struct Count(AtomicU32);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future, who waits for it, and what it gave.
pub(super) struct Task<'a, R> {
    future: Option<Pin<Box<dyn Future<Output = R> + 'a>>>,
    wakes: Arc<Count>,
    seen: u32,
    pub(super) output: Option<R>,
}

impl<'a, R> Task<'a, R> {
    pub(super) fn new(future: impl Future<Output = R> + 'a) -> Self {
        let wakes = Arc::new(Count(AtomicU32::new(1)));
        Task { future: Some(Box::pin(future)), wakes, seen: 0, output: None }
    }

    /// Polls it, if it was woken. Whether it was.
    fn turn(&mut self) -> bool {
        let wakes = self.wakes.0.load(Ordering::Relaxed);
        let Some(future) = &mut self.future else { return false };
        if wakes == self.seen {
            return false;
        }
        self.seen = wakes;
        let waker = Waker::from(Arc::clone(&self.wakes));
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.output = Some(output);
            self.future = None;
        }
        true
    }
}

/// A clock that is set by hand.
#[derive(Clone, Default)]
pub(super) struct Clock(Rc<Cell<u32>>, Rc<RefCell<Vec<Waker>>>);

impl Clock {
    fn nap(&self) -> impl Future<Output = ()> + use<> {
        let (clock, before) = (self.clone(), self.0.get());
        core::future::poll_fn(move |context| {
            if clock.0.get() != before {
                return Poll::Ready(());
            }
            clock.1.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
    }

    fn go(&self) {
        self.0.set(self.0.get() + 1);
        for waker in self.1.take() {
            waker.wake();
        }
    }
}

const LIMIT: Duration = Duration::from_secs(8);

pub(super) fn bring_up<'a>(
    model: &'a Model,
    attention: &'static Attention,
    clock: &Clock,
) -> (Ours<'a>, Task<'a, Result<(), Error>>) {
    let (disk, runner) =
        Disk::new(model, attention, Messages::default(), transport::limited()).expect("a disk");
    let clock = clock.clone();
    (disk, Task::new(runner.run(LIMIT, move |_| clock.nap())))
}

/// What the device does with a request: on a disk in memory.
fn serve(medium: &mut [u8], chain: &Chain) -> u32 {
    let header = chain.pieces[0];
    assert!(!header.is_written && header.len == 16);
    let sent = chain.read();
    let kind = u32::from_le_bytes(sent[..4].try_into().unwrap());
    assert_eq!(sent[4..8], [0; 4]);
    let sector = u64::from_le_bytes(sent[8..16].try_into().unwrap());
    let start = sector as usize * SECTOR_BYTES;
    let data = &sent[16..];
    let last = chain.pieces.last().unwrap();
    assert!(last.is_written && last.len == 1);
    let room =
        chain.pieces.iter().filter(|piece| piece.is_written).map(|piece| piece.len).sum::<u32>();
    let mut answer = match kind {
        0 => medium[start..start + room as usize - 1].to_vec(),
        1 => {
            medium[start..start + data.len()].copy_from_slice(data);
            Vec::new()
        }
        4 => {
            assert_eq!(chain.pieces.len(), 2);
            Vec::new()
        }
        8 => b"a disk of the model\0".to_vec(),
        11 | 13 => {
            assert_eq!(data.len(), 16);
            let sector = u64::from_le_bytes(data[..8].try_into().unwrap()) as usize;
            let count = u32::from_le_bytes(data[8..12].try_into().unwrap()) as usize;
            assert!(count <= if kind == 11 { 7 } else { 9 });
            medium[sector * SECTOR_BYTES..][..count * SECTOR_BYTES].fill(0);
            Vec::new()
        }
        _ => panic!("kind {kind}"),
    };
    answer.push(0);
    chain.write(&answer)
}

/// Lets everybody do what is to be done: tasks, the runner, and the device, which has `medium`.
pub(super) fn settle<R>(
    model: &Model,
    attention: &Attention,
    medium: &mut [u8],
    runner: &mut Task<Result<(), Error>>,
    tasks: &mut [Task<R>],
) {
    for _ in 0..10_000 {
        let mut is_busy = false;
        for task in &mut *tasks {
            is_busy |= task.turn();
        }
        is_busy |= runner.turn();
        if model.rings.borrow().is_empty() {
            if !is_busy {
                return;
            }
            continue;
        }
        let (is_rung, is_interrupted) = model.with(0, |ring| {
            // It looks when it is told to, and not before.
            if ring.bell.swap(0, Ordering::Relaxed) == 0 {
                return (false, false);
            }
            let mut is_interrupted = false;
            ring.take();
            while let Some(chain) = ring.taken.pop_front() {
                let len = serve(medium, &chain);
                is_interrupted |= ring.give(chain.head, len, Lie::None);
                ring.take();
            }
            (true, is_interrupted)
        });
        if is_interrupted {
            attention.on_queue();
        }
        if !is_busy && !is_rung {
            return;
        }
    }
    panic!("it does not come to rest");
}

fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + seed * 13 + at / 251) as u8).collect()
}

#[test]
fn what_is_written_is_read_for_longer_than_indices_last() {
    for model in models() {
        let attention = attention();
        let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
        let mut medium = std::vec![0; BYTES];
        for round in 0..3_150_usize {
            // As many at once as slots, fewer, and more.
            let count = [1, 1, 1, 2, 5, 1, 70][round % 7].min(SECTORS as usize - 1);
            let tasks: Vec<_> = (0..count)
                .map(|one| {
                    let disk = disk.clone();
                    Task::new(async move {
                        let bytes = pattern(round + one, SECTOR_BYTES);
                        let written = disk.write(one as u64, bytes).await.expect("written");
                        let read = disk.read(one as u64, std::vec![0; SECTOR_BYTES]).await;
                        assert!(read.expect("read") == written);
                    })
                })
                .collect();
            let mut tasks = tasks;
            settle(&model, attention, &mut medium, &mut runner, &mut tasks);
            assert!(tasks.iter().all(|task| task.output.is_some()), "round {round}");
        }
        assert!(disk.statistics().requests > 65_536);
        assert_eq!(disk.error(), None);
    }
}

#[test]
fn one_at_a_time_costs_one_notification_one_interrupt_and_no_turn_of_the_runner() {
    let model = model(EVENTS);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    let mut medium = std::vec![0; BYTES];
    let mut one = |runner: &mut Task<_>| {
        let mut task = [Task::new(disk.read(0, std::vec![0; 4096]))];
        settle(&model, attention, &mut medium, runner, &mut task);
        assert!(matches!(task[0].output, Some(Ok(_))));
        task[0].seen
    };
    one(&mut runner);
    let before =
        (disk.statistics().notifications, model.with(0, |ring| ring.interrupts), runner.seen);
    for _ in 0..1000 {
        // Woken at its beginning, and by the interrupt.
        assert_eq!(one(&mut runner), 2);
    }
    let after =
        (disk.statistics().notifications, model.with(0, |ring| ring.interrupts), runner.seen);
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (1000, 1000, 0));
}

#[test]
fn many_at_once_are_one_notification() {
    let model = model(EVENTS);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    let mut medium = std::vec![0; BYTES];
    let mut tasks: Vec<_> = (0..32)
        .map(|one| {
            let disk = &disk;
            Task::new(async move {
                for round in 0..100 {
                    let sector = (one + round) % (SECTORS - 8);
                    disk.read(sector, std::vec![0; 4096]).await.expect("read");
                }
            })
        })
        .collect();
    settle(&model, attention, &mut medium, &mut runner, &mut tasks);
    assert!(tasks.iter().all(|task| task.output.is_some()));
    assert_eq!(disk.statistics(), Statistics { requests: 3200, notifications: 100 });
}

#[test]
fn long_requests_are_split_and_wrong_ones_refused() {
    let model = model(SIZE_MAX | BLK_SIZE);
    *model.config.borrow_mut() = config(5000, 1024);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    assert_eq!(disk.properties().most_bytes, 4096);
    assert_eq!(disk.sectors(), SECTORS);
    let mut medium = pattern(1, BYTES);
    let mut done = |task| {
        let mut tasks = [task];
        settle(&model, attention, &mut medium, &mut runner, &mut tasks);
        tasks[0].output.take().expect("it has ended")
    };
    let read = |sector, len: usize| Task::new(disk.read(sector, std::vec![0; len]));
    let all = done(read(0, BYTES)).expect("read");
    assert!(all == pattern(1, BYTES));
    assert_eq!(disk.statistics().requests, 8);
    let mut failed = |sector, len| done(read(sector, len)).map(|_| ()).map_err(Error::from);
    assert_eq!(failed(0, 0), Err(Error::Uneven));
    assert_eq!(failed(0, 512), Err(Error::Uneven));
    assert_eq!(failed(1, 1024), Err(Error::Uneven));
    assert_eq!(failed(0, 1000), Err(Error::Uneven));
    assert_eq!(failed(64, 1024), Err(Error::OutOfRange));
    assert_eq!(failed(62, 2048), Err(Error::OutOfRange));
    assert_eq!(failed(u64::MAX - 1, 1024), Err(Error::OutOfRange));
    assert_eq!(failed(62, 1024), Ok(()));
    assert_eq!(disk.statistics().requests, 9);
}

#[test]
fn other_requests_do_what_they_say() {
    let model = model(FLUSH | DISCARD | WRITE_ZEROES);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    let mut medium = std::vec![1; BYTES];
    let mut task = [Task::new(async {
        disk.flush().await.expect("flushed");
        assert_eq!(disk.identity().await, Ok(*b"a disk of the model\0"));
        disk.discard(3, 20).await.expect("discarded");
        disk.write_zeroes(30, 20).await.expect("zeroed");
        assert_eq!(disk.discard(60, 5).await, Err(Error::OutOfRange));
        disk.flush().await.expect("flushed");
        let boxed: Box<[u8]> =
            disk.read(2, std::vec![9; 1024].into_boxed_slice()).await.expect("read");
        assert!(boxed[..512] == [1; 512] && boxed[512..] == [0; 512]);
        let page = PageBuffer::new(Host::zeroed(4096).expect("a page"));
        let page = disk.read(43, page).await.expect("read");
        assert!(page[..7 * 512].iter().all(|&byte| byte == 0) && page[7 * 512..] == [1; 512]);
    })];
    settle(&model, attention, &mut medium, &mut runner, &mut task);
    assert!(task[0].output.is_some());
    // 1 + 1 + 3 + 3 + 1 + 2.
    assert_eq!(disk.statistics().requests, 11);
}

#[test]
fn a_disk_that_does_not_offer_it_is_not_asked() {
    let model = model(RO);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    let mut task = [Task::new(async {
        assert!(disk.properties().is_read_only && !disk.properties().has_cache);
        assert_eq!(disk.flush().await, Ok(()));
        assert_eq!(disk.discard(0, 1).await, Err(Error::Unsupported));
        assert_eq!(disk.write_zeroes(0, 1).await, Err(Error::Unsupported));
        let failed = disk.write(0, std::vec![0; 512]).await.expect_err("read only");
        assert_eq!((failed.error, failed.buffer), (Error::ReadOnly, Some(std::vec![0; 512])));
    })];
    settle(&model, attention, &mut [], &mut runner, &mut task);
    assert!(task[0].output.is_some());
    assert_eq!(disk.statistics().requests, 0);
}
