//! The boot chart as a picture: a bar for each stage, as long as its instructions, with its busiest functions in
//! darker shades; one part under the other, each to a scale of its own.

use std::fmt::Write as _;

use crate::image::instruction_log::{Chart, Functions, Stage};
use crate::verbs::hot::{grouped, hot};

const WIDTH: u64 = 960;
const ROW: u64 = 20;
/// Where bars begin, and how long the longest is.
const LEFT: u64 = 380;
const LONGEST: u64 = 470;
/// Names are cut to this many characters, which fit in front of a bar.
const NAME: usize = 54;
const REST: &str = "#b9cde5";
const SHADES: [&str; 3] = ["#1f5a9c", "#4a86c6", "#7fabd9"];

/// The whole picture.
pub fn picture(title: &str, chart: &Chart, functions: &Functions) -> String {
    let mut body = String::new();
    let mut y = 28;
    let _ = writeln!(body, "<text x=\"12\" y=\"{y}\" class=\"t\">{}</text>", escaped(title));
    for (part, section) in &chart.parts {
        y += 2 * ROW;
        let title = chart.title(*part);
        let count = grouped(section.instructions);
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{y}\" class=\"p\">{title}: {count} instructions</text>"
        );
        let most = section.stages.iter().map(|stage| stage.instructions).max().unwrap_or(1).max(1);
        for stage in &section.stages {
            y += ROW;
            row(&mut body, y, most, stage, functions);
        }
    }
    let height = y + 2 * ROW;
    let _ = writeln!(
        body,
        "<text x=\"12\" y=\"{}\" class=\"n\">left out: the firmware, and code outside the image</text>",
        y + ROW + 8
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>text{{font:12px monospace;fill:#222}}.t{{font-size:15px}}.p{{font-weight:bold}}\
         .n{{fill:#777}}.r{{text-anchor:end;font-size:11px}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn row(body: &mut String, y: u64, most: u64, stage: &Stage, functions: &Functions) {
    let scaled = |count: u64| count as f64 * LONGEST as f64 / most as f64;
    let name = functions.name(stage.function);
    let _ = writeln!(
        body,
        "<text x=\"{}\" y=\"{y}\" class=\"r\">{}</text>",
        LEFT - 8,
        escaped(&cut(name))
    );
    let mut x = LEFT as f64;
    let mut piece = |count: u64, colour: &str, name: &str| {
        let width = scaled(count);
        let _ = writeln!(
            body,
            "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"14\" fill=\"{colour}\">\
             <title>{}: {}</title></rect>",
            y - 11,
            escaped(name),
            grouped(count)
        );
        x += width;
    };
    let mut rest = stage.instructions;
    for ((function, count), colour) in hot(stage).zip(SHADES) {
        piece(count, colour, functions.name(function));
        rest = rest.saturating_sub(count);
    }
    piece(rest, REST, name);
    let _ = writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{y}\">{}</text>",
        x + 6.0,
        grouped(stage.instructions)
    );
}

/// The end of a long name: it tells more than the beginning.
fn cut(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - NAME + 1).collect();
    format!("…{end}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::instruction_log::Counter;

    #[test]
    fn names_are_escaped_and_cut_at_their_beginning() {
        let name = format!("<{} as &T>::f", "x".repeat(80));
        let names = [(0x100, name), (0x200, String::new())];
        let functions = Functions::new(names.into(), None, vec![]);
        let mut counter = Counter::new(&functions);
        let log = "Trace 0: 0x7f [0000000000000000/0000000000000100/0/0] \n";
        counter.follow(log.repeat(1234).as_bytes()).unwrap();
        let picture = picture("a <kernel>", &counter.chart(), &functions);
        assert!(picture.contains("a &lt;kernel&gt;") && picture.contains(">1,234<"), "{picture}");
        assert!(picture.contains("xx as &amp;T&gt;::f</text>"), "{picture}");
        assert!(picture.contains("…xx") && picture.contains("<title>&lt;xx"), "{picture}");
    }

    #[test]
    fn pieces_of_a_bar_add_up_to_it() {
        let names = ["a", "b", "c", "d", ""].map(str::to_owned);
        let functions =
            Functions::new((1..).map(|n: u64| n * 0x100).zip(names).collect(), None, vec![]);
        let mut counter = Counter::new(&functions);
        let mut log = String::new();
        for (at, times) in
            [(0x100, 1), (0x200, 1), (0x300, 60), (0x204, 1), (0x400, 30), (0x104, 20)]
        {
            let line = format!("Trace 0: 0x7f [0000000000000000/{at:016x}/0/0] \n");
            log += &line.repeat(times);
        }
        counter.follow(log.as_bytes()).unwrap();
        let picture = picture("k", &counter.chart(), &functions);
        let widths = picture.split(" width=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let bars: f64 =
            widths.filter_map(|width| width.parse::<f64>().ok()).filter(|w| *w < 900.0).sum();
        // `c` and `d` are busiest in `b`, which has the longest bar; `a` has less.
        let expected = LONGEST as f64 * (1.0 + 21.0 / 92.0);
        assert!((bars - expected).abs() < 0.5, "{bars} for {expected}\n{picture}");
    }
}
