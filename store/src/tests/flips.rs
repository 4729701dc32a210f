//! A bit is flipped, anywhere: what is read is right, or an error that says where the damage is.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::machine::{Random, Sim, disk, long, small, with};
use crate::{Error, OpenError, Options, State};

type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What is put last.
const LAST: &[u8] = b"last";

/// A store that has saved its index, moved records, and written a log behind that; and what is in it. `is_closed` or not.
fn image(is_closed: bool) -> (Vec<u8>, Model) {
    let sim = disk(0);
    let mut model = Model::new();
    let mut bytes = Vec::new();
    let done = with(&sim, small(), async |store| {
        let random = Random::new(4);
        for number in 0..420_u32 {
            let key = std::vec![b'a' + random.below(if number % 5 == 0 { 26 } else { 4 }) as u8; 5];
            let value = (random.below(7) != 0).then(|| std::vec![number as u8; random.below(1500)]);
            match &value {
                Some(value) => store.put(&key, value).await.unwrap(),
                None => drop(store.delete(&key).await.unwrap()),
            }
            model.insert(key, value);
        }
        let stats = store.stats();
        assert!(stats.checkpoints > 1, "{stats:?}");
        store.put(LAST, b"value").await.unwrap();
        if is_closed {
            store.close().await.unwrap();
        }
        // Before the last handle is dropped, which closes it.
        bytes = sim.bytes();
    });
    done.unwrap();
    model.insert(LAST.to_vec(), Some(b"value".to_vec()));
    (bytes, model)
}

/// Opens a damaged image: every key has its value, or there is an error; but `may_miss` may be as it was before.
fn check(bytes: Vec<u8>, model: &Model, may_miss: Option<&[u8]>, at: &str) -> &'static str {
    let sim = Sim::of(bytes, 1);
    let before = sim.bytes();
    let opened = with(&sim, Options { format: crate::Format::Never, ..small() }, async |store| {
        let mut errors = 0;
        for (key, value) in model {
            match store.get(key).await {
                Ok(got) if got == *value => {}
                Ok(None) if may_miss == Some(key) => {}
                Err(Error::Damaged(_)) => errors += 1,
                other => panic!("{at}: {key:?}: {other:?}"),
            }
        }
        if let Ok(listed) = store.list(b"", None, usize::MAX) {
            let there = model.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
            let mut there: Vec<_> = there.cloned().collect();
            there.retain(|key| may_miss != Some(key) || listed.contains(key));
            assert_eq!(listed, there, "{at}");
        }
        match (store.state(), errors) {
            (State::ReadWrite, 0) if store.stats().recovery.was_healed => "healed",
            (State::ReadWrite, 0) => "unharmed",
            (State::ReadOnly(_), 1) => "one value",
            (State::ReadOnly(_), _) if errors == model.len() => "read-only",
            other => panic!("{at}: {other:?}"),
        }
    });
    match opened {
        Ok(kind) => kind,
        Err(OpenError::Foreign) => {
            assert_eq!(sim.bytes(), before, "{at}");
            "refused"
        }
        Err(error) => panic!("{at}: {error}"),
    }
}

fn flip_all(is_closed: bool) {
    let (bytes, model) = image(is_closed);
    let may_miss = (!is_closed).then_some(LAST);
    let mut kinds = BTreeMap::new();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) + 600;
    let step = if long() { 1 } else { 41 };
    for at in (0..used).step_by(step) {
        // In the superblocks, each bit; and in what is dead there, none.
        let bits = if at % (32 << 10) < 512 && at < 64 << 10 { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            *kinds
                .entry(check(bytes, &model, may_miss, &std::format!("{at}, {bit}")))
                .or_insert(0) += 1;
        }
    }
    std::println!("{kinds:?}");
    let kinds: Vec<_> = kinds.into_keys().collect();
    assert_eq!(kinds, ["healed", "one value", "read-only", "unharmed"]);
}

#[test]
fn a_flipped_bit_in_a_closed_store_gives_the_value_or_an_error() {
    flip_all(true);
}

#[test]
fn a_flipped_bit_in_an_open_store_loses_its_last_batch_at_most() {
    flip_all(false);
}

/// A sector that is gone, or has the content of another.
#[test]
fn a_sector_that_is_lost_or_misplaced_gives_the_value_or_an_error() {
    let (bytes, model) = image(true);
    let random = Random::new(8);
    let sectors = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) / 512 + 1;
    for sector in (0..sectors).step_by(if long() { 1 } else { 5 }) {
        let other = random.below(sectors);
        for content in [std::vec![0; 512], bytes[other * 512..][..512].to_vec()] {
            let mut bytes = bytes.clone();
            bytes[sector * 512..][..512].copy_from_slice(&content);
            check(bytes, &model, None, &std::format!("sector {sector} from {other}"));
        }
    }
}

/// Opens anything, and asks everything of it: it ends, whatever it is.
fn try_all(bytes: Vec<u8>) {
    for salvage in [false, true] {
        let sim = Sim::of(bytes.clone(), 1);
        let done = with(&sim, Options { salvage, ..small() }, async |store| {
            for key in store.list(b"", None, 50).unwrap_or_default() {
                let _ = store.get(&key).await;
            }
            for number in 0..40_u8 {
                let _ = store.put(&[number], &std::vec![number; 4000]).await;
                let _ = store.delete(&[number / 2]).await;
            }
            let _ = (store.stats(), store.state(), store.close().await);
        });
        let _ = done;
    }
}

/// Puts right the checks of what looks like a superblock, a batch or a record there: damage that is meant.
pub(super) fn forge(bytes: &mut [u8]) {
    let check = twox_hash::XxHash64::oneshot;
    for at in [0, 32 << 10] {
        let sum = check(0, &bytes[at..at + 504]);
        bytes[at + 504..at + 512].copy_from_slice(&sum.to_le_bytes());
    }
    let id = u64::from_le_bytes(bytes[16..24].try_into().expect("8 bytes"));
    for at in (64 << 10..bytes.len() - 512).step_by(512) {
        if bytes[at..at + 4] != *b"FBAT" {
            continue;
        }
        let header = check(id, &bytes[at..at + 32]);
        bytes[at + 32..at + 40].copy_from_slice(&header.to_le_bytes());
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("4 bytes")) as usize;
        if let Some(body) = bytes.get(at + 48..at.saturating_add(len)) {
            let sum = check(header, body);
            bytes[at + 40..at + 48].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 20_000 } else { 200 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_comes_to_an_end(
        changes in proptest::collection::vec((0..64_usize, 0..640_usize, any::<u64>(), 1..=8_usize), 1..9),
        is_forged in any::<bool>(),
    ) {
        static IMAGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| image(false).0);
        let mut bytes = IMAGE.clone();
        for (offset, block, value, len) in changes {
            // Headers mostly: in the superblocks, or in a block of a segment.
            let start = if block < 20 { block % 2 * (32 << 10) } else { (64 << 10) + (block - 20) * 512 };
            bytes[start + offset..][..len].copy_from_slice(&value.to_le_bytes()[..len.min(8)]);
        }
        if is_forged {
            forge(&mut bytes);
        }
        try_all(bytes);
    }
}
