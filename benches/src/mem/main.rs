//! The memory routines beside the compiler's, two C libraries' and the bare string instructions.
//!
//! `cargo run --release -p freestone-benches --bin mem` measures every case and writes
//! `benches/records/mem.md` and a picture per routine. With words, only cases whose name has one of them,
//! to the terminal: `mem "memcpy mix,strlen 64"`. `--rounds N` measures longer, and
//! `--with library.so:prefix` adds the functions `prefix_memcpy` and so on.
//!
//! Contenders take turns in one process, so that other load on the machine affects all. The
//! figure is the ratio of the medians; nanoseconds depend on the machine and the hour.
//!
//! `compiler_builtins` needs nightly, and musl Debian's `musl-dev`; contenders that are missing are left out.

mod cases;
mod contenders;
mod measure;
mod report;
mod rivals;

use std::path::Path;

const ROUNDS: usize = 151;

fn main() {
    let (mut wanted, mut rounds, mut contenders) = (Vec::new(), ROUNDS, rivals::all());
    contenders.push(contenders::rep());
    contenders.extend(contenders::ours());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--rounds" => rounds = value().parse().expect("a number of rounds"),
            "--only" => {
                let names = value();
                let chosen = |name: &str| names.split('/').any(|one| one == name);
                contenders.retain(|contender| chosen(&contender.name));
            }
            "--with" => {
                let library = value();
                let (path, prefix) = library.split_once(':').expect("library.so:prefix");
                let loaded = contenders::load(prefix, Path::new(path), &format!("{prefix}_"));
                contenders.push(loaded.expect("a shared library"));
            }
            words => wanted.extend(words.split(',').map(str::to_owned)),
        }
    }

    let mut arena = measure::Arena::new();
    let mut rows = Vec::new();
    for case in cases::all() {
        let name = format!("{} {}", case.routine.name(), case.name());
        let has = |part: &str| name.contains(part.trim());
        if !wanted.is_empty() && !wanted.iter().any(|words| words.split('+').all(has)) {
            continue;
        }
        let times = measure::measure(&case, &contenders, &mut arena, rounds);
        if rows.is_empty() {
            println!("{}", report::heading(&contenders));
        }
        println!("{}", report::line(&name, &times));
        rows.push((case, times));
    }
    if wanted.is_empty() {
        report::write(&contenders, &rows).expect("benches/records can be written");
    }
}
