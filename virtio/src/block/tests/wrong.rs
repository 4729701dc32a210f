//! What ends badly: requests that fail or are dropped, devices that lie, are late, are gone or cannot be used.

use super::*;

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
