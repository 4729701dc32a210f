//! What a store does when nothing goes wrong.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::vec::Vec;

use super::machine::{Random, Sim, block_on, disk, run, small, with};
use crate::{Change, Error, KEY_BYTES, State, Store, WatchError};

#[test]
fn what_is_put_is_there_and_after_opening_again_too() {
    let sim = disk(0);
    let done = with(&sim, small(), async |store| {
        assert_eq!(store.state(), State::ReadWrite);
        assert_eq!(store.get(b"a").await, Ok(None));
        store.put(b"a", b"1").await.unwrap();
        store.put(b"b", b"").await.unwrap();
        store.put(b"a", b"22").await.unwrap();
        assert_eq!(store.get(b"a").await, Ok(Some(b"22".to_vec())));
        assert_eq!(store.get(b"b").await, Ok(Some(Vec::new())));
        assert_eq!(store.delete(b"b").await, Ok(true));
        assert_eq!(store.delete(b"b").await, Ok(false));
        assert_eq!(store.get(b"b").await, Ok(None));
        let stats = store.stats();
        assert_eq!((stats.keys, stats.puts, stats.commits, stats.flushes), (1, 4, 4, 4));
    });
    done.unwrap();
    let done = with(&sim.again(), small(), async |store| {
        assert_eq!(store.get(b"a").await, Ok(Some(b"22".to_vec())));
        assert_eq!(store.get(b"b").await, Ok(None));
        assert_eq!(store.stats().recovery.records, 4);
        assert!(!store.stats().recovery.was_torn);
    });
    done.unwrap();
}

#[test]
fn lengths_are_limited_and_the_longest_are_taken() {
    let sim = disk(0);
    let done = with(&sim, small(), async |store| {
        let most = store.value_bytes();
        let (key, value) = ([7; KEY_BYTES], Vec::from_iter((0..most).map(|at| at as u8)));
        assert_eq!(store.put(b"", b"").await, Err(Error::KeyLength));
        assert_eq!(store.put(&[7; KEY_BYTES + 1], b"").await, Err(Error::KeyLength));
        assert_eq!(store.get(&[7; KEY_BYTES + 1]).await, Err(Error::KeyLength));
        assert_eq!(store.delete(b"").await, Err(Error::KeyLength));
        let longer = std::vec![0; most + 1];
        assert_eq!(store.put(b"a", &longer).await, Err(Error::ValueLength { most }));
        store.put(&key, &value).await.unwrap();
        assert_eq!(store.get(&key).await, Ok(Some(value)));
    });
    done.unwrap();
}

#[test]
fn keys_are_listed_in_their_order_from_anywhere_on() {
    let done = with(&disk(0), small(), async |store| {
        for key in ["b/2", "a", "b", "b/1", "c", "b/3"] {
            store.put(key.as_bytes(), b"x").await.unwrap();
        }
        let list = |prefix: &str, after: Option<&str>, limit| {
            let listed = store.list(prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
            listed
                .into_iter()
                .map(|it| std::string::String::from_utf8(it).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(list("", None, 9), ["a", "b", "b/1", "b/2", "b/3", "c"]);
        assert_eq!(list("b/", None, 2), ["b/1", "b/2"]);
        assert_eq!(list("b/", Some("b/1"), 9), ["b/2", "b/3"]);
        assert_eq!(list("b/", Some("b/15"), 1), ["b/2"]);
        assert_eq!(list("b/", Some("a"), 9), ["b/1", "b/2", "b/3"]);
        assert_eq!(list("b/", Some("c"), 9), [""; 0]);
        assert_eq!(list("d", None, 9), [""; 0]);
        assert_eq!(list("b", None, 0), [""; 0]);
    });
    done.unwrap();
}

#[test]
fn puts_of_many_tasks_share_a_flush() {
    let sim = disk(0);
    let (store, runner) = block_on(Store::open(sim.clone(), small())).unwrap();
    let opened = sim.0.flushes.get();
    let (ours, started) = (&store, store.stats().flushes);
    let clients = (0..32_u8).map(|client| -> core::pin::Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            for round in 0..10_u8 {
                ours.put(&[client], &[round]).await.unwrap();
            }
        })
    });
    let mut tasks: Vec<_> = clients.collect();
    tasks.push(Box::pin(runner.run()));
    assert!(run(&sim, 32, tasks));
    let stats = store.stats();
    assert_eq!((stats.keys, stats.puts), (32, 320));
    assert_eq!(stats.flushes - started, (sim.0.flushes.get() - opened) as u64);
    assert!(stats.commits <= 12, "{stats:?}");
}

