//! Random changes to a tree, against what `tree_model` knows.

use proptest::prelude::*;

use super::*;
use crate::memory::PAGE_SIZE;
use crate::x86_64::page_table::format::{CODE, CONSTANTS, DEVICE, VARIABLES, translate};
use crate::x86_64::page_table::model::Machine;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const RIGHTS: [Flags; 4] = [CODE, CONSTANTS, VARIABLES, DEVICE];

/// A range of whole pages near two borders: of 2 MiB pages, and of tables of them.
fn ranges() -> impl Strategy<Value = Range<u64>> {
    let base = GIB - 2 * MIB;
    let first = prop_oneof![Just(0), Just(1), Just(511), Just(512), Just(513), 0..1024_u64];
    (first, 1..1100_u64).prop_map(move |(start, pages)| {
        let start = base + start * PAGE_SIZE;
        start..(start + pages * PAGE_SIZE).min(base + 4 * MIB)
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let rights = prop::sample::select(RIGHTS.to_vec());
    // The identity, another 2 MiB page, and addresses that no large page can have.
    let offsets = prop::sample::select(std::vec![0, 0, 8 * MIB, PAGE_SIZE, 5 * PAGE_SIZE]);
    prop_oneof![
        (offsets, rights.clone()).prop_map(|(offset, flags)| Change::Map { offset, flags }),
        rights.prop_map(Change::Protect),
        Just(Change::Unmap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_changes_mean_what_the_model_means(
        tables in 2..14_usize,
        changes in prop::collection::vec((ranges(), changes()), 1..12),
    ) {
        let mut machine = Machine::new(tables);
        for (range, change) in changes {
            if let Change::Map { .. } = change {
                machine.change(range.clone(), Change::Unmap).ok();
                if machine.model.range(range.clone()).next().is_some() {
                    continue;
                }
            }
            machine.change(range, change).ok();
        }
        let everything = GIB - 2 * MIB..GIB + 2 * MIB;
        machine.change(everything, Change::Unmap).unwrap();
        prop_assert_eq!(machine.tables(), 1, "tables are left, and map nothing");
    }
}

#[test]
fn a_large_page_is_split_and_merged() {
    let mut machine = Machine::new(6);
    let whole = 4 * MIB..8 * MIB;
    machine.change(whole.clone(), Change::Map { offset: 0, flags: VARIABLES }).unwrap();
    let tables = machine.tables();
    assert_eq!(tables, 3, "two pages of 2 MiB need a table on each upper level");
    let guard = 5 * MIB..5 * MIB + PAGE_SIZE;
    machine.change(guard.clone(), Change::Unmap).unwrap();
    assert_eq!(machine.tables(), tables + 1);
    machine.change(guard, Change::Map { offset: 0, flags: VARIABLES }).unwrap();
    assert_eq!(machine.tables(), tables, "merged");
    let root = machine.root();
    // SAFETY: the tree of the test.
    let found = unsafe { translate(root, 5 * MIB + 5) };
    assert_eq!(found, Some((5 * MIB + 5, VARIABLES | Flags::HUGE)));
}

#[test]
fn a_page_of_a_gigabyte_is_split_down_to_4_kib() {
    let mut machine = Machine::new(6);
    // As the boot code maps RAM.
    let upper = machine.host.take().unwrap();
    // SAFETY: both are tables of this test.
    unsafe {
        machine.root().write(upper as u64 | TABLE.bits());
        upper.write((VARIABLES | Flags::HUGE).bits());
    }
    for page in (0..GIB).step_by(PAGE_SIZE as usize) {
        machine.model.insert(page, (page, VARIABLES));
    }
    machine.change(PAGE_SIZE..2 * PAGE_SIZE, Change::Protect(CONSTANTS)).unwrap();
    assert_eq!(machine.tables(), 4);
    machine.change(512 * MIB..514 * MIB, Change::Unmap).unwrap();
}

#[test]
fn without_memory_for_tables_nothing_changes() {
    for tables in 0..5 {
        let mut machine = Machine::new(tables);
        let small = GIB - PAGE_SIZE..GIB + PAGE_SIZE;
        let done = machine.change(small, Change::Map { offset: 0, flags: VARIABLES });
        assert_eq!(done.is_ok(), tables == 5, "{tables} tables");
        assert_eq!(machine.tables(), 1, "{tables} tables");
    }
}

/// Each page is touched while it is small, the large page is changed as one, and as small ones again.
#[test]
fn what_was_remembered_of_small_pages_is_forgotten_with_the_large_one() {
    let whole = 4 * MIB..6 * MIB;
    let map = Change::Map { offset: 0, flags: VARIABLES };
    for then in [Change::Unmap, Change::Protect(CONSTANTS), Change::Protect(CODE)] {
        let mut machine = Machine::new(6);
        for page in whole.clone().step_by(PAGE_SIZE as usize) {
            machine.change(page..page + PAGE_SIZE, map).unwrap();
        }
        machine.change(whole.clone(), then).unwrap();
        machine.change(whole.start..whole.start + 5 * PAGE_SIZE, Change::Unmap).unwrap();
    }
}

/// Found by fuzzing: what the failed change had put together with its neighbour could not be taken apart again.
#[test]
fn a_change_that_fails_takes_back_what_it_had_put_together() {
    for tables in 3..12 {
        let mut machine = Machine::new(tables);
        let border = 512 * GIB;
        let map = Change::Map { offset: 0, flags: VARIABLES };
        let first = border - 513 * PAGE_SIZE..border - 284 * PAGE_SIZE;
        if machine.change(first.clone(), map).is_ok() {
            // Whether or not there are tables for the part beyond the border.
            machine.change(first.end..border + 629 * PAGE_SIZE, map).ok();
        }
    }
}
