//! A crash at any write: what was acknowledged is there, and what was not is there as a whole or not at all.

use core::cell::RefCell;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use proptest::prelude::*;

use super::machine::{Fault, Ours, Random, Sim, block_on, disk, run, small};
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
    key.resize(2 + usize::from(number) % 7 * 20, b'k');
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

/// Lives of a store, each with its clients' steps, ended at some write or flush.
fn lives(sim: Sim, lives: Vec<(Vec<Vec<Step>>, usize)>, seed: u64) {
    let model = Model::default();
    let mut sim = sim;
    let random = Random::new(seed);
    for (life, (clients, crash)) in lives.into_iter().enumerate() {
        sim.0.latency.set(1 + random.below(4));
        sim.0.fault.set(Some((crash, Fault::Crash)));
        let opened = RefCell::new(None);
        let opening: [core::pin::Pin<Box<dyn Future<Output = ()>>>; 1] = [Box::pin(async {
            *opened.borrow_mut() = Some(Store::open(sim.clone(), small()).await);
        })];
        if run(&sim, 1, opening.into()) {
            let (store, runner) = opened.take().expect("opened").expect("a store");
            let mut tasks: Vec<core::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
            if life != 0 {
                let (store, model) = (&store, &model);
                if !run(&sim, 1, std::vec![Box::pin(compare(store, model))]) {
                    panic!("reading waits for a write");
                }
            }
            let count = clients.len();
            for (number, steps) in clients.into_iter().enumerate() {
                let (store, model) = (store.clone(), Rc::clone(&model));
                tasks.push(Box::pin(client(store, number, steps, life as u8, model)));
            }
            tasks.push(Box::pin(runner.run()));
            run(&sim, count, tasks);
        }
        sim = sim.after_crash(seed.wrapping_add(life as u64));
    }
    let (store, _runner) = block_on(Store::open(sim.clone(), small())).expect("a store");
    block_on(compare(&store, &model));
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
    let is_long = std::env::var_os("FREESTONE_LONG").is_some_and(|value| value == "1");
    if is_long { 20_000 } else { 300 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_acknowledged_survives_any_number_of_crashes(
        clients in proptest::collection::vec((proptest::collection::vec(steps(), 1..5), 0..600_usize), 1..8),
        seed in any::<u64>(),
    ) {
        lives(disk(0), clients, seed);
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
    let end = {
        let sim = disk(0);
        lives(sim.clone(), std::vec![(clients.clone(), usize::MAX)], 1);
        sim.0.changes.get()
    };
    assert!(end > 400, "{end}");
    for crash in 0..end {
        lives(disk(0), std::vec![(clients.clone(), crash)], crash as u64);
    }
}
