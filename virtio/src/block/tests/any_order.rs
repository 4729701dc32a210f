//! Steps of all sides in any order, beside a plain array; and a device that answers anything.

use proptest::prelude::*;

use super::*;

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
