//! Changes to a tree of page tables, as the input says, against the model and the processor of `model.rs`: after
//! each change the tree means what the model means, and nothing is remembered that is no longer so.
#![no_main]

mod memory {
    pub mod address {
        pub const PAGE_SIZE: u64 = 4096;
    }
}

/// The sources themselves, which the crate keeps to itself.
#[path = "../src/x86_64/page_table"]
mod page_table {
    pub mod editor;
    pub mod format;
    pub mod model;
}

use libfuzzer_sys::fuzz_target;

use memory::address::PAGE_SIZE;
use page_table::editor::Change;
use page_table::format::{CODE, CONSTANTS, DEVICE, VARIABLES};
use page_table::model::Machine;

/// Below it and above it lie different tables of every level but the highest.
const BORDER: u64 = 512 << 30;

/// Of a whole range nothing may be mapped before it is mapped.
const PAGES: u64 = 2048;

fuzz_target!(|input: &[u8]| {
    let Some((&tables, input)) = input.split_first() else { return };
    let mut machine = Machine::new(usize::from(tables % 16));
    for bytes in input.chunks_exact(6).take(12) {
        let word = |at: usize| u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let start = word(0) % PAGES;
        let count = 1 + word(2) % (PAGES - start);
        let first = BORDER - PAGES / 2 * PAGE_SIZE + start * PAGE_SIZE;
        let range = first..first + count * PAGE_SIZE;
        let flags = [CODE, CONSTANTS, VARIABLES, DEVICE][usize::from(bytes[4] % 4)];
        let offset = [0, 2 << 20, PAGE_SIZE, 1 << 30][usize::from(bytes[4] / 4 % 4)];
        match bytes[5] % 4 {
            0 => drop(machine.change(range, Change::Unmap)),
            1 => drop(machine.change(range, Change::Protect(flags))),
            _ => {
                let is_free = machine.model.range(range.clone()).next().is_none();
                if is_free || machine.change(range.clone(), Change::Unmap).is_ok() {
                    drop(machine.change(range, Change::Map { offset, flags }));
                }
            }
        }
    }
    // Everything goes, whatever it was: no table stays.
    let everything = BORDER - PAGES / 2 * PAGE_SIZE..BORDER + PAGES / 2 * PAGE_SIZE;
    machine.change(everything, Change::Unmap).expect("whole tables need no other");
    assert_eq!(machine.tables(), 1, "tables are left, and map nothing");
});