/// More than a batch takes; and some of them give up, wherever they are.
#[test]
fn who_waits_for_room_has_it_in_turn_though_others_give_up() {
    let sim = disk(4);
    sim.0.latency.set(3);
    let (store, runner) = block_on(Store::open(sim.clone(), small())).unwrap();
    let ours = &store;
    let clients = (0..1500_u16).map(|client| -> core::pin::Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let key = client.to_be_bytes();
            let mut put = core::pin::pin!(ours.put(&key, b"value"));
            let mut polls = 0;
            let patience = if client % 3 == 0 { usize::from(client % 5) } else { usize::MAX };
            core::future::poll_fn(|context| {
                polls += 1;
                if polls > patience {
                    core::task::Poll::Ready(Ok(()))
                } else {
                    put.as_mut().poll(context)
                }
            })
            .await
            .unwrap();
            if client % 3 == 1 {
                assert_eq!(ours.delete(&key).await, Ok(true));
            }
        })
    });
    let mut tasks: Vec<_> = clients.collect();
    tasks.push(Box::pin(runner.run()));
    assert!(run(&sim, 1500, tasks));
    assert!((500..=1000).contains(&store.stats().keys), "{:?}", store.stats());
    assert!(store.stats().commits < 20, "{:?}", store.stats());
}

#[test]
fn changes_are_seen_once_and_a_slow_watcher_is_told() {
    let done = with(&disk(0), small(), async |store| {
        let mut watch = store.watch(b"k1").unwrap();
        let mut other = store.watch(b"").unwrap();
        store.put(b"k1", b"").await.unwrap();
        store.put(b"x", b"").await.unwrap();
        store.delete(b"k1").await.unwrap();
        let change = |is_deleted| Change { key: b"k1".to_vec(), is_deleted };
        assert_eq!(watch.next().await, Ok(change(false)));
        assert_eq!(watch.next().await, Ok(change(true)));
        for number in 0..300_u16 {
            store.put(&number.to_le_bytes(), b"").await.unwrap();
        }
        assert_eq!(other.next().await, Err(WatchError::Lagged(303 - 256)));
        assert_eq!(
            other.next().await,
            Ok(Change { key: 44_u16.to_le_bytes().to_vec(), is_deleted: false })
        );
        store.close().await.unwrap();
        assert_eq!(watch.next().await, Err(WatchError::Lagged(300 - 256)));
        assert_eq!(watch.next().await, Err(WatchError::Closed));
    });
    done.unwrap();
}

/// Otherwise each client that watches for a while costs its task's memory until something changes.
#[test]
fn a_watcher_that_has_gone_keeps_nothing_of_its_task() {
    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let done = with(&disk(0), small(), async |store| {
        let _other = store.watch(b"").unwrap();
        let task = Arc::new(Task);
        let waker = Waker::from(Arc::clone(&task));
        for _ in 0..3 {
            let mut watch = store.watch(b"").unwrap();
            let next = pin!(watch.next());
            assert!(next.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
    });
    done.unwrap();
}

#[test]
fn a_closed_store_says_so_and_an_open_one_outlives_its_handles_writes() {
    let sim = disk(0);
    let done = with(&sim, small(), async |store| {
        store.put(b"a", b"1").await.unwrap();
        store.close().await.unwrap();
        store.close().await.unwrap();
        assert_eq!(store.state(), State::Closed);
        assert_eq!(store.put(b"a", b"2").await, Err(Error::Closed));
        assert_eq!(store.get(b"a").await, Err(Error::Closed));
        assert_eq!(store.list(b"", None, 1), Err(Error::Closed));
    });
    done.unwrap();
    let (store, runner) = block_on(Store::open(sim.again(), small())).unwrap();
    drop(store);
    // It ends by itself.
    block_on(runner.run());
    let (store, runner) = block_on(Store::open(sim.again(), small())).unwrap();
    drop(runner);
    assert_eq!(block_on(store.put(b"a", b"2")), Err(Error::Closed));
}

/// So much is overwritten and deleted that all of the disk is used many times: by moving, and by saving the index.
#[test]
fn a_disk_is_used_again_and_again() {
    for (seed, block) in [(1, 512), (2, 512), (3, 512)] {
        let sim = disk(4);
        sim.0.block_bytes.set(block);
        let random = Random::new(seed);
        let mut model = BTreeMap::new();
        let work = async |store: Store<Sim>| {
            for number in 0..6000_u32 {
                // Some are changed all the time, most are not.
                let of = if random.below(8) == 0 { 120 } else { 8 };
                let key = format!("key {}", random.below(of)).into_bytes();
                if random.below(4) == 0 {
                    assert_eq!(store.delete(&key).await, Ok(model.remove(&key).is_some()));
                } else {
                    let value = std::vec![number as u8; random.below(2500)];
                    store.put(&key, &value).await.unwrap();
                    model.insert(key, value);
                }
                let key = format!("key {}", random.below(120)).into_bytes();
                assert_eq!(store.get(&key).await, Ok(model.get(&key).cloned()));
            }
            let stats = store.stats();
            assert!(stats.compactions > 20 && stats.checkpoints > 5, "{stats:?}");
        };
        with(&sim, small(), work).unwrap();
        let done = with(&sim.again(), small(), async |store| {
            let keys: Vec<_> = model.keys().cloned().collect();
            assert_eq!(store.list(b"", None, usize::MAX), Ok(keys));
            for (key, value) in &model {
                assert_eq!(store.get(key).await.as_ref(), Ok(&Some(value.clone())));
            }
        });
        done.unwrap();
    }
}
