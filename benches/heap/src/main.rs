//! The heap beside every other one that can be had on stable Rust, and hosted ones.
//!
//! `cargo run --release` measures everything. With a word, only that: `time`, `memory`, `latency`. `--only a,b` names
//! contenders, `--cases x,y` cases, `--rounds N` measures longer. The two-thread cases want two processors.
//!
//! All heaps live in one process, each on an arena of its own, and take turns case by case, so that whatever else the
//! machine does falls on all. The figure is the ratio of the medians to rlsf's behind a spin lock.

mod cases;
mod contenders;
mod latency;
mod memory;

use cases::{CASES, Trace};
use contenders::{ALL, Arena, Contender};

fn main() {
    contenders::be_cpu(0);
    let (mut what, mut only, mut wanted, mut rounds) =
        (String::new(), String::new(), String::new(), 31);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--only" => only = format!("{},", value()),
            "--cases" => wanted = value(),
            "--rounds" => rounds = value().parse().expect("a number"),
            _ => what = word,
        }
    }
    let chosen = |one: &&Contender| {
        only.is_empty()
            || (one.name == ALL[0].name && !only.starts_with("="))
            || only.trim_start_matches('=').split(',').any(|name| name == one.name)
    };
    let all: Vec<_> = ALL.iter().filter(chosen).collect();
    if what.is_empty() || what == "time" {
        time(&all, &wanted, rounds);
    }
    if what.is_empty() || what == "memory" {
        usable(&all);
    }
    if what.is_empty() || what == "latency" {
        latencies(&all);
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn time(all: &[&Contender], wanted: &str, rounds: usize) {
    let trace = Trace::new(0x1234_5678_9abc);
    let heaps: Vec<_> = all.iter().map(|one| (one.make)(Arena::new(64 << 20))).collect();
    println!("| case | {} |", all.iter().map(|one| one.name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(all.len()));
    for (case, name, _) in CASES {
        if !wanted.is_empty() && !wanted.split(',').any(|part| name.contains(part)) {
            continue;
        }
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
        let medians: Vec<_> = times.iter_mut().map(|times| median(times)).collect();
        let mut line = format!("| {name} | {:.1} ns", medians[0]);
        for time in &medians[1..] {
            line += &format!(" | {:.2}", time / medians[0]);
        }
        println!("{line} |");
    }
}

fn usable(all: &[&Contender]) {
    println!("\n| usable, % | {} |", memory::FILLS.map(|(_, name)| name).join(" | "));
    println!("|---|{}", "---|".repeat(memory::FILLS.len()));
    for one in all.iter().filter(|one| one.bounded) {
        let mut line = format!("| {}", one.name);
        for (fill, _) in memory::FILLS {
            let heap = (one.make)(Arena::new(memory::ARENA));
            line += &format!(" | {:.1}", heap.fill(fill));
        }
        println!("{line} |");
    }
}

fn latencies(all: &[&Contender]) {
    let trace = Trace::new(0x1234_5678_9abc);
    println!("\n| ticks | 50 % | 99 % | 99.9 % | 99.99 % | worst |\n|---|---|---|---|---|---|");
    for one in all {
        let heap = (one.make)(Arena::new(64 << 20));
        let times = heap.latency(&trace, 15);
        let shares = [0.5, 0.99, 0.999, 0.9999, 1.0].map(|share| times.at(share).to_string());
        println!("| {} | {} |", one.name, shares.join(" | "));
    }
}
