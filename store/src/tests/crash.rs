//! A crash at any write: what was acknowledged is there, and what was not is there as a whole or not at all.

use core::cell::RefCell;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use proptest::prelude::*;

use super::machine::{Fault, Ours, Random, Sim, block_on, disk, long, run, small};
use crate::{Error, State, Store};

/// What a client does to one of its keys: puts a value of that length, or deletes.
type Step = (u8, Option<u16>);

/// What is known of a key.
#[derive(Clone, Debug, Default)]
struct Known {
    acknowledged: Option<Vec<u8>>,
    /// What has begun and not ended.
    open: Option<Option<Vec<u8>>>,
}

type Model = Rc<RefCell<BTreeMap<Vec<u8>, Known>>>;

fn key(client: usize, number: u8) -> Vec<u8> {
    let mut key = std::vec![b'0' + client as u8, number];
    // Some are long.
    key.resize(2 + usize::from(number) % 7 * 80, b'k');
    key
}

/// One task, whose keys are its own.
async fn client(store: Ours, client: usize, steps: Vec<Step>, life: u8, model: Model) {
    for (at, (number, len)) in steps.into_iter().enumerate() {
        let key = key(client, number);
        let value = len.map(|len| {
            let mut value = std::vec![at as u8 ^ life; usize::from(len)];
            // Tells it from all others.
            let tag = [client as u8, at as u8, life];
            value.iter_mut().zip(tag).for_each(|(byte, tag)| *byte = tag);
            value
        });
        let set = |known: Known| model.borrow_mut().insert(key.clone(), known);
        let before = model.borrow().get(&key).cloned().unwrap_or_default().acknowledged;
        set(Known { acknowledged: before.clone(), open: Some(value.clone()) });
        let done = match &value {
            Some(value) => store.put(&key, value).await,
            None => store.delete(&key).await.map(|was_there| {
                assert_eq!(was_there, before.is_some());
            }),
        };
        match done {
            Ok(()) => set(Known { acknowledged: value, open: None }),
            Err(Error::Full) => set(Known { acknowledged: before, open: None }),
            Err(error) => panic!("{error}"),
        };
        let now = model.borrow()[&key].acknowledged.clone();
        assert_eq!(store.get(&key).await, Ok(now));
    }
}

/// Asserts that the store has what the model allows, and takes that over.
async fn compare(store: &Ours, model: &Model) {
    assert_eq!(store.state(), State::ReadWrite);
    let keys: Vec<_> = model.borrow().keys().cloned().collect();
    let mut there = Vec::new();
    for key in keys {
        let got = store.get(&key).await.expect("it can be read");
        let known = model.borrow()[&key].clone();
        let is_allowed = got == known.acknowledged || known.open.is_some_and(|open| open == got);
        assert!(is_allowed, "{key:?}: {got:?}, not {:?}", known.acknowledged);
        if got.is_some() {
            there.push(key.clone());
        }
        model.borrow_mut().insert(key, Known { acknowledged: got, open: None });
    }
    assert_eq!(store.list(b"", None, usize::MAX), Ok(there));
}

type Task<'a> = core::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A store's disk, and what is known of it.
#[derive(Clone)]
struct World {
    sim: Sim,
    model: Model,
    life: u8,
}

impl World {
    fn new(sim: Sim) -> World {
        World { sim, model: Model::default(), life: 0 }
    }

    /// With a disk and a model of its own.
    fn copy(&self) -> World {
        let model = Rc::new(RefCell::new(self.model.borrow().clone()));
        World { sim: self.sim.again(), model, life: self.life }
    }

