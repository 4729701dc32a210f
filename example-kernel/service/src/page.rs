//! The status page: what a person wants to see of the machine, in one HTML document without anything from outside.
//!
//! It is made anew for each request; `page.js` asks for it every two seconds and puts its `<main>` in the place of the old
//! one, so there is one way to show things, and a browser without scripts shows them too.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::time::Duration;

use freestone_platform::time::DateTime;
use freestone_store::Disk;

use crate::{Heap, Machine, Service, Span};

/// Nothing comes from outside, and no script or style that is not ours.
pub const FIELDS: &str = "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'self'; img-src 'self' data:\r\n";

const TOP: &str = concat!(
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Freestone</title>",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">",
    "<link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/page.js\" defer></script></head><body>",
);
const BOTTOM: &str = concat!(
    "<footer><a href=\"/metrics\">metrics</a> <a href=\"/healthz\">health</a> ",
    "<a href=\"/api/kv/\">keys</a> <span id=\"lost\" hidden>no answer; trying again</span></footer></body></html>\n",
);

impl<M: Machine, D: Disk> Service<M, D> {
    /// What `/` answers.
    pub fn page(&self) -> String {
        let mut out = String::from(TOP);
        // A `String` takes everything.
        let _ = self.write_page(&mut out);
        out.push_str(BOTTOM);
        out
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let machine = &self.machine;
        write!(out, "<main><header><h1>Freestone</h1><p>up {}", Time(machine.uptime()))?;
        if let Some(time) = machine.time_of_day() {
            write!(out, " · {} UTC", DateTime::of(time))?;
        }
        out.push_str("</p></header><section><h2>Machine</h2><dl>");
        for (name, value) in machine.about() {
            write!(out, "<dt>{name}</dt><dd>{}</dd>", Text(&value))?;
        }
        self.write_store_state(out)?;
        out.push_str("</dl></section><section><h2>Boot</h2>");
        write_boot(out, &machine.boot())?;
        out.push_str("</section><section><h2>Heap</h2>");
        write_heap(out, &machine.heap())?;
        out.push_str("</section>");
        self.write_figures(out)?;
        out.push_str("<section><h2>Tasks</h2><table><tr><th>name</th><th>runs</th></tr>");
        for task in machine.tasks() {
            let mark = if task.is_running { " class=\"now\"" } else { "" };
            write!(out, "<tr{mark}><td>{}</td><td>{}</td></tr>", Text(task.name), task.polls)?;
        }
        out.push_str("</table></section><section class=\"wide\"><h2>Log</h2><pre>");
        write!(out, "{}</pre></section></main>", Text(&machine.log_tail()))
    }

    fn write_store_state(&self, out: &mut String) -> fmt::Result {
        match &self.store {
            Ok(store) => {
                write!(out, "<dt>store</dt><dd>{}</dd>", Text(&alloc::format!("{}", store.state())))
            }
            Err(why) => write!(out, "<dt>store</dt><dd class=\"bad\">none: {}</dd>", Text(why)),
        }
    }

    /// A table for each first word of the metrics' names, but for those that have a picture or a list.
    fn write_figures(&self, out: &mut String) -> fmt::Result {
        let metrics = self.all_metrics();
        let word = |name: &'static str| name.split_once('_').unwrap_or((name, name));
        let mut heading = "";
        for metric in &metrics {
            let (first, rest) = word(metric.name);
            if !["network", "http", "store"].contains(&first) {
                continue;
            }
            if first != heading {
                let end = if heading.is_empty() { "" } else { "</table></section>" };
                write!(out, "{end}<section><h2>{first}</h2><table>")?;
                heading = first;
            }
            let name = rest.strip_suffix("_total").unwrap_or(rest);
            write!(out, "<tr title=\"{}\"><td>", metric.help)?;
            name.chars().try_for_each(|c| out.write_char(if c == '_' { ' ' } else { c }))?;
            write!(out, "</td><td>{}</td></tr>", metric.value)?;
        }
        out.push_str(if heading.is_empty() { "" } else { "</table></section>" });
        Ok(())
    }
}

/// A bar for each part of the boot, to scale.
fn write_boot(out: &mut String, spans: &[Span]) -> fmt::Result {
    let whole = spans.last().map_or(0, |span| span.end.as_micros()).max(1);
    let height = spans.len() * 22;
    write!(out, "<svg viewBox=\"0 0 400 {height}\" role=\"img\" aria-label=\"boot\">")?;
    let mut start = 0;
    for (row, span) in spans.iter().enumerate() {
        let end = span.end.as_micros();
        let (x, width) = (start * 400 / whole, ((end - start) * 400 / whole).max(1));
        let (y, text) = (row * 22, row * 22 + 14);
        write!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"18\"/>")?;
        write!(out, "<text x=\"4\" y=\"{text}\">{} {} µs</text>", span.name, end - start)?;
        start = end;
    }
    out.write_str("</svg>")
}

/// What was in use over time, below the most that ever was.
fn write_heap(out: &mut String, heap: &Heap) -> fmt::Result {
    let top = heap.peak.max(1);
    let points: Vec<(usize, usize)> = heap
        .used
        .iter()
        .enumerate()
        .map(|(at, used)| {
            (at * 400 / heap.used.len().max(2).saturating_sub(1), 80 - used.min(&top) * 76 / top)
        })
        .collect();
    write!(
        out,
        "<svg viewBox=\"0 0 400 84\" role=\"img\" aria-label=\"heap in use\"><polyline points=\""
    )?;
    points.iter().try_for_each(|(x, y)| write!(out, "{x},{y} "))?;
    let (now, peak, all) = (heap.used.last().copied().unwrap_or(0), heap.peak, heap.capacity);
    let [now, peak, all] = [now, peak, all].map(|bytes| bytes >> 10);
    write!(out, "\"/></svg><p>{now} of {all} KiB, at most {peak}</p>")?;
    out.write_str(
        "<details><summary>map</summary><img src=\"/heap.svg\" alt=\"heap map\"></details>",
    )
}

/// Text with what HTML would take for markup replaced, and what is no text shown as such.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_char('\n')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Hours, minutes and seconds.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}
