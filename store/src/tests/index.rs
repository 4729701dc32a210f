//! The index beside a `BTreeMap`.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use crate::KEY_BYTES;
use crate::format::{Place, entries, entry_bytes, write_entry};
use crate::index::Index;

#[derive(Clone, Debug)]
enum Change {
    Insert(Vec<u8>, u32),
    Remove(Vec<u8>),
}

/// Few different ones, some long.
fn key() -> impl Strategy<Value = Vec<u8>> {
    (0..300_u16, prop_oneof![9 => 0..30_usize, 1 => 0..KEY_BYTES - 2]).prop_map(|(number, more)| {
        let mut key = number.to_be_bytes().to_vec();
        key.resize(2 + more / 7 * usize::from(number % 8), 1);
        key
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        3 => (key(), any::<u32>()).prop_map(|(key, place)| Change::Insert(key, place)),
        2 => key().prop_map(Change::Remove),
    ];
    proptest::collection::vec(change, 0..600)
}

fn place(number: u32) -> Place {
    Place::from_bits(number.into())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_as_a_tree_is(changes in changes(), start in key()) {
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        for change in changes {
            match change {
                Change::Insert(key, number) => {
                    index.reserve(1, key.len()).unwrap();
                    let old = model.insert(key.clone(), number).map(place);
                    prop_assert_eq!(index.insert(&key, place(number)), Ok(old));
                }
                Change::Remove(key) => {
                    prop_assert_eq!(index.remove(&key), model.remove(&key).map(place));
                }
            }
            prop_assert_eq!(index.keys(), model.len() as u64);
        }
        for (key, &number) in &model {
            prop_assert_eq!(index.get(key), Some(place(number)));
        }
        let bytes: u64 = model.keys().map(|key| Index::saved_bytes_of(key)).sum();
        prop_assert_eq!(index.saved_bytes(), bytes);
        for with_start in [false, true] {
            let listed: Vec<_> = index.from(&start, with_start).map(|(key, _)| key.to_vec()).collect();
            let from = model.range(start.clone()..).map(|(key, _)| key.clone());
            let expected: Vec<_> = from.filter(|key| with_start || *key != start).collect();
            prop_assert_eq!(listed, expected);
        }
        // What a saved index does.
        let (mut copy, mut saved, mut count) = (Index::default(), Vec::new(), 0);
        for (key, place) in index.from(&[], true) {
            let at = saved.len();
            saved.resize(at + entry_bytes(key.len()), 0);
            write_entry(key, place, &mut saved[at..]);
            count += 1;
        }
        // In two parts, cut anywhere.
        let cut = entries(&saved, count / 3).map(|(key, _)| entry_bytes(key.len())).sum();
        for (part, count) in [(&saved[..cut], count / 3), (&saved[cut..], count - count / 3)] {
            prop_assert_eq!(copy.extend(part, count, |_, _| true), Ok(true));
        }
        prop_assert!(copy.from(&[], true).eq(index.from(&[], true)));
        prop_assert_eq!((copy.keys(), copy.saved_bytes()), (index.keys(), index.saved_bytes()));
        if count != 0 {
            prop_assert_eq!(copy.extend(&saved, 1, |_, _| true), Ok(false));
            prop_assert_eq!(Index::default().extend(&saved, count + 1, |_, _| true), Ok(false));
            prop_assert_eq!(Index::default().extend(&saved, count, |_, _| false), Ok(false));
        }
    }

    /// However keys come, what was reserved before is enough for all of them.
    #[test]
    fn what_is_provided_for_takes_no_memory(
        before in proptest::collection::vec(key(), 0..400),
        batch in proptest::collection::vec(key(), 1..256),
    ) {
        let mut index = Index::default();
        for key in before {
            index.insert(&key, place(1)).unwrap();
        }
        index.reserve(batch.len(), batch.iter().map(Vec::len).sum()).unwrap();
        let bytes = index.heap_bytes();
        for key in batch {
            index.insert(&key, place(2)).unwrap();
        }
        prop_assert_eq!(index.heap_bytes(), bytes);
    }
}

/// In so much memory as it had, and filled up: what was there is there, and there is more room than before.
#[test]
fn where_memory_is_out_leaves_are_filled_up() {
    const LIMIT: usize = 256 << 10;
    let mut index = Index::new(Some(LIMIT));
    let mut numbers = (0..).map(|number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut model = BTreeMap::new();
    let full = loop {
        let key = numbers.next().expect("endless").to_be_bytes();
        if index.reserve(1, key.len()).is_err() {
            break index.saved_bytes() as usize;
        }
        assert_eq!(index.insert(&key, place(model.len() as u32)), Ok(None));
        model.insert(key, place(model.len() as u32));
    };
    assert!(full > LIMIT / 16 * 14, "{full} of {LIMIT}");
    assert!(index.heap_bytes() as usize <= LIMIT + LIMIT / 16);
    let listed = index.from(&[], true).map(|(key, place)| (key.try_into().unwrap(), place));
    assert_eq!(listed.collect::<BTreeMap<[u8; 8], _>>(), model);
    // Saved, read again, and the newest third put on top: as opening does.
    let (mut saved, mut count) = (Vec::new(), 0);
    for (key, &place) in model.iter().filter(|(_, place)| place.to_bits() % 3 != 0) {
        let at = saved.len();
        saved.resize(at + entry_bytes(key.len()), 0);
        write_entry(key, place, &mut saved[at..]);
        count += 1;
    }
    let mut again = Index::new(Some(LIMIT));
    assert_eq!(again.extend(&saved, count, |_, _| true), Ok(true));
    for (key, &place) in &model {
        again.insert(key, place).expect("there was room for it");
    }
    assert!(again.from(&[], true).eq(index.from(&[], true)));
}
