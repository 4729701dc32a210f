//! Does all that can be done with a file, whatever is in it: `run.sh` says how to start it.
#![no_main]

use freestone_inspect::rules::{self, Options, Subject};
use freestone_inspect::symbols::Table;
use freestone_inspect::{File, size};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = File::from_bytes("fuzzed", bytes.to_vec()) else { return };
    let mut table = Table::new();
    let _ = table.add(&file);
    let _ = table.missing().count();
    for object in file.objects().into_iter().flatten().flatten() {
        let functions: usize = object.functions().map(|function| function.code.len()).sum();
        let relocations = (0..object.sections.len()).flat_map(|index| object.relocations(index));
        let _ = (functions, relocations.count(), object.notes().len(), object.crate_name());
    }
    let Ok(image) = file.image() else { return };
    let _ = size::sizes(&image);
    let subject = Subject::new(image, Options::default());
    let _ = (rules::check(&subject), rules::check_for_boot(&subject));
});
