//! The tables, in Markdown.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::cases::Case;
use crate::counters::Counts;
use crate::guest::{Guest, Peer};
use crate::load::Outcome;

/// One case in one counted boot.
pub struct Counted {
    /// What the guest did.
    pub counts: Counts,
    /// What it did it for.
    pub outcome: Outcome,
}

/// One case in one timed boot.
pub struct Timed {
    /// What QEMU took of the host.
    pub processor_time: Duration,
    /// What it took it for.
    pub outcome: Outcome,
}

/// All boots of a case's and a peer's names.
pub type Results<T> = BTreeMap<(&'static str, String), Vec<T>>;

/// The middle of the figures, with the least and the greatest.
fn spread(figures: impl Iterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let (least, greatest) = (*sorted.first()?, *sorted.last()?);
    let half = sorted.len() / 2;
    let middle =
        if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
    Some((least, middle, greatest))
}

/// A figure with three digits at least, and thousands apart.
fn number(figure: f64) -> String {
    if figure < 10.0 {
        return format!("{figure:.2}");
    }
    if figure < 100.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `middle (least–greatest)`, or a dash.
fn with_range(spread: Option<(f64, f64, f64)>) -> String {
    spread.map_or("–".into(), |(least, middle, greatest)| {
        format!("{} ({}–{})", number(middle), number(least), number(greatest))
    })
}

fn middle(spread: Option<(f64, f64, f64)>) -> String {
    spread.map_or("–".into(), |(_, middle, _)| number(middle))
}

/// How many times the first peer's figure this one is.
fn ratio(own: Option<(f64, f64, f64)>, first: Option<(f64, f64, f64)>) -> String {
    match (own, first) {
        (Some((_, own, _)), Some((_, first, _))) if first > 0.0 => format!("{:.2}", own / first),
        _ => "–".into(),
    }
}

/// The machine, the versions, and what was run.
pub fn print_machine(peers: &[Peer], rounds: usize, seconds: u64) -> Result<()> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let host = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = Command::new("qemu-system-x86_64").arg("--version").output()?;
    let version =
        String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default().to_owned();
    let processors = std::thread::available_parallelism()?;
    println!("{model}, {processors} processors, host Linux {}; {version}, TCG.", host.trim());
    println!("Load average before: {}. {rounds} rounds of {seconds} s.", load_average()?);
    for peer in peers {
        println!("{}: {} bytes.", peer.name, number(peer.bytes()? as f64));
    }
    Ok(())
}

/// The machine's load over 1, 5 and 15 minutes; this program's own part is in it.
pub fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// What does not depend on the load.
pub fn print_counts(peers: &[Peer], cases: &[&Case], results: &Results<Counted>) {
    println!(
        "\n| case | for one | peer | instructions | to the first | doorbells | interrupts | device reads | local APIC |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in cases {
        let of = |peer: &Peer, field: fn(&Counts) -> u64| {
            let boots = results.get(&(case.name, peer.name.clone())).map_or(&[][..], Vec::as_slice);
            spread(boots.iter().map(|boot| field(&boot.counts) as f64 / boot.outcome.done as f64))
        };
        for peer in peers {
            let instructions = of(peer, |counts| counts.instructions);
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                case.name,
                case.unit,
                peer.name,
                with_range(instructions),
                ratio(instructions, of(&peers[0], |counts| counts.instructions)),
                with_range(of(peer, |counts| counts.device_writes)),
                with_range(of(peer, |counts| counts.interrupts)),
                middle(of(peer, |counts| counts.device_reads)),
                middle(of(peer, |counts| counts.apic)),
            );
        }
    }
}

/// What depends on the load; ratios less than the rest.
pub fn print_times(peers: &[Peer], cases: &[&Case], results: &Results<Timed>) {
    println!(
        "\n| case | peer | per second | to the first | QEMU's processor µs for one | to the first | failed | longest, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases {
        let boots_of = |peer: &Peer| {
            results.get(&(case.name, peer.name.clone())).map_or(&[][..], Vec::as_slice)
        };
        let rate = |peer| {
            spread(
                boots_of(peer)
                    .iter()
                    .map(|boot| boot.outcome.done as f64 / boot.outcome.took.as_secs_f64()),
            )
        };
        let cost = |peer| {
            spread(
                boots_of(peer)
                    .iter()
                    .map(|boot| boot.processor_time.as_secs_f64() * 1e6 / boot.outcome.done as f64),
            )
        };
        for peer in peers {
            let failed: u64 = boots_of(peer).iter().map(|boot| boot.outcome.failed).sum();
            let longest = boots_of(peer).iter().filter_map(|boot| boot.outcome.longest).max();
            println!(
                "| {}, {} | {} | {} | {} | {} | {} | {failed} | {} |",
                case.name,
                case.unit,
                peer.name,
                with_range(rate(peer)),
                ratio(rate(peer), rate(&peers[0])),
                with_range(cost(peer)),
                ratio(cost(peer), cost(&peers[0])),
                longest.map_or("–".into(), |time| number(time.as_secs_f64() * 1e3)),
            );
        }
    }
}

/// The many connections in a row.
pub fn print_row_of_connections(guest: &Guest, outcome: &Outcome) -> Result<()> {
    println!(
        "\n{}: {} connections in a row, one request each: {} failed, longest {} ms, {} per second.",
        guest.name(),
        outcome.done + outcome.failed,
        outcome.failed,
        number(outcome.longest.unwrap_or_default().as_secs_f64() * 1e3),
        number(outcome.done as f64 / outcome.took.as_secs_f64()),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{number, spread};

    #[test]
    fn the_middle_of_an_even_number_is_between_the_two() {
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0].into_iter()), Some((1.0, 2.5, 4.0)));
        assert_eq!(spread([7.0].into_iter()), Some((7.0, 7.0, 7.0)));
        assert_eq!(spread(std::iter::empty()), None);
    }

    #[test]
    fn numbers_keep_three_digits_and_part_thousands() {
        assert_eq!(number(0.148), "0.15");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(1_234_567.0), "1,234,567");
    }
}
