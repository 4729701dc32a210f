//! Does all that the tool does with a file's bytes, whatever they are: `run.sh` says how to start it.
#![no_main]
#![allow(dead_code, reason = "the tool's own files, of which not everything is tried here")]

#[path = "../src/clock.rs"]
mod clock;
#[path = "../src/color.rs"]
mod color;
#[path = "../src/foreign.rs"]
mod foreign;
#[path = "../src/guard.rs"]
mod guard;
#[path = "../src/signals.rs"]
mod signals;
#[path = "../src/status.rs"]
mod status;
#[path = "../src/supervise/mod.rs"]
mod supervise;
#[path = "../src/unfinished.rs"]
mod unfinished;
#[path = "../src/whole.rs"]
mod whole;

#[path = "../src/image"]
mod image {
    pub mod bootable;
    pub mod dwarf;
    pub mod dwarf_lines;
    pub mod dwarf_reader;
    pub mod dwarf_split;
    pub mod instruction_log;
    pub mod name_table;
    pub mod name_words;
}

use image::instruction_log::{Counter, Functions};
use image::{bootable, dwarf, name_table};
use libfuzzer_sys::fuzz_target;

/// As the tool's own; nothing is to be seen here.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { let _ = format_args!($($text)*); };
}

#[macro_export]
macro_rules! tell {
    ($($text:tt)*) => { let _ = format_args!($($text)*); };
}

fuzz_target!(|bytes: &[u8]| {
    let _ = bootable::examine(bytes).map(|image| image.must_fit(64));
    let segments = bootable::executable(bytes).unwrap_or_default();
    let functions = name_table::functions(bytes).unwrap_or_default();
    let main = name_table::main_of(std::path::Path::new("kernel"), &functions);
    let starts: Vec<u64> = functions.keys().copied().take(16).collect();
    let named = name_table::with_names(bytes);
    // One of several rooms may be left.
    let _ = named.map(|named| name_table::with_names(&named.bytes).is_err());
    places(bytes, starts.into_iter().chain(segments.iter().map(|(range, _)| range.start)).take(32));
    // The same bytes as QEMU's log, for the functions that they have as an image, and for some that they have not.
    let moved = segments.into_iter().take(64).map(|(range, at)| (range, at)).collect();
    let some =
        (1..9_u64).map(|at| (at << 8, if at < 8 { format!("f{at}") } else { String::new() }));
    let log = Functions::new(
        if functions.is_empty() { some.collect() } else { functions },
        main.or(Some(0x300)),
        moved,
    );
    let mut counter = Counter::new(&log);
    counter.follow(bytes).expect("memory can be read");
    let _ = counter.chart();
});

fn places(bytes: &[u8], addresses: impl Iterator<Item = u64>) {
    // SAFETY: what is made of it is gone when this function returns.
    let bytes: &'static [u8] = unsafe { std::mem::transmute(bytes) };
    let Ok(debug) = dwarf::Debug::of(bytes, std::path::Path::new("/nonexistent")) else { return };
    for address in addresses {
        let _ = debug.frames(address);
    }
}
