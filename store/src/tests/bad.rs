//! Disks that fail, are full, too small, somebody else's; and memory that runs out.

use std::collections::BTreeMap;
use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::machine::{Fault, Ours, Random, Sim, block_on, disk, small, with};
use crate::{
    DiskError, Error, Format, LEAST_DISK_BYTES, OpenError, Options, Reason, SECTOR_BYTES, State,
    Store,
};

fn refused(sim: &Sim, options: Options) -> OpenError {
    let before = sim.bytes();
    let error = block_on(Store::open(sim.clone(), options)).err().expect("it is refused");
    assert_eq!(sim.bytes(), before, "{error}");
    assert!(!error.to_string().is_empty());
    error
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    // Where a partition table, ext4, LVM, an ISO image and btrfs have what they are known by.
    for at in [510, 1024 + 56, 512, 0x8001, 0x1_0040, (1 << 20) - 1] {
        let mut bytes = std::vec![0; LEAST_DISK_BYTES as usize];
        bytes[at] = 0x53;
        let sim = Sim::of(bytes, 1);
        assert_eq!(refused(&sim, Options::default()), OpenError::Foreign, "{at}");
        assert_eq!(
            refused(&sim, Options { format: Format::Never, ..Options::default() }),
            OpenError::Foreign
        );
        let always = Options { format: Format::Always, ..Options::default() };
        with(&sim, always, async |store| store.put(b"a", b"1").await.unwrap()).unwrap();
    }
    // Somebody has begun to use a store's disk for something else.
    let sim = disk(0);
    with(&sim, small(), async |store| store.put(b"a", b"1").await.unwrap()).unwrap();
    let mut bytes = sim.bytes();
    bytes[..SECTOR_BYTES].fill(0x90);
    let sim = Sim::of(bytes, 1);
    assert_eq!(refused(&sim, small()), OpenError::Foreign);
    let salvaged = with(&sim, Options { salvage: true, ..small() }, async |store| {
        assert_eq!(store.get(b"a").await, Ok(Some(b"1".to_vec())));
    });
    salvaged.unwrap();
}

#[test]
fn disks_that_cannot_hold_a_store_are_refused() {
    let never = Options { format: Format::Never, ..Options::default() };
    assert_eq!(refused(&Sim::new(LEAST_DISK_BYTES as usize), never), OpenError::Absent);
    let needed = OpenError::TooSmall { sectors: LEAST_DISK_BYTES / SECTOR_BYTES as u64 };
    for bytes in [0, 512, 32 << 10, (64 << 10) - 512, 1 << 20, LEAST_DISK_BYTES as usize - 512] {
        assert_eq!(refused(&Sim::new(bytes), Options::default()), needed, "{bytes}");
    }
    for segment in [0, 1, 32 << 10, 100 << 10, 32 << 20] {
        let options = Options { segment_bytes: Some(segment), ..Options::default() };
        assert_eq!(refused(&Sim::new(64 << 20), options), OpenError::Options, "{segment}");
    }
    let sim = disk(0);
    sim.0.is_read_only.set(true);
    assert_eq!(refused(&sim, small()), OpenError::ReadOnly);
    let sim = disk(0);
    sim.0.block_bytes.set(4096);
    assert_eq!(refused(&sim, small()), OpenError::Blocks { bytes: 4096 });
    sim.0.block_bytes.set(1 << 16);
    assert_eq!(refused(&sim, small()), OpenError::Blocks { bytes: 1 << 16 });
    let sim = disk(0);
    sim.0.no_memory.set(true);
    assert_eq!(refused(&sim, small()), OpenError::NoMemory);
    // One that was made on a larger disk.
    let sim = disk(1);
    with(&sim, small(), async |_| ()).unwrap();
    let less = Sim::of(sim.bytes()[..sim.bytes().len() - 512].to_vec(), 1);
    let needed = (sim.bytes().len() / SECTOR_BYTES) as u64;
    assert_eq!(refused(&less, small()), OpenError::TooSmall { sectors: needed });
}

