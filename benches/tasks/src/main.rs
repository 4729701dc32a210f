//! The executor beside others for stable Rust, and hosted ones: what a wake-up and a poll cost, a spawned task, a timer, a
//! parked task.
//!
//! `cargo run --release` measures everything; `--rounds N` measures longer. All live in one process and take turns, so that
//! other load on the machine affects all. A figure is the median of the rounds, in nanoseconds.

mod contenders;
mod count;

use contenders::{ALL, Case, Contender};

#[global_allocator]
static HEAP: count::Counting = count::Counting;

fn main() {
    let mut rounds = 31;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => rounds = words.next().and_then(|n| n.parse().ok()).expect("a number"),
            other => panic!("{other}: no such option"),
        }
    }
    print!("| ns |");
    ALL.iter().for_each(|one| print!(" {} |", one.name));
    println!("\n|---|{}", "---|".repeat(ALL.len()));
    for case in Case::ALL {
        print!("| {} |", case.name());
        for row in medians(case, rounds) {
            match row {
                Some(ns) => print!(" {ns:.1} |"),
                None => print!(" – |"),
            }
        }
        println!();
    }
    println!("\n| bytes a parked task takes, over its future | |\n|---|---|");
    for one in ALL {
        if let Some(park) = one.park {
            const TASKS: usize = 1_000_000;
            let before = count::bytes();
            let kept = park(TASKS);
            let bytes = (count::bytes() - before) as f64 / TASKS as f64;
            println!("| {} | {bytes:.1} |", one.name);
            std::mem::forget(kept);
        }
    }
}

/// Of each contender, for one thing done once.
fn medians(case: Case, rounds: usize) -> Vec<Option<f64>> {
    let mut all: Vec<Vec<f64>> = ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (one, times) in ALL.iter().zip(&mut all) {
            if let Some(run) = Contender::of(one, case) {
                let (count, took) = run();
                times.push(took.as_nanos() as f64 / count as f64);
            }
        }
    }
    all.into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied()
        })
        .collect()
}