    /// A life of the store with these steps of its clients, ended at that write or flush, or when all are done.
    fn live(&mut self, clients: &[Vec<Step>], crash: usize, seed: u64) {
        let (sim, model) = (self.sim.clone(), &self.model);
        self.life = self.life.wrapping_add(1);
        sim.0.latency.set(1 + Random::new(seed).below(4));
        sim.0.fault.set(Some((crash, Fault::Crash)));
        let opened = RefCell::new(None);
        let opening: Task = Box::pin(async {
            *opened.borrow_mut() = Some(Store::open(sim.clone(), small()).await);
        });
        if run(&sim, 1, std::vec![opening]) {
            let (store, runner) = opened.take().expect("opened").expect("a store");
            let is_there = run(&sim, 1, std::vec![Box::pin(compare(&store, model))]);
            assert!(is_there, "reading waits for a write");
            let steps = clients.iter().enumerate();
            let mut tasks: Vec<Task> = steps
                .map(|(number, steps)| -> Task {
                    let (store, steps, model) = (store.clone(), steps.clone(), Rc::clone(model));
                    Box::pin(client(store, number, steps, self.life, model))
                })
                .collect();
            tasks.push(Box::pin(runner.run()));
            run(&sim, clients.len(), tasks);
        }
    }

    /// The machine is switched off and on.
    fn crash(&mut self, seed: u64) {
        self.sim = self.sim.after_crash(seed);
    }

    fn check(&self) {
        let (store, _runner) = block_on(Store::open(self.sim.clone(), small())).expect("a store");
        block_on(compare(&store, &self.model));
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![
        1 => Just(None),
        3 => (0..300_u16).prop_map(Some),
        2 => (0..4096_u16).prop_map(Some),
    ];
    proptest::collection::vec((0..12_u8, len), 0..150)
}

fn cases() -> u32 {
    if long() { 5000 } else { 50 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_acknowledged_survives_any_number_of_crashes(
        clients in proptest::collection::vec((proptest::collection::vec(steps(), 1..5), 0..600_usize), 1..8),
        seed in any::<u32>().prop_map(u64::from),
    ) {
        let mut world = World::new(disk(0));
        for (life, (clients, crash)) in (seed..).zip(clients) {
            world.live(&clients, crash, life);
            world.crash(life);
        }
        world.check();
    }
}

/// Each write and each flush of one long run, in which records are moved and the index is saved.
#[test]
fn a_crash_at_every_write_of_a_run_loses_nothing() {
    let random = Random::new(3);
    let steps = || -> Vec<Step> {
        let step = |_| {
            let number = random.below(12) as u8;
            (number, (random.below(6) != 0).then(|| random.below(4096) as u16))
        };
        (0..220).map(step).collect()
    };
    let clients: Vec<_> = (0..3).map(|_| steps()).collect();
    at_every_write(&World::new(disk(0)), &clients, 400);
}

/// From here on these steps, with a crash at each write and flush of them, or at every seventh; at least so many there must
/// be.
fn at_every_write(start: &World, clients: &[Vec<Step>], least: usize) {
    let mut whole = start.copy();
    whole.live(clients, usize::MAX, 1);
    let end = whole.sim.0.changes.get();
    assert!(end > least, "{end}");
    for crash in (0..end).step_by(if long() { 1 } else { 7 }) {
        let mut world = start.copy();
        world.live(clients, crash, crash as u64);
        world.crash(crash as u64);
        world.check();
        // And again, soon after.
        world.live(clients, crash % 7, crash as u64 + 1);
        world.crash(crash as u64 + 1);
        world.check();
    }
}

/// The index is many batches long, in several segments, and changes while it is saved.
#[test]
fn a_crash_while_a_long_index_is_saved_loses_nothing() {
    let mut world = World::new(disk(24));
    let all: Vec<_> = (0..3).map(|_| (0..250).map(|number| (number, Some(40))).collect()).collect();
    world.live(&all, usize::MAX, 1);
    let random = Random::new(5);
    let step =
        |_| (random.below(250) as u8, (random.below(5) != 0).then(|| random.below(4096) as u16));
    let clients: Vec<Vec<Step>> = (0..3).map(|_| (0..100).map(step).collect()).collect();
    at_every_write(&world, &clients, 200);
}