#[test]
fn a_later_version_is_refused_and_named() {
    let sim = disk(0);
    with(&sim, small(), async |_| ()).unwrap();
    let mut bytes = sim.bytes();
    for at in [0, 32 << 10] {
        let sector = &mut bytes[at..at + SECTOR_BYTES];
        sector[8] = 2;
        let check = twox_hash::XxHash64::oneshot(0, &sector[..SECTOR_BYTES - 8]);
        sector[SECTOR_BYTES - 8..].copy_from_slice(&check.to_le_bytes());
    }
    assert_eq!(refused(&Sim::of(bytes, 1), small()), OpenError::Newer { version: 2 });
}

#[test]
fn larger_blocks_are_kept_to() {
    let sim = Sim::new(LEAST_DISK_BYTES as usize);
    sim.0.block_bytes.set(4096);
    let put = with(&sim, Options::default(), async |store| {
        for number in 0..200_u8 {
            store.put(&[number], &std::vec![number; 3000]).await.unwrap();
        }
    });
    put.unwrap();
    let got = with(&sim.again(), Options::default(), async |store| {
        for number in 0..200_u8 {
            assert_eq!(store.get(&[number]).await, Ok(Some(std::vec![number; 3000])));
        }
    });
    got.unwrap();
}

#[test]
fn a_disk_that_cannot_be_written_to_is_read() {
    let sim = disk(0);
    with(&sim, small(), async |store| store.put(b"a", b"1").await.unwrap()).unwrap();
    let sim = sim.again();
    sim.0.is_read_only.set(true);
    let done = with(&sim, small(), async |store| {
        let reason = Reason::DiskIsReadOnly;
        assert_eq!(store.state(), State::ReadOnly(reason));
        assert_eq!(store.get(b"a").await, Ok(Some(b"1".to_vec())));
        assert_eq!(store.get(b"b").await, Ok(None));
        assert_eq!(store.put(b"a", b"2").await, Err(Error::ReadOnly(reason)));
        assert_eq!(store.delete(b"a").await, Err(Error::ReadOnly(reason)));
        assert_eq!(store.close().await, Err(Error::ReadOnly(reason)));
    });
    done.unwrap();
}

/// A failure of each write and each flush of a run: the store is read-only at once, nothing that was acknowledged is lost, and
/// nothing is acknowledged any more.
#[test]
fn after_a_failed_write_or_flush_nothing_is_believed() {
    let run = |sim: &Sim| {
        let mut model = BTreeMap::new();
        let done = with(sim, small(), async |store| {
            let random = Random::new(9);
            let mut failed = None;
            for number in 0..260_u32 {
                let key = std::vec![random.below(20) as u8 + 1; 3];
                let value = std::vec![number as u8; random.below(4096)];
                match store.put(&key, &value).await {
                    Ok(()) => {
                        assert_eq!(failed, None, "acknowledged after a failure");
                        model.insert(key, value);
                    }
                    Err(error) => {
                        let reason = Reason::WriteFailed(DiskError::Io);
                        assert_eq!(error, Error::ReadOnly(reason));
                        assert_eq!(store.state(), State::ReadOnly(reason));
                        // What was open when it failed may be there later.
                        failed.get_or_insert(key);
                    }
                }
            }
            for (key, value) in &model {
                assert_eq!(store.get(key).await.as_ref(), Ok(&Some(value.clone())));
            }
            failed
        });
        (model, done.unwrap())
    };
    let sim = disk(0);
    // Formatted before, so that the failures are the runner's.
    with(&sim, small(), async |_| ()).unwrap();
    let whole = sim.again();
    run(&whole);
    let end = whole.0.changes.get();
    assert!(end > 500, "{end}");
    for at in (1..end).step_by(5) {
        let sim = sim.again();
        sim.0.fault.set(Some((at, Fault::Fail(DiskError::Io))));
        let (model, failed) = run(&sim);
        let done = with(&sim.after_crash(at as u64), small(), async |store| {
            assert_eq!(store.state(), State::ReadWrite);
            for (key, value) in &model {
                let got = store.get(key).await.unwrap();
                assert!(
                    got.as_ref() == Some(value) || failed.as_ref() == Some(key),
                    "{at}: {key:?}"
                );
            }
        });
        done.unwrap();
    }
}

