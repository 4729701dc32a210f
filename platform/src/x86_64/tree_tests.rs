//! Random changes to a tree, against a model that knows pages of 4 KiB and nothing else; and a
//! translation cache that remembers as much as a processor may.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::memory::PAGE_SIZE;
use crate::x86_64::table::{CODE, CONSTANTS, DEVICE, Page, Table, VARIABLES, translate};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const RIGHTS: [Flags; 4] = [CODE, CONSTANTS, VARIABLES, DEVICE];

/// A host's memory for tables, with a limit, and a cache that is never emptied by itself.
#[derive(Default)]
struct Host {
    left: usize,
    out: Vec<*mut u64>,
    cache: Vec<Page>,
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Host>>);

impl Surroundings for Shared {
    fn take(&mut self) -> Option<*mut u64> {
        let mut host = self.0.borrow_mut();
        host.left = host.left.checked_sub(1)?;
        let table = Box::leak(Box::new(Table::new())).entries();
        host.out.push(table);
        Some(table)
    }

    fn give_back(&mut self, table: *mut u64) {
        let mut host = self.0.borrow_mut();
        host.left += 1;
        let at = host.out.iter().position(|&other| other == table);
        host.out.swap_remove(at.expect("a table that was taken"));
        // Whoever still walks through it finds reserved bits.
        // SAFETY: a leaked table of the test.
        unsafe { core::slice::from_raw_parts_mut(table, ENTRIES) }.fill(u64::MAX);
    }

    fn forget(&mut self, address: u64) {
        self.0.borrow_mut().cache.retain(|page| !(page.at..page.at + page.len).contains(&address));
    }
}

struct Machine {
    host: Shared,
    tree: Tree<Shared>,
    model: BTreeMap<u64, (u64, Flags)>,
}

impl Machine {
    fn new(tables: usize) -> Machine {
        let mut host = Shared(Rc::new(RefCell::new(Host { left: tables + 1, ..Host::default() })));
        let root = host.take().unwrap();
        // SAFETY: an empty root of ours.
        let tree = unsafe { Tree::new(root, host.clone()) };
        Machine { host, tree, model: BTreeMap::new() }
    }

    /// Fills the cache with all there is, makes the change, and compares everything.
    fn change(&mut self, range: Range<u64>, change: Change) -> Result<(), OutOfTables> {
        let mut all = Vec::new();
        self.tree.visit(0..1 << 48, &mut |page| {
            all.push(page);
            true
        });
        self.host.0.borrow_mut().cache = all;
        let done = self.tree.change(range.clone(), change);
        for page in range.step_by(PAGE_SIZE as usize).filter(|_| done.is_ok()) {
            match change {
                Change::Map { offset, flags } => {
                    self.model.insert(page, (page.wrapping_add(offset), flags));
                }
                Change::Protect(flags) => {
                    self.model.entry(page).and_modify(|old| old.1 = flags);
                }
                Change::Unmap => {
                    self.model.remove(&page);
                }
            }
        }
        self.compare();
        done
    }

    fn compare(&self) {
        let mut seen = BTreeMap::new();
        let note = &mut |page: Page| {
            let flags = page.flags - Flags::HUGE;
            for step in (0..page.len).step_by(PAGE_SIZE as usize) {
                seen.insert(page.at + step, (page.to + step, flags));
            }
            true
        };
        self.tree.visit(0..1 << 48, note);
        assert!(seen == self.model, "the tree is not what the model is");
        // Not present is not remembered; what is remembered must still be so.
        for page in &self.host.0.borrow().cache {
            for step in (0..page.len).step_by(PAGE_SIZE as usize) {
                let remembered = Some(&(page.to + step, page.flags - Flags::HUGE));
                let now = self.model.get(&(page.at + step)).map(|(to, flags)| (*to, *flags));
                assert_eq!(now.as_ref(), remembered, "remembered at {:#x}", page.at + step);
            }
        }
    }
}

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
        prop_assert_eq!(machine.host.0.borrow().out.len(), 1, "tables are left, and map nothing");
    }
}

#[test]
fn a_large_page_is_split_and_merged() {
    let mut machine = Machine::new(6);
    let whole = 4 * MIB..8 * MIB;
    machine.change(whole.clone(), Change::Map { offset: 0, flags: VARIABLES }).unwrap();
    let tables = machine.host.0.borrow().out.len();
    assert_eq!(tables, 3, "two pages of 2 MiB need a table on each upper level");
    let guard = 5 * MIB..5 * MIB + PAGE_SIZE;
    machine.change(guard.clone(), Change::Unmap).unwrap();
    assert_eq!(machine.host.0.borrow().out.len(), tables + 1);
    machine.change(guard, Change::Map { offset: 0, flags: VARIABLES }).unwrap();
    assert_eq!(machine.host.0.borrow().out.len(), tables, "merged");
    let root = machine.tree.root;
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
        machine.tree.root.write(upper as u64 | TABLE.bits());
        upper.write((VARIABLES | Flags::HUGE).bits());
    }
    for page in (0..GIB).step_by(PAGE_SIZE as usize) {
        machine.model.insert(page, (page, VARIABLES));
    }
    machine.change(PAGE_SIZE..2 * PAGE_SIZE, Change::Protect(CONSTANTS)).unwrap();
    assert_eq!(machine.host.0.borrow().out.len(), 4);
    machine.change(512 * MIB..514 * MIB, Change::Unmap).unwrap();
}

#[test]
fn without_memory_for_tables_nothing_changes() {
    for tables in 0..5 {
        let mut machine = Machine::new(tables);
        let small = GIB - PAGE_SIZE..GIB + PAGE_SIZE;
        let done = machine.change(small, Change::Map { offset: 0, flags: VARIABLES });
        assert_eq!(done.is_ok(), tables == 5, "{tables} tables");
        assert_eq!(machine.host.0.borrow().out.len(), 1, "{tables} tables");
    }
}
