//! The heap beside all others for stable Rust, and hosted ones.
//!
//! `cargo run --release` measures everything. With a word, only that: `time`, `memory`, `latency`. `--only a/b` names
//! contenders, `--cases x,y` cases, `--rounds N` measures longer. The two-thread cases want two processors.
//!
//! All heaps live in one process, each on an arena of its own, and take turns case by case, so that other load on the
//! machine affects all. The figure is the ratio of the medians to rlsf's behind a spin lock.

mod cases;
mod contenders;
mod latency;
mod memory;
mod report;

use cases::{CASES, Trace};
use contenders::{ALL, Arena, Contender};
use latency::Latency;
use report::Row;

fn main() {
    contenders::be_cpu(0);
    let (mut what, mut only, mut wanted, mut rounds) =
        (String::new(), String::new(), String::new(), 31);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--only" => only = value(),
            "--cases" => wanted = value(),
            "--rounds" => rounds = value().parse().expect("a number"),
            _ => what = word,
        }
    }
    let chosen = |one: &&Contender| {
        only.is_empty()
            || (one.name == ALL[0].name && !only.starts_with('='))
            || only.trim_start_matches('=').split('/').any(|name| name == one.name)
    };
    let all: Vec<_> = ALL.iter().filter(chosen).collect();
    let wants = |part: &str| what.is_empty() || what == part;
    let mut text = String::new();
    let mut rows = Vec::new();
    if wants("time") {
        text += &time(&all, &wanted, rounds, &mut rows);
    }
    if wants("memory") {
        text += &usable(&all);
    }
    let mut lines = Vec::new();
    if wants("latency") {
        text += &latencies(&all, &mut lines);
    }
    println!("{text}");
    if what.is_empty() && only.is_empty() && wanted.is_empty() {
        record(&text, rows, &lines);
    }
}

/// Everything has been measured: that is a record.
fn record(text: &str, mut rows: Vec<Row>, lines: &[(&'static str, Latency)]) {
    const SHOWN: [&str; 6] =
        ["rlsf", "freestone", "freestone, checked", "talc", "mimalloc", "jemalloc"];
    rows.retain(|row| SHOWN.contains(&row.name));
    let lines: Vec<_> =
        lines.iter().filter(|line| SHOWN.contains(&line.0)).map(|line| (line.0, &line.1)).collect();
    report::write("heap-time.svg", &report::bars(&CASES.map(|case| case.1), &rows));
    report::write("heap-latency.svg", &report::latencies(&lines, ticks_per_ns()));
    let cases: String = CASES.map(|(_, name, what)| format!("- *{name}*: {what}\n")).concat();
    let head = "# The heap beside others\n\nMade by `cargo run --release` in `benches/heap`. Times are ratios of medians to rlsf 32/32 behind a \
        spin lock, which has its nanoseconds per operation; all contenders in one process, in turns. *freestone* is `Cached` with spans, \
        *plain* is `Heap`, *direct* the same heap as *freestone* without its magazines.\n\n";
    let pictures = "![times](heap-time.svg)\n\n![latencies](heap-latency.svg)\n";
    report::write(
        "heap.md",
        &format!("{head}{}\n{cases}\n{text}\n{pictures}", report::circumstances()),
    );
}

fn ticks_per_ns() -> f64 {
    use std::arch::x86_64::_rdtsc;
    let (start, clock) = (std::time::Instant::now(), || {
        // SAFETY: it can always be executed.
        unsafe { _rdtsc() }
    });
    let first = clock();
    while start.elapsed().as_millis() < 20 {}
    (clock() - first) as f64 / start.elapsed().as_nanos() as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn time(all: &[&Contender], wanted: &str, rounds: usize, rows: &mut Vec<Row>) -> String {
    let trace = Trace::new(0x1234_5678_9abc);
    let heaps: Vec<_> = all.iter().map(|one| (one.make)(Arena::new(64 << 20))).collect();
    let mut text = String::from("| heap |");
    let mut columns = vec![Vec::new(); heaps.len()];
    for (case, name, _) in CASES {
        if !wanted.is_empty() && !wanted.split(',').any(|part| name.contains(part)) {
            continue;
        }
        text += &format!(" {name} |");
        let mut times = vec![Vec::new(); heaps.len()];
        for round in 0..=rounds {
            for (heap, times) in heaps.iter().zip(&mut times) {
                let time = heap.run(case, &trace);
                // The first round warms up.
                if round > 0 {
                    times.push(time);
                }
            }
        }
        for (times, column) in times.iter_mut().zip(&mut columns) {
            column.push(median(times));
        }
    }
    text += &format!("\n|---|{}\n", "---|".repeat(columns[0].len()));
    for (one, column) in all.iter().zip(&columns) {
        let ratios: Vec<_> =
            column.iter().zip(&columns[0]).map(|(time, base)| time / base).collect();
        let cells: Vec<_> = if one.name == all[0].name {
            column.iter().map(|time| format!("{time:.1} ns")).collect()
        } else {
            ratios.iter().map(|ratio| format!("{ratio:.2}")).collect()
        };
        text += &format!("| {} | {} |\n", one.name, cells.join(" | "));
        rows.push(Row { name: one.name, ratios });
    }
    text
}

fn usable(all: &[&Contender]) -> String {
    let names = memory::FILLS.map(|(_, name)| name).join(" | ");
    let mut text = format!(
        "\n| of 16 MiB can be used, % | {names} |\n|---|{}\n",
        "---|".repeat(memory::FILLS.len())
    );
    // It looks through a list as long as the arena has holes: minutes for its row, so only by itself, `--only =` and its name.
    let slow = "linked_list_allocator";
    for one in all.iter().filter(|one| one.bounded && (all.len() == 1 || one.name != slow)) {
        text += &format!("| {} |", one.name);
        for (fill, _) in memory::FILLS {
            let heap = (one.make)(Arena::new(memory::ARENA));
            text += &format!(" {:.1} |", heap.fill(fill));
        }
        text += "\n";
    }
    text
}

fn latencies(all: &[&Contender], lines: &mut Vec<(&'static str, Latency)>) -> String {
    let (trace, scale) = (Trace::new(0x1234_5678_9abc), ticks_per_ns());
    let mut text = "\n| one operation, ns | 50 % | 99 % | 99.9 % | 99.99 % | worst |\n|---|---|---|---|---|---|\n".to_owned();
    for one in all {
        let heap = (one.make)(Arena::new(64 << 20));
        let times = heap.latency(&trace, 31);
        let cells = [0.5, 0.99, 0.999, 0.9999, 1.0]
            .map(|share| format!("{:.0}", f64::from(times.at(share)) / scale));
        text += &format!("| {} | {} |\n", one.name, cells.join(" | "));
        lines.push((one.name, times));
    }
    text
}