#[test]
fn a_reading_that_fails_is_the_only_one() {
    let sim = disk(0);
    let done = with(&sim, small(), async |store| {
        store.put(b"a", b"1").await.unwrap();
        sim.0.bad_read.set(Some(sim.0.reads.get()));
        assert_eq!(store.get(b"a").await, Err(Error::Disk(DiskError::Io)));
        assert_eq!(store.get(b"a").await, Ok(Some(b"1".to_vec())));
        assert_eq!(store.state(), State::ReadWrite);
    });
    done.unwrap();
    // While it is opened.
    for read in 0..6 {
        let sim = sim.again();
        sim.0.bad_read.set(Some(read));
        let opened = block_on(Store::open(sim.clone(), small()));
        match opened.map(|(store, _)| store.state()) {
            Ok(State::ReadWrite) | Ok(State::ReadOnly(Reason::ReadFailed(DiskError::Io))) => {}
            other => panic!("{read}: {other:?}"),
        }
    }
}

async fn fill(store: &Ours, value_bytes: usize) -> u32 {
    for number in 0_u32.. {
        match store.put(&number.to_be_bytes(), &std::vec![number as u8; value_bytes]).await {
            Ok(()) => {}
            Err(Error::Full) => return number,
            Err(error) => panic!("{number}: {error}"),
        }
    }
    unreachable!("it was never full");
}

#[test]
fn a_full_disk_says_so_and_keys_can_be_deleted() {
    for (value_bytes, more) in [(4096, 0), (1000, 3), (60, 0), (4096, 20)] {
        let sim = disk(more);
        let done = with(&sim, small(), async |store| {
            let count = fill(&store, value_bytes).await;
            let used = store.stats().live_bytes as f64 / sim.bytes().len() as f64;
            assert!(count > 50 && used > 0.1, "{value_bytes}: {count} keys, {used}");
            assert_eq!(store.state(), State::ReadWrite);
            // What is not longer may be put, again and again.
            for round in 0..count + count / 2 {
                let key = (round % count).to_be_bytes();
                store.put(&key, &std::vec![round as u8; value_bytes]).await.unwrap();
            }
            for number in 0..count {
                assert_eq!(store.delete(&number.to_be_bytes()).await, Ok(true));
            }
            assert_eq!(store.stats().keys, 0);
            assert_eq!(fill(&store, value_bytes).await, count);
        });
        done.unwrap();
        let done = with(&sim.again(), small(), async |store| {
            assert_eq!(store.state(), State::ReadWrite);
            let mut keys = store.list(b"", None, usize::MAX).unwrap();
            assert_eq!(keys.len() as u64, store.stats().keys);
            keys.truncate(30);
            for key in keys {
                assert_eq!(store.get(&key).await.unwrap().map(|it| it.len()), Some(value_bytes));
                assert_eq!(store.delete(&key).await, Ok(true));
            }
        });
        done.unwrap();
    }
}

#[test]
fn an_index_that_is_full_says_so_and_is_opened_in_as_much_memory() {
    let sim = disk(40);
    let options = Options { index_bytes: Some(64 << 10), ..small() };
    let done = with(&sim, options, async |store| {
        let mut count = 0_u32;
        let key = |number: u32| number.wrapping_mul(0x9e37_79b9).to_be_bytes();
        while store.put(&key(count), b"value").await == Ok(()) {
            count += 1;
        }
        assert!(count > 3000, "{count}");
        assert_eq!(store.put(&key(count), b"value").await, Err(Error::NoMemory));
        assert_eq!((store.state(), store.stats().keys), (State::ReadWrite, count.into()));
        assert_eq!(store.put(&key(1), b"other").await, Err(Error::NoMemory));
        for number in 0..100 {
            assert_eq!(store.delete(&key(number)).await, Ok(true));
        }
        store.put(&key(1), b"other").await.unwrap();
        count
    });
    let count = u64::from(done.unwrap());
    for options in [options, small()] {
        let keys = with(&sim.again(), options, async |store| {
            assert_eq!(store.state(), State::ReadWrite);
            store.stats().keys
        });
        assert_eq!(keys, Ok(count - 99));
    }
}

