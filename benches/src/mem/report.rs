//! What was measured, as text, as Markdown and as pictures.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::cases::{Case, Place, Routine, Size};
use crate::contenders::Contender;
use crate::measure::Time;

pub type Row = (Case, Vec<Option<Time>>);

/// Below this, a row is a loss: more than runs differ by.
const LOSS: f64 = 0.95;

/// The terminal's first line.
pub fn heading(contenders: &[Contender]) -> String {
    contenders.iter().fold(format!("{:36}", ""), |line, contender| {
        line + &format!(" {:>15}", shortened(&contender.name))
    })
}

fn shortened(name: &str) -> &str {
    &name[..name.len().min(15)]
}

/// One row for the terminal: nanoseconds, and the first contender's as a multiple of them.
pub fn line(name: &str, times: &[Option<Time>]) -> String {
    let first = times.first().copied().flatten();
    times.iter().fold(format!("{name:36}"), |line, time| {
        line + &match (time, first) {
            (Some(time), Some(first)) => {
                format!(" {:9.2}({:4.2})", time.median, first.median / time.median)
            }
            (Some(time), None) => format!(" {:15.2}", time.median),
            _ => format!(" {:>15}", "-"),
        }
    })
}

/// How many times as fast as the first one.
fn ratio(times: &[Option<Time>], who: usize) -> Option<f64> {
    Some(times[0]?.median / times[who]?.median)
}

/// Writes `records/mem.md` and `records/mem-<routine>.svg`.
pub fn write(contenders: &[Contender], rows: &[Row]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    std::fs::write(folder.join("mem.md"), record(contenders, rows))?;
    for routine in Routine::ALL {
        let picture = picture(routine, contenders, rows);
        std::fs::write(folder.join(format!("mem-{}.svg", routine.name())), picture)?;
    }
    println!("wrote {}", folder.join("mem.md").display());
    Ok(())
}

