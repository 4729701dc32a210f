//! A model that page tables are tested against: a list of pages of 4 KiB, and a processor that remembers every translation
//! that a processor may remember.
//!
//! The processor looks at every page whenever the tree asks its surroundings for anything, before and after each
//! change, and forgets only what it is told to (Intel SDM volume 3, 5.10):
//!
//! - each page, and each smaller page that it could have made of a large one (5.10.2.3);
//! - each entry that names a table, and so the table (5.10.3).
//!
//! INVLPG does only its least: it drops what is about the one address, not what the manual adds to that.
//!
//! Used by the tests of `editor.rs` and by `fuzz/tree.rs`: no test framework here.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::vec::Vec;

use super::editor::{Change, OutOfTables, Surroundings, Tree};
use super::format::{ENTRIES, EVERYTHING, Flags, Page, TOP, Table, child, is_page, span, visit};
use crate::memory::address::PAGE_SIZE;

/// A page as it is remembered: address, length, physical address, flags.
type Remembered = (u64, u64, u64, u64);

/// A host's memory for tables, with a limit, and the processor.
pub struct Host {
    root: *mut u64,
    left: usize,
    /// The tables in use, the root among them.
    pub out: Vec<*mut u64>,
    pages: HashSet<Remembered>,
    /// Entries that name a table: the first address they are about, their level, the table.
    tables: HashSet<(u64, u32, *mut u64)>,
}

impl Host {
    /// Remembers all that the tables say now.
    fn look_at_everything(&mut self) {
        let pages = &mut self.pages;
        // SAFETY: the tree of the test, whole whenever it calls its surroundings.
        unsafe { visit(self.root, EVERYTHING, &mut |page| remember(pages, page)) };
        self.look_at_tables(self.root, TOP, 0);
    }

    fn look_at_tables(&mut self, table: *mut u64, level: u32, start: u64) {
        for number in 0..ENTRIES {
            // SAFETY: an entry of a table of the tree.
            let entry = unsafe { table.add(number).read() };
            if entry != 0 && !is_page(entry, level) {
                let at = start + number as u64 * span(level);
                self.tables.insert((at, level, child(entry)));
                self.look_at_tables(child(entry), level - 1, at);
            }
        }
    }
}

fn remember(pages: &mut HashSet<Remembered>, page: Page) -> bool {
    let flags = (page.flags - Flags::HUGE).bits();
    pages.insert((page.at, page.len, page.to, flags));
    if page.len > PAGE_SIZE {
        let part = if page.len == span(2) { PAGE_SIZE } else { span(2) };
        for step in (0..page.len).step_by(part as usize) {
            pages.insert((page.at + step, part, page.to + step, flags));
        }
    }
    true
}

/// The host, as both the tree and the test have it.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Host>>);

impl Surroundings for Shared {
    fn take(&mut self) -> Option<*mut u64> {
        let mut host = self.0.borrow_mut();
        host.look_at_everything();
        host.left = host.left.checked_sub(1)?;
        let table = Box::leak(Box::new(Table::new())).entries();
        host.out.push(table);
        Some(table)
    }

    fn give_back(&mut self, table: *mut u64) {
        let mut host = self.0.borrow_mut();
        host.look_at_everything();
        let is_known = host.tables.iter().any(|&(_, _, other)| other == table);
        assert!(!is_known, "the processor still walks through a table that was given back");
        host.left += 1;
        let at = host.out.iter().position(|&other| other == table);
        host.out.swap_remove(at.expect("a table that was taken"));
        // SAFETY: a leaked table of the test.
        drop(unsafe { Box::from_raw(table.cast::<Table>()) });
    }

    fn forget(&mut self, address: u64) {
        let mut host = self.0.borrow_mut();
        host.look_at_everything();
        host.pages.retain(|&(at, len, ..)| !(at..at + len).contains(&address));
        host.tables.retain(|&(at, level, _)| !(at..at + span(level)).contains(&address));
    }

    fn forget_everything(&mut self) {
        let mut host = self.0.borrow_mut();
        host.pages.clear();
        host.tables.clear();
    }
}

/// A tree, and what it should be.
pub struct Machine {
    /// Where the tree's memory comes from.
    pub host: Shared,
    /// What is tested.
    pub tree: Tree<Shared>,
    /// For each page of 4 KiB where it leads and how.
    pub model: BTreeMap<u64, (u64, Flags)>,
}

impl Machine {
    /// A tree that maps nothing and can have so many tables.
    pub fn new(tables: usize) -> Machine {
        let root = Box::leak(Box::new(Table::new())).entries();
        let host = Host {
            root,
            left: tables,
            out: Vec::from([root]),
            pages: HashSet::new(),
            tables: HashSet::new(),
        };
        let host = Shared(Rc::new(RefCell::new(host)));
        // SAFETY: an empty root of ours.
        let tree = unsafe { Tree::new(root, host.clone()) };
        Machine { host, tree, model: BTreeMap::new() }
    }

    /// The tree's root.
    pub fn root(&self) -> *mut u64 {
        self.host.0.borrow().root
    }

    /// How many tables there are, the root among them.
    pub fn tables(&self) -> usize {
        self.host.0.borrow().out.len()
    }

    /// Makes the change, and compares everything.
    pub fn change(&mut self, range: Range<u64>, change: Change) -> Result<(), OutOfTables> {
        self.host.0.borrow_mut().look_at_everything();
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
        self.tree.visit(EVERYTHING, note);
        assert!(seen == self.model, "the tree is not what the model is");
        // Not present is not remembered; what is remembered must still be so.
        let host = self.host.0.borrow();
        for &(at, len, to, flags) in &host.pages {
            for step in (0..len).step_by(PAGE_SIZE as usize) {
                let now = self.model.get(&(at + step)).map(|(to, flags)| (*to, flags.bits()));
                assert_eq!(now, Some((to + step, flags)), "remembered at {:#x}", at + step);
            }
        }
        for &(at, _, table) in &host.tables {
            assert!(host.out.contains(&table), "remembered for {at:#x}: a table that is gone");
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for table in self.host.0.borrow_mut().out.drain(..) {
            // SAFETY: leaked when it was taken; nobody looks at the tree again.
            drop(unsafe { Box::from_raw(table.cast::<Table>()) });
        }
    }
}
