//! Network and disk of kernels beside a Linux guest: requests, connections, bulk, pings and reads of blocks.
//!
//! `cargo run --release -- measure --kernel NAME=IMAGE` in `benches/net` prints two Markdown tables. The first has what
//! does not depend on the machine's load: instructions, doorbells and interrupts for one request. The second has rates
//! and QEMU's processor time. Peers take turns, each turn on a fresh boot. The README says what a kernel must offer.

mod cases;
mod counters;
mod guest;
mod initramfs;
mod load;
mod packages;
mod report;
mod sandbox;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use cases::{CASES, Case};
use guest::{Guest, Peer};
use load::Amount;
use report::{Counted, Results, Timed};

/// What can go wrong here: a sentence for the person who runs it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about = "Network and disk beside a Linux guest")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fetches and builds the Linux guest, and nothing else.
    Prepare,
    /// Runs all peers in turns and prints the tables. Needs root, for a network namespace and a tap.
    Measure(Options),
    /// What `measure` runs inside its namespaces.
    #[command(hide = true)]
    Inside(Options),
}

#[derive(Args)]
struct Options {
    /// A kernel to measure beside Linux; repeatable.
    #[arg(long, value_name = "NAME=IMAGE", value_parser = parse_kernel)]
    kernel: Vec<(String, PathBuf)>,
    /// Fresh boots of each peer for the table of times.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Fresh boots of each peer for the table of counts.
    #[arg(long, default_value_t = 3)]
    count_rounds: usize,
    /// Seconds for each case in a round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections of one request each, in a row, on a boot of their own; 0 leaves that out.
    #[arg(long, default_value_t = 100_000)]
    connections: u64,
    /// Only cases whose name contains this text.
    #[arg(long, default_value = "")]
    only: String,
    /// The path that requests over HTTP name.
    #[arg(long, default_value = "/")]
    path: String,
    /// More words for Linux' command line; the last of two that contradict counts.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    linux: String,
    /// QEMU's machine type.
    #[arg(long, default_value = "q35")]
    machine: String,
}

fn parse_kernel(text: &str) -> std::result::Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=IMAGE")?;
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    if path.is_file() {
        Ok((name.into(), path))
    } else {
        Err(format!("no file {}", path.display()))
    }
}

fn main() {
    let outcome = match Arguments::parse().verb {
        Verb::Prepare => prepare(),
        Verb::Measure(_) => prepare().and_then(|()| sandbox::enter()),
        Verb::Inside(options) => sandbox::set_up().and_then(|()| measure(&options)),
    };
    if let Err(error) = outcome {
        eprintln!("net-bench: {error}");
        std::process::exit(1);
    }
}

fn prepare() -> Result<()> {
    packages::fetch()?;
    initramfs::build()?;
    counters::build()
}

fn measure(options: &Options) -> Result<()> {
    let mut peers = vec![Peer::linux(&options.linux)?];
    peers.extend(options.kernel.iter().map(|(name, image)| Peer::kernel(name, image)));
    // Set once: this is called once.
    let _ = load::http::PATH.set(options.path.clone());
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name.contains(&options.only)).collect();
    report::print_machine(&peers, options.rounds, options.seconds)?;

    let mut counts = BTreeMap::new();
    for round in 1..=options.count_rounds {
        for peer in &peers {
            eprintln!("counting, round {round} of {}: {}", options.count_rounds, peer.name);
            count(peer, &options.machine, &cases, &mut counts)?;
        }
    }
    report::print_counts(&peers, &cases, &counts);

    let mut times = BTreeMap::new();
    for round in 1..=options.rounds {
        for peer in &peers {
            eprintln!(
                "timing, round {round} of {}: {}, load {}",
                options.rounds,
                peer.name,
                report::load_average()?
            );
            time(peer, options, &cases, &mut times)?;
        }
    }
    report::print_times(&peers, &cases, &times);

    if options.connections > 0 {
        for peer in &peers {
            eprintln!("{} connections in a row: {}", options.connections, peer.name);
            let guest = Guest::boot(peer, &options.machine, None)?;
            let outcome = load::http::connections(Amount::Count(options.connections))?;
            report::print_row_of_connections(&guest, &outcome)?;
        }
    }
    println!("\nLoad average at the end: {}", report::load_average()?);
    Ok(())
}

/// One boot with the counting plugin; each case does a fixed amount of work.
fn count(peer: &Peer, machine: &str, cases: &[&Case], into: &mut Results<Counted>) -> Result<()> {
    let mut guest = Guest::boot(peer, machine, Some(counters::Files::new()?))?;
    for case in cases {
        let Some(warm_up) = run(&mut guest, case, case.warm_up) else { continue };
        if warm_up.done == 0 {
            continue;
        }
        let before = guest.counts()?;
        let Some(outcome) = run(&mut guest, case, case.counted) else { continue };
        let counts = guest.counts()?.since(&before);
        let key = (case.name, peer.name.clone());
        into.entry(key).or_default().push(Counted { counts, outcome });
    }
    Ok(())
}

/// One boot as fast as it goes.
fn time(peer: &Peer, options: &Options, cases: &[&Case], into: &mut Results<Timed>) -> Result<()> {
    let mut guest = Guest::boot(peer, &options.machine, None)?;
    for case in cases {
        if run(&mut guest, case, case.warm_up).is_none() {
            continue;
        }
        let before = guest.processor_time()?;
        let Some(outcome) = run(&mut guest, case, case.timed(options.seconds)) else { continue };
        let processor_time = guest.processor_time()? - before;
        let key = (case.name, peer.name.clone());
        into.entry(key).or_default().push(Timed { processor_time, outcome });
    }
    Ok(())
}

/// Runs a case, or says on the standard error output why this peer has no figure for it.
fn run(guest: &mut Guest, case: &Case, amount: Amount) -> Option<load::Outcome> {
    match (case.run)(amount) {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            eprintln!("  {}: {}: {error}", guest.name(), case.name);
            None
        }
    }
}
