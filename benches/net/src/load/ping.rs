//! Echo requests, the next as soon as one is answered, by `ping -f` of iputils.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Amount, GUEST, Outcome};
use crate::{Result, packages};

/// Floods the guest with pings.
///
/// # Errors
///
/// `ping` does not run, its summary has another form, or nothing was answered.
pub fn flood(amount: Amount) -> Result<Outcome> {
    let mut ping = Command::new(packages::ping());
    ping.args(["-f", "-q"]);
    match amount {
        Amount::For(time) => ping.args(["-w", &time.as_secs().to_string()]),
        // A deadline too: without it, pings that nobody answers go on for minutes.
        Amount::Count(count) => ping.args(["-w", "60", "-c", &count.to_string()]),
    };
    let start = Instant::now();
    let output = ping.arg(GUEST.to_string()).output()?;
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let (sent, done, longest) =
        summary(&text).ok_or_else(|| format!("no summary of ping in {text:?}"))?;
    if done == 0 {
        return Err("no ping was answered".into());
    }
    // The one that was on its way at the deadline is not lost.
    let failed = (sent - done).saturating_sub(u64::from(matches!(amount, Amount::For(_))));
    Ok(Outcome { done, failed, took, longest: Some(longest) })
}

/// Sent, answered, and the longest time, which is zero if nothing was answered.
fn summary(text: &str) -> Option<(u64, u64, Duration)> {
    let counts = text.lines().find(|line| line.contains("packets transmitted"))?;
    let mut numbers = counts.split(", ").map(|part| part.split(' ').next()?.parse().ok());
    let (sent, done) = (numbers.next()??, numbers.next()??);
    let longest = text.lines().find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "));
    let longest = match longest {
        Some(times) => times.split('/').nth(2)?.parse::<f64>().ok()?,
        None => 0.0,
    };
    Some((sent, done, Duration::from_secs_f64(longest / 1000.0)))
}

#[cfg(test)]
mod tests {
    use super::summary;
    use std::time::Duration;

    #[test]
    fn a_summary_is_read_whether_or_not_all_were_answered() {
        let all = "2000 packets transmitted, 1999 received, 0.05% packet loss, time 527ms\n\
                   rtt min/avg/max/mdev = 0.146/0.217/4.849/0.129 ms, ipg/ewma 0.263/0.205 ms\n";
        assert_eq!(summary(all), Some((2000, 1999, Duration::from_micros(4849))));
        let none =
            "20 packets transmitted, 0 received, +19 errors, 100% packet loss, time 5ms\npipe 13\n";
        assert_eq!(summary(none), Some((20, 0, Duration::ZERO)));
        assert_eq!(summary("connect: Network is unreachable"), None);
    }
}
