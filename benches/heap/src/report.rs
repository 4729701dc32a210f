//! Writes `benches/records/`: tables as Markdown, and pictures as SVG.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::latency::Latency;

/// Ratios of one contender, case by case.
pub struct Row {
    pub name: &'static str,
    pub ratios: Vec<f64>,
}

const COLOURS: [&str; 6] = ["#888888", "#1f5fbf", "#7fb2e5", "#d9822b", "#5a9e4b", "#a05195"];

/// A bar for each case and contender, 1 for rlsf; longer ones are cut at 2.
pub fn bars(cases: &[&str], rows: &[Row]) -> String {
    let height = cases.len() * (rows.len() * 12 + 16) + 20;
    let mut svg = open(height);
    for (at, case) in cases.iter().enumerate() {
        let top = 10 + at * (rows.len() * 12 + 16);
        _ = writeln!(svg, "<text x=\"4\" y=\"{}\">{case}</text>", top + 10);
        for (number, row) in rows.iter().enumerate() {
            let (ratio, y) = (row.ratios[at], top + number * 12);
            let (width, colour) = (ratio.min(2.0) * 180.0, COLOURS[number % COLOURS.len()]);
            _ = writeln!(
                svg,
                "<rect x=\"150\" y=\"{y}\" width=\"{width:.0}\" height=\"10\" fill=\"{colour}\"/>"
            );
            let text = 154.0 + width;
            _ = writeln!(
                svg,
                "<text x=\"{text:.0}\" y=\"{}\">{ratio:.2} {}</text>",
                y + 9,
                row.name
            );
        }
    }
    svg + "</svg>\n"
}

/// How many operations took longer than so many nanoseconds: both axes logarithmic.
pub fn latencies(lines: &[(&str, &Latency)], ticks_per_ns: f64) -> String {
    let mut svg = open(300);
    let x = |ns: f64| 60.0 + (ns.max(10.0) / 10.0).log10() * 260.0;
    let y = |share: f64| 20.0 + -(share.max(1e-6)).log10() * 40.0;
    for ns in [10, 30, 100, 300, 1000] {
        _ = writeln!(svg, "<text x=\"{:.0}\" y=\"290\">{ns} ns</text>", x(ns.into()));
    }
    for power in 0..6 {
        let share = 0.1_f64.powi(power);
        _ = writeln!(svg, "<text x=\"4\" y=\"{:.0}\">{share:.0e}</text>", y(share) + 4.0);
    }
    for (number, (name, times)) in lines.iter().enumerate() {
        let (mut path, len) = (String::new(), times.0.len());
        let mut last = 0;
        for (at, &ticks) in times.0.iter().enumerate() {
            if ticks != last {
                let (left, down) =
                    (x(f64::from(ticks) / ticks_per_ns), y((len - at) as f64 / len as f64));
                _ = write!(path, "{}{left:.1},{down:.1} ", if last == 0 { "M" } else { "L" });
                last = ticks;
            }
        }
        let colour = COLOURS[number % COLOURS.len()];
        _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        );
        _ = writeln!(
            svg,
            "<text x=\"420\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            30 + number * 14
        );
    }
    svg + "</svg>\n"
}

fn open(height: usize) -> String {
    let font = "font-family=\"sans-serif\" font-size=\"10\"";
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 {height}\" {font}>\n")
}

/// The machine, the commit and the compiler.
pub fn circumstances() -> String {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_or_else(
            |_| "unknown".into(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let processor = processor.trim_start_matches(['\t', ' ', ':']);
    format!(
        "{processor}, family and model {}, {} processors; commit {}; {}.\n",
        ["cpu family", "model\t"]
            .map(|key| info.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("?"))
            .map(|value| value.trim_start_matches(['\t', ' ', ':']).to_owned())
            .join("/"),
        info.matches("\nprocessor").count() + 1,
        output("git", &["rev-parse", "--short", "HEAD"]),
        output("rustc", &["--version"]),
    )
}

pub fn write(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../records");
    std::fs::write(folder.join(name), text).expect("benches/records can be written");
}
