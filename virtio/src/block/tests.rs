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

use proptest::prelude::*;

use super::*;
use crate::interrupt::Interrupt;
use crate::model::{ANY_LAYOUT, Chain, EVENTS, Host, Lie, Model, VERSION_1};

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

/// Takes the next request and answers it with that status.
fn answer(model: &Model, attention: &Attention, status: u8, lie: Lie) {
    let is_wanted = model.with(0, |ring| {
        ring.take();
        let chain = ring.taken.pop_front().expect("a request");
        let room: u32 =
            chain.pieces.iter().filter(|piece| piece.is_written).map(|piece| piece.len).sum();
        let mut bytes = std::vec![7; room as usize];
        bytes[room as usize - 1] = status;
        let len = chain.write(&bytes);
        ring.give(chain.head, len, lie)
    });
    if is_wanted {
        attention.on_queue();
    }
}

#[test]
fn errors_of_one_request_are_its_own() {
    for (status, error) in [(1, Error::Io), (2, Error::Unsupported)] {
        let model = model(0);
        let attention = attention();
        let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
        let mut one = Task::new(disk.read(0, std::vec![0; 512]));
        let mut other = Task::new(disk.read(0, std::vec![0; 512]));
        let _ = (one.turn(), other.turn(), runner.turn());
        answer(&model, attention, status, Lie::None);
        answer(&model, attention, 0, Lie::None);
        for _ in 0..4 {
            let _ = (runner.turn(), one.turn(), other.turn());
        }
        let failed = one.output.expect("ended").expect_err("failed");
        assert_eq!(failed.error, error);
        assert_eq!(failed.buffer.map(|buffer| buffer.len()), Some(512));
        assert!(other.output.expect("ended").expect("read") == [7; 512]);
        assert_eq!(disk.error(), None);
    }
}

/// Bytes that tell when they are freed.
struct Told(Vec<u8>, Rc<Cell<u32>>);

// SAFETY: a vector's.
unsafe impl Buffer for Told {
    fn bytes(&mut self) -> core::ptr::NonNull<[u8]> {
        self.0.bytes()
    }
}

// SAFETY: as for what it holds.
unsafe impl Buffer for Box<Told> {
    fn bytes(&mut self) -> core::ptr::NonNull<[u8]> {
        (**self).bytes()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
    }
}

#[test]
fn a_request_that_is_dropped_leaves_its_buffer_until_the_device_is_done() {
    for others in [0, 1, 3] {
        let model = model(EVENTS);
        let attention = attention();
        let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
        let freed = Rc::new(Cell::new(0));
        let boxed = || Box::new(Told(std::vec![0; 512], Rc::clone(&freed)));
        let mut tasks: Vec<_> = (0..=others).map(|_| Task::new(disk.read(0, boxed()))).collect();
        for task in &mut tasks {
            task.turn();
        }
        runner.turn();
        tasks.remove(0);
        assert_eq!(freed.get(), 0);
        runner.turn();
        answer(&model, attention, 0, Lie::None);
        runner.turn();
        assert_eq!(freed.get(), 1, "and it was seen that the device is done");
        for _ in 0..others {
            answer(&model, attention, 0, Lie::None);
        }
        for _ in 0..4 {
            runner.turn();
            tasks.iter_mut().for_each(|task| {
                task.turn();
            });
        }
        assert!(tasks.iter().all(|task| matches!(task.output, Some(Ok(_)))));
        assert_eq!(disk.0.flying(), 0);
    }
}

