//! The ratios as a picture: one line per function, the C library at 1.

use std::fmt::Write;

const LEFT: f64 = 90.0;
const UNIT: f64 = 220.0;
const LINE: f64 = 14.0;

/// Our time over the C library's (a bar), and that of the crate `libm` over the C library's (a tick).
pub fn chart(bars: &[(&str, f64, f64)]) -> String {
    let height = LINE * (bars.len() as f64 + 2.0);
    let width = LEFT + UNIT * 2.2;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"12\">time, the C library's being 1; the tick is the crate libm</text>\n"
    );
    for (at, (name, to_c, to_crate)) in bars.iter().enumerate() {
        let y = LINE * (at as f64 + 1.5);
        let bar = to_c.min(2.2) * UNIT;
        let tick = LEFT + (to_c / to_crate).min(2.19) * UNIT;
        let colour = if *to_c <= 1.0 { "#4a8" } else { "#88a" };
        writeln!(
            svg,
            "<text x=\"4\" y=\"{:.0}\">{name}</text><rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{bar:.0}\" \
             height=\"9\" fill=\"{colour}\"/><rect x=\"{tick:.0}\" y=\"{y:.0}\" width=\"2\" height=\"9\" \
             fill=\"#c33\"/>",
            y + 9.0
        )
        .expect("a string takes all");
    }
    let x = LEFT + UNIT;
    writeln!(
        svg,
        "<line x1=\"{x}\" y1=\"16\" x2=\"{x}\" y2=\"{height}\" stroke=\"black\"/>\n</svg>"
    )
    .expect("a string takes all");
    svg
}