#[test]
fn a_batch_that_was_never_finished_is_seen_and_written_over() {
    let sim = disk(0);
    let mut before = Vec::new();
    let done = with(&sim, small(), async |store| {
        store.put(b"a", b"1").await.unwrap();
        before = sim.bytes();
        store.put(b"b", &[2; 2000]).await.unwrap();
    });
    done.unwrap();
    let mut torn = sim.bytes();
    let changed =
        (0..torn.len()).step_by(512).filter(|&at| torn[at..][..512] != before[at..][..512]);
    // All but the first of its sectors have not come, nor what ends the log when the last handle is dropped.
    for at in changed.skip(1).collect::<Vec<_>>() {
        torn[at..at + 512].copy_from_slice(&before[at..at + 512]);
    }
    let sim = Sim::of(torn, 1);
    let done = with(&sim, small(), async |store| {
        assert!(store.stats().recovery.was_torn);
        assert_eq!((store.state(), store.get(b"b").await), (State::ReadWrite, Ok(None)));
        store.put(b"c", b"3").await.unwrap();
    });
    done.unwrap();
    let done = with(&sim.again(), small(), async |store| {
        assert!(!store.stats().recovery.was_torn);
        assert_eq!(store.list(b"", None, 9), Ok(std::vec![b"a".to_vec(), b"c".to_vec()]));
    });
    done.unwrap();
}

/// A value that was made to look like a part of the log is a value.
#[test]
fn a_value_that_looks_like_a_batch_is_none() {
    let sim = disk(0);
    let done = with(&sim, small(), async |store| {
        store.put(b"a", b"1").await.unwrap();
        let log = sim.bytes()[64 << 10..][..512].to_vec();
        for number in 0..20_u8 {
            store.put(&[number], &log.repeat(1 + usize::from(number) % 7)).await.unwrap();
        }
    });
    done.unwrap();
    let done = with(&sim.again(), small(), async |store| {
        assert_eq!((store.state(), store.stats().keys), (State::ReadWrite, 21));
        assert_eq!(store.get(b"a").await, Ok(Some(b"1".to_vec())));
    });
    done.unwrap();
}

/// A store that is made anew where one was has nothing of it.
#[test]
fn what_was_there_before_formatting_never_comes_back() {
    let always = Options { format: Format::Always, ..small() };
    let sim = disk(0);
    for round in 0..4_u8 {
        let done = with(&sim, always, async |store| {
            assert_eq!(store.stats().keys, 0);
            for number in 0..100 {
                store.put(format!("{round} {number}").as_bytes(), &[round; 700]).await.unwrap();
            }
        });
        done.unwrap();
        let done = with(&sim.again(), small(), async |store| {
            let keys = store.list(b"", None, usize::MAX).unwrap();
            let all: Vec<_> = keys.iter().filter(|key| key[0] == b'0' + round).collect();
            assert_eq!((all.len(), keys.len()), (100, 100));
        });
        done.unwrap();
    }
}

/// Leaves are filled up where memory is out, as long as keys are put one by one; read again they are split elsewhere.
#[test]
fn a_store_that_has_reached_its_limit_of_memory_can_be_opened_again() {
    for limit in (64..128).step_by(4) {
        let sim = disk(60);
        let options = Options { index_bytes: Some(limit << 10), ..small() };
        let done = with(&sim, options, async |store| {
            for number in 0_u32.. {
                let key = format!("{:0200}-{number}{}", 0, "y".repeat(200));
                match store.put(key.as_bytes(), b"1").await {
                    Ok(()) => {}
                    Err(Error::NoMemory) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            store.stats().keys
        });
        let keys = done.unwrap();
        let again = with(&sim.again(), options, async |store| store.stats().keys);
        assert_eq!(again.expect("it opens"), keys, "{limit}");
    }
}