/// What is left of a device that has done wrong: all requests have ended, with their buffers only if it was reset. `wrong`
/// says how many of the dropped requests it has answered as it should.
fn check_end(
    model: &Model,
    error: Error,
    wrong: impl Fn(&Model, &'static Attention, &Clock) -> u32,
) {
    let (attention, clock) = (attention(), Clock::default());
    let (disk, mut runner) = bring_up(model, attention, &clock);
    // More than there are slots, with some that are dropped.
    let freed = Rc::new(Cell::new(0));
    let told = || Box::new(Told(std::vec![0; 512], Rc::clone(&freed)));
    let mut tasks: Vec<_> = (0..70).map(|one| Task::new(disk.read(one % 60, told()))).collect();
    for task in &mut tasks {
        task.turn();
    }
    runner.turn();
    tasks.drain(..5);
    let freed_by_drop = freed.get();
    let answered = wrong(model, attention, &clock);
    for _ in 0..20 {
        clock.go();
        runner.turn();
        tasks.iter_mut().for_each(|task| {
            task.turn();
        });
    }
    assert_eq!(runner.output, Some(Err(error)));
    assert_eq!(disk.error(), Some(error));
    let mut kept = 0;
    for task in &mut tasks {
        let ended = task.output.take().expect("all have ended");
        let Err(failed) = ended else { continue };
        assert_eq!(failed.error, error);
        kept += u32::from(failed.buffer.is_none());
    }
    if model.resets {
        assert_eq!(kept, 0);
        assert_eq!(model.status.get(), 0);
    } else {
        assert!(kept > 50, "{kept}");
    }
    let mut more = Task::new(disk.read(0, told()));
    more.turn();
    let ended = more.output.take().expect("at once");
    assert_eq!(ended.map(|_| ()).map_err(Error::from), Err(error));
    drop(more);
    drop(tasks);
    drop(runner);
    drop(disk);
    let lost = 71 - freed.get();
    assert_eq!(lost, if model.resets { 0 } else { kept + 5 - freed_by_drop - answered });
}

#[test]
fn a_device_that_lies_is_reset_and_used_no_more() {
    for resets in [true, false] {
        let lies = [Lie::Id(300), Lie::Id(1), Lie::Step(100), Lie::Step(u16::MAX), Lie::Twice];
        for lie in lies.into_iter().chain([Lie::Len(514), Lie::Len(u32::MAX)]) {
            let model = Model { resets, status: Cell::new(0), ..model(EVENTS) };
            check_end(&model, Error::Lying, |model, attention, _| {
                answer(model, attention, 0, lie);
                u32::from(lie == Lie::Twice)
            });
        }
        for status in [3, 0xfe, 0xff] {
            let model = Model { resets, status: Cell::new(0), ..model(EVENTS) };
            check_end(&model, Error::Lying, |model, attention, _| {
                answer(model, attention, status, Lie::None);
                0
            });
        }
        let model = Model { resets, status: Cell::new(0), ..model(EVENTS) };
        check_end(&model, Error::Lying, |model, _, _| {
            model.status.set(model.status.get() | 64);
            0
        });
    }
}

#[test]
fn a_device_that_does_not_answer_is_given_up() {
    for resets in [true, false] {
        let model = Model { resets, status: Cell::new(0), ..model(EVENTS) };
        check_end(&model, Error::TimedOut, |_, _, _| 0);
    }
}

#[test]
fn a_device_that_is_gone_is_seen() {
    let model = Model { resets: false, status: Cell::new(0), ..model(EVENTS) };
    check_end(&model, Error::Unplugged, |model, _, _| {
        model.status.set(0xff);
        0
    });
    let model = Model { resets: false, status: Cell::new(0), ..self::model(EVENTS) };
    check_end(&model, Error::Unplugged, |model, attention, _| {
        model.status.set(0xff);
        attention.on_config();
        0
    });
}

#[test]
fn an_answer_in_time_is_no_error() {
    let model = model(EVENTS);
    let (attention, clock) = (attention(), Clock::default());
    let (disk, mut runner) = bring_up(&model, attention, &clock);
    for _ in 0..5 {
        let mut task = Task::new(disk.read(0, std::vec![0; 512]));
        let _ = (task.turn(), runner.turn());
        for _ in 0..8 {
            clock.go();
            runner.turn();
        }
        assert_eq!(disk.error(), None);
        answer(&model, attention, 0, Lie::None);
        task.turn();
        assert!(matches!(task.output, Some(Ok(_))));
        // And with nothing to do it does not nap.
        clock.go();
        runner.turn();
        assert!(clock.1.borrow().is_empty());
    }
}

#[test]
fn the_runner_ends_with_the_last_handle_and_without_it_requests_do() {
    let model = model(0);
    let (disk, mut runner) = bring_up(&model, attention(), &Clock::default());
    runner.turn();
    let other = disk.clone();
    drop(disk);
    runner.turn();
    assert_eq!(runner.output, None);
    drop(other);
    runner.turn();
    assert_eq!(runner.output, Some(Ok(())));
    assert_eq!(model.status.get(), 0, "reset");

    let (disk, runner) = bring_up(&model, attention(), &Clock::default());
    let mut task = Task::new(disk.read(0, std::vec![0; 512]));
    task.turn();
    drop(runner);
    task.turn();
    assert_eq!(task.output.expect("ended").map_err(Error::from), Err(Error::Stopped));
}

#[test]
fn the_capacity_follows_the_configuration() {
    let model = model(0);
    let attention = attention();
    let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
    runner.turn();
    model.config.borrow_mut()[..8].copy_from_slice(&5_u64.to_le_bytes());
    assert_eq!(disk.sectors(), SECTORS, "nobody said so");
    attention.on_config();
    assert_eq!(disk.sectors(), 5);
    assert!(runner.turn());
    let mut task = Task::new(disk.read(5, std::vec![0; 512]));
    task.turn();
    assert_eq!(task.output.expect("ended").map_err(Error::from), Err(Error::OutOfRange));
    model.config.borrow_mut()[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    attention.on_config();
    let _ = (disk.sectors(), runner.turn());
    assert_eq!(disk.error(), Some(Error::Lying));
}

#[test]
fn devices_that_cannot_be_used_are_refused() {
    use transport::Error;
    let failed = |model: Model| {
        Ours::new(&model, attention(), Messages::default(), transport::limited()).err()
    };
    let with = |features, config: Vec<u8>| {
        let model = model(features);
        *model.config.borrow_mut() = config;
        model
    };
    assert_eq!(failed(Model { kind: 1, ..model(0) }), Some(Error::OtherKind(1)));
    assert_eq!(failed(Model { features: 0, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { takes_queues: false, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { most: 2, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { resets: false, ..model(0) }), Some(Error::Silent));
    assert_eq!(failed(Model { is_restless: true, ..model(0) }), Some(Error::Lying));
    for block in [0, 1, 256, 511, 513, 1 << 17, u32::MAX] {
        assert_eq!(failed(with(BLK_SIZE, config(0, block))), Some(Error::Lying), "{block}");
    }
    for most in [0, 511] {
        assert_eq!(failed(with(SIZE_MAX, config(most, 0))), Some(Error::Refused), "{most}");
    }
    let mut large = config(0, 0);
    large[..8].fill(0xff);
    assert_eq!(failed(with(0, large)), Some(Error::Lying));
}

#[test]
fn memory_that_the_device_does_not_see_is_refused() {
    struct Blind;
    // SAFETY: there is no memory.
    unsafe impl Memory for Blind {
        type Pages = crate::model::HostPages;

        fn zeroed(bytes: usize) -> Option<Self::Pages> {
            Host::zeroed(bytes)
        }

        fn address(_: core::ptr::NonNull<[u8]>) -> Option<u64> {
            None
        }
    }
    let model = model(FLUSH);
    let (disk, _runner) =
        Disk::<_, Blind>::new(&model, attention(), Messages::default(), transport::limited())
            .expect("a disk");
    let mut task = Task::new(disk.read(0, std::vec![0; 512]));
    task.turn();
    assert_eq!(task.output.expect("ended").map_err(Error::from), Err(Error::Scattered));
}

/// One step of what all sides do.
#[derive(Clone, Debug)]
enum Step {
    Read(u8, u8),
    Write(u8, u8, u8),
    Flush,
    /// The device answers one of those that it has.
    Answer(u8),
    /// A task has its turn, or the runner.
    Turn(u8),
    Drop(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let byte = || any::<u8>();
    prop_oneof![
        2 => (byte(), byte()).prop_map(|(at, len)| Step::Read(at, len)),
        2 => (byte(), byte(), byte()).prop_map(|(at, len, value)| Step::Write(at, len, value)),
        1 => Just(Step::Flush),
        6 => byte().prop_map(Step::Answer),
        8 => byte().prop_map(Step::Turn),
        1 => byte().prop_map(Step::Drop),
    ]
}

proptest! {
    /// Reads, writes and flushes, answered in any order: what a read that has ended gives is what the medium had when it
    /// was done, and at the end the medium is what a plain array is to which the same was done.
    #[test]
    fn any_order_of_answers(steps in proptest::collection::vec(step(), 0..300), events: bool, short: bool) {
        let features = FLUSH | if events { EVENTS } else { 0 };
        let model = Model { most: if short { 8 } else { 256 }, ..model(features) };
        let attention = attention();
        let (disk, mut runner) = bring_up(&model, attention, &Clock::default());
        let mut medium = std::vec![0; BYTES];
        let mut naive = std::vec![0; BYTES];
        // What each sector's read is to give, by the descriptor that was answered last.
        let mut tasks = Vec::new();
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let range = |at: u8, len: u8| {
            let len = u64::from(len % 3) + 1;
            (u64::from(at) % (SECTORS - len), len as usize * SECTOR_BYTES)
        };
        let answer = |which: u8, medium: &mut Vec<u8>, naive: &mut Vec<u8>, seen: &mut Vec<Vec<u8>>| {
            let is_wanted = model.with(0, |ring| {
                ring.take();
                if ring.taken.is_empty() {
                    return false;
                }
                let which = usize::from(which) % ring.taken.len();
                let chain = ring.taken.remove(which).expect("it is there");
                let sent = chain.read();
                let start = sent[8] as usize * SECTOR_BYTES;
                match sent[0] {
                    0 => seen.push(naive[start..start + chain.pieces[1].len as usize].to_vec()),
                    1 => naive[start..start + sent.len() - 16].copy_from_slice(&sent[16..]),
                    _ => {}
                }
                let len = serve(medium, &chain);
                ring.give(chain.head, len, Lie::None)
            });
            if is_wanted {
                attention.on_queue();
            }
        };
        for step in steps {
            match step {
                Step::Read(at, len) => {
                    let (sector, len) = range(at, len);
                    tasks.push(Task::new(disk.read(sector, std::vec![0; len])));
                }
                Step::Write(at, len, value) => {
                    let (sector, len) = range(at, len);
                    tasks.push(Task::new(disk.write(sector, std::vec![value; len])));
                }
                Step::Flush => {
                    let flush = disk.flush();
                    tasks.push(Task::new(async { flush.await.map(|()| Vec::new()).map_err(|error| Failed { error, buffer: None }) }));
                }
                Step::Answer(which) => answer(which, &mut medium, &mut naive, &mut seen),
                Step::Turn(which) => {
                    let which = usize::from(which) % (tasks.len() + 1);
                    match tasks.get_mut(which) {
                        Some(task) => task.turn(),
                        None => runner.turn(),
                    };
                }
                Step::Drop(which) if !tasks.is_empty() => {
                    tasks.swap_remove(usize::from(which) % tasks.len());
                }
                Step::Drop(_) => {}
            }
        }
        for _ in 0..2000 {
            runner.turn();
            for task in &mut tasks {
                task.turn();
            }
            answer(0, &mut medium, &mut naive, &mut seen);
        }
        for task in tasks {
            let bytes = task.output.expect("all end").expect("well");
            let is_one_value = bytes.windows(2).all(|two| two[0] == two[1]);
            // Written, or as a read has seen it.
            prop_assert!(is_one_value || seen.contains(&bytes));
        }
        prop_assert_eq!(disk.0.flying(), 0);
        prop_assert!(medium == naive);
    }

    /// Whatever the device does: requests end, or wait; none ends twice, and nothing is freed under the device.
    #[test]
    fn anything_from_the_device(
        steps in proptest::collection::vec((0..9_u8, any::<u32>(), any::<u8>()), 0..150), events: bool, resets: bool,
    ) {
        let features = FLUSH | if events { EVENTS } else { 0 };
        let model = Model { resets, status: Cell::new(0), ..model(features) };
        let (attention, clock) = (attention(), Clock::default());
        let (disk, mut runner) = bring_up(&model, attention, &clock);
        let mut tasks = Vec::new();
        for (step, word, byte) in steps {
            let with = |lie| {
                if !model.rings.borrow().is_empty() && model.with(0, |ring| {
                    ring.answer(|chain| chain.write(&[byte % 3; 513]), lie)
                }) {
                    attention.on_queue();
                }
            };
            match step {
                0 => with(Lie::None),
                1 => with(Lie::Len(word % 600)),
                2 if byte == 0 => with(Lie::Id(word % 300)),
                3 if byte == 0 => with(Lie::Step(word as u16)),
                4 => tasks.push(Task::new(disk.read(u64::from(byte), std::vec![0; 512]))),
                5 if !tasks.is_empty() => { tasks.swap_remove(word as usize % tasks.len()); }
                6 => {
                    model.config.borrow_mut()[0] = byte;
                    attention.on_config();
                }
                7 => clock.go(),
                _ => {
                    runner.turn();
                    for task in &mut tasks {
                        task.turn();
                    }
                }
            }
        }
        for _ in 0..40 {
            clock.go();
            runner.turn();
            for task in &mut tasks {
                task.turn();
            }
        }
        prop_assert!(tasks.iter().all(|task| task.output.is_some()), "the limit ends all");
    }
}