fn output(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line =
            info.lines().find(|line| line.split(':').next().is_some_and(|f| f.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or("?").trim().to_owned()
    };
    format!("{}, family {} model {}", field("model name"), field("cpu family"), field("model"))
}

fn record(contenders: &[Contender], rows: &[Row]) -> String {
    let mut text = String::from(
        "# memcpy, memmove, memset, memcmp, bcmp, strlen\n\n\
         Each cell says how many times as fast as `compiler_builtins` (general-purpose registers, 0.1.160, \
         as a kernel has it) a contender is: its median over this one's, all contenders taking turns \
         in one process. *Spread* is half the distance between the quartiles of `compiler_builtins`' \
         times, in percent. Up to 4 KiB a batch is 64 equal calls over and over, so sizes are \
         predictable; a *mix* is 65,536 different ones. `portable` is what other machines get, but as \
         the compiler makes it for this one, with SSE2.\n\n\
         `cargo run --release -p freestone-benches --bin mem`\n\n",
    );
    let _ = writeln!(
        text,
        "{}, two shared cores; {}; {}; commit {}.\n",
        processor(),
        output("rustc", &["--version"]),
        output("ldd", &["--version"]),
        output("git", &["rev-parse", "--short", "HEAD"]),
    );
    text += &means(contenders, rows);
    text += LOSSES;
    text += &losses(contenders, rows);
    text += ALTERNATIVES;
    for routine in Routine::ALL {
        let _ = writeln!(text, "## {0}\n\n![{0}](mem-{0}.svg)\n", routine.name());
        text += &table(routine, contenders, rows);
    }
    text
}

/// Geometric means over all rows.
fn means(contenders: &[Contender], rows: &[Row]) -> String {
    let mean = |routine: Routine, who: usize| {
        let of = rows.iter().filter(|(case, _)| case.routine == routine);
        let logs: Vec<f64> = of.filter_map(|(_, times)| ratio(times, who)).map(f64::ln).collect();
        (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    };
    let mut text = String::from("## Geometric means\n\n|");
    for contender in contenders {
        let _ = write!(text, " | {}", contender.name);
    }
    text += " |\n|---|";
    text += &"---|".repeat(contenders.len());
    for routine in Routine::ALL {
        let _ = write!(text, "\n| {} ", routine.name());
        for who in 0..contenders.len() {
            let mean = mean(routine, who);
            text += &if mean.is_nan() { "| - ".into() } else { format!("| {mean:.2} ") };
        }
        text += "|";
    }
    text + "\n\n"
}

const LOSSES: &str = "## Losses of the default body\n\n\
    Rows where `gpr` is slower than `compiler_builtins` by more than 5 %. From 64 KiB on all wait for memory, and \
    rows differ between runs by more than that where others use the machine: measured by themselves three times, all \
    rows of 16 MiB of `memcmp`, `bcmp` and backward `memmove` were 0.97 to 1.04.\n\n";

/// Measured by hand, with `--with`; the numbers are of one run each, on the processor named.
const ALTERNATIVES: &str = "## What was tried where general-purpose registers end\n\n\
    Granite Rapids (by its caches; the virtual machine does not say), times as fast as `compiler_builtins`, in one process each.\n\n\
    | `memmove` to 24 above | 512 | 1 KiB | 4 KiB | 64 KiB | 1 MiB |\n|---|---|---|---|---|---|\n\
    | 32 bytes a turn | 12.8 | 6.0 | 2.85 | 1.48 | 1.40 |\n\
    | 64 bytes a turn | 13.6 | 7.8 | 3.32 | 1.48 | 1.40 |\n\
    | 64, eight loads before eight stores | 13.1 | 7.8 | 3.13 | 1.45 | 1.37 |\n\
    | 128 | 14.2 | 8.5 | 3.66 | 1.47 | 1.40 |\n\
    | **128, prefetching 512 below** | 13.8 | 8.2 | 3.55 | 1.66 | 1.58 |\n\
    | 128, prefetching 256, 1024, 2048 below | | | 3.3 to 3.6 | 1.64 to 1.67 | 1.57 to 1.59 |\n\
    | 128, `prefetchw` | | | 3.55 | 1.65 | 1.57 |\n\
    | SSE2, for comparison | 12.5 | 10.2 | 5.4 | 2.2 | 2.1 |\n\n\
    4 KiB take 512 stores of eight bytes, two a cycle at most: 64 ns at this machine's 4 GHz, which is what they take. \
    Ten times `compiler_builtins` would be 23 ns. A block moved forward by `rep` may be no longer than the distance, 24 bytes, \
    for 2.7 ns each; by way of a buffer on the stack every byte is moved twice, 50 ns and 4 KiB of somebody's stack.\n\n\
    | `memset` | 512 aligned | 512 misaligned | 1 KiB aligned | 1 KiB misaligned |\n|---|---|---|---|---|\n\
    | **`rep stosb` from 513 bytes on** | | | 1.47 | 1.23 |\n\
    | `rep stosb` | 1.52 | 1.25 | 1.47 | 1.23 |\n\
    | the same from a boundary of 32 or 64, the ends by words | 1.2 to 1.3 | 1.2 to 1.36 | 1.2 to 1.27 | 1.19 to 1.30 |\n\
    | **words on boundaries, 32 bytes a turn** | 1.79 | 1.83 | 0.85 | 0.89 |\n\
    | 64 and 128 bytes a turn | 1.79 | 1.7 to 1.8 | 0.98 | 1.0 |\n\n\
    `memcmp` by 64 bytes a turn, prefetching 1 KiB ahead: 64 KiB 1.32 instead of 1.16, 1 MiB 1.40 instead of 1.13, but 4 KiB \
    1.19 instead of 1.26 and 1 KiB 1.52 instead of 1.63; 16 MiB 1.06 either way. Left out: a second loop for ranges that are rare.\n\n";

fn losses(contenders: &[Contender], rows: &[Row]) -> String {
    let gpr = contenders.iter().position(|contender| contender.name == "gpr").unwrap_or(0);
    let mut text = String::new();
    for (case, times) in rows {
        if let Some(ratio) = ratio(times, gpr).filter(|ratio| *ratio < LOSS) {
            let _ = writeln!(text, "- {} {}: {ratio:.2}", case.routine.name(), case.name());
        }
    }
    if text.is_empty() {
        text += "None in this run.\n";
    }
    text + "\n"
}

fn table(routine: Routine, contenders: &[Contender], rows: &[Row]) -> String {
    let mut text = String::from("| bytes, place | ns | spread");
    for contender in &contenders[1..] {
        let _ = write!(text, " | {}", contender.name);
    }
    text += " |\n|---|---|---|";
    text += &"---|".repeat(contenders.len() - 1);
    text.push('\n');
    for (case, times) in rows.iter().filter(|(case, _)| case.routine == routine) {
        let Some(first) = times[0] else { continue };
        let spread = 50.0 * (first.high - first.low) / first.median;
        let _ = write!(text, "| {} | {:.2} | {spread:.0} %", case.name(), first.median);
        for who in 1..times.len() {
            match ratio(times, who) {
                Some(ratio) => _ = write!(text, " | {ratio:.2}"),
                None => text += " | -",
            }
        }
        text += " |\n";
    }
    text.push('\n');
    text
}

const COLOURS: [&str; 12] = [
    "#888888", "#d55e00", "#cc79a7", "#999933", "#0072b2", "#56b4e9", "#009e73", "#117733",
    "#332288", "#e69f00", "#aa4499", "#000000",
];
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const MARGIN: f64 = 48.0;
/// Ratios from half to sixty-four times.
const DECADES: (f64, f64) = (-1.0, 6.0);

/// Ratio over size, both logarithmic, for the routine's first place.
fn picture(routine: Routine, contenders: &[Contender], rows: &[Row]) -> String {
    let place = |case: &Case| match routine {
        Routine::Memmove => case.place == Place::Above(24),
        _ => case.place == Place::Aligned,
    };
    let x = |n: usize| MARGIN + (n as f64).log2() / 24.0 * (WIDTH - 4.0 * MARGIN);
    let y = |ratio: f64| {
        let part = (ratio.log2().clamp(DECADES.0, DECADES.1) - DECADES.0) / (DECADES.1 - DECADES.0);
        HEIGHT - MARGIN - part * (HEIGHT - 2.0 * MARGIN)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-size=\"14\">{}: times as fast as compiler_builtins, \
         by bytes</text>\n",
        routine.name(),
    );
    for power in DECADES.0 as i32..=DECADES.1 as i32 {
        let (ratio, at) = (2f64.powi(power), y(2f64.powi(power)));
        let end = WIDTH - 3.0 * MARGIN;
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {at:.1}H{end}\" stroke=\"#ddd\"/><text x=\"8\" y=\"{at:.1}\">{ratio}</text>"
        );
    }
    for n in (0..=24).step_by(4).map(|power| 1usize << power) {
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{n}</text>", x(n), HEIGHT - MARGIN + 18.0);
    }
    for (who, contender) in contenders.iter().enumerate() {
        let (colour, mut points) = (COLOURS[who % COLOURS.len()], String::new());
        for (case, times) in rows.iter().filter(|(case, _)| case.routine == routine && place(case))
        {
            if let (Size::Fixed(n), Some(ratio)) = (case.size, ratio(times, who)) {
                let _ = write!(points, "{:.1},{:.1} ", x(n), y(ratio));
            }
        }
        if points.is_empty() {
            continue;
        }
        let thick = if contender.name == "gpr" { 3 } else { 1 };
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thick}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
            WIDTH - 3.0 * MARGIN + 8.0,
            MARGIN + 16.0 * who as f64,
            contender.name,
        );
    }
    svg + "</svg>\n"
}
