//! What was measured, as Markdown and as a picture.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::images::{Convention, PLACES};

/// Others' times, ours being 1: the median over all orders of the functions, the least and the greatest.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub least: f64,
    pub middle: f64,
    pub most: f64,
}

/// One line of the table.
pub struct Row {
    pub name: &'static str,
    pub arguments: &'static str,
    /// Nanoseconds per call of ours.
    pub ours: f64,
    pub rust: Option<Ratio>,
    pub softfloat: Option<Ratio>,
    pub libgcc: Option<Ratio>,
}

pub fn heading(convention: Convention) -> String {
    let floats = match convention {
        Convention::General => "general",
        Convention::Vector => "vector",
    };
    format!(
        "| floats in {floats} registers | arguments | ns | rust | | SoftFloat | | libgcc | |\n\
         |---|---|---|---|---|---|---|---|---|"
    )
}

pub fn line(row: &Row) -> String {
    let cell = |ratio: Option<Ratio>| match ratio {
        Some(Ratio { least, middle, most }) => {
            format!(" **{middle:.2}** | {least:.2} to {most:.2} |")
        }
        None => " - | |".into(),
    };
    let mut line = format!("| `{}` | {} | {:.2} |", row.name, row.arguments, row.ours);
    for ratio in [row.rust, row.softfloat, row.libgcc] {
        line += &cell(ratio);
    }
    line
}

const PREFACE: &str = "# Soft float and wide integers

How many times as long others take, ours being 1: the median of PLACES libraries in which the functions are in
different orders, then the least and the greatest of these; *ns* is ours per call. In each library a ratio is one of
medians over rounds in which all take turns. Every round has 16,384 new arguments, so that no branch predictor learns
them: floats have either sign and exponents from -16 to 16, integers any length. A call through a pointer is in every
number, about 0.9 ns, and draws ratios of the shortest functions towards 1.

*rust* is `compiler_builtins` of the compiler that made ours, at opt-level 3; *SoftFloat* is Berkeley SoftFloat 3 (2025-03), its
own build for Linux-x86_64-GCC with -O2 and -fPIC; *libgcc* is Debian's libgcc_s, in one place only.

";

const NOTES: &str = "
## What made the difference

- No branch that depends on a value but for the exponent's extremes: with arguments that repeat, a predictor learns
  the rivals' branches, and `__adddf3` was then 1.1 times as fast as *rust*'s instead of more than twice (on AMD).
- Quotients of 128-bit integers: the divisor is normalised, the dividend only halved, so that one instruction
  gives the quotient and a few bits too many; two normalised numbers took 0.4 ns longer. `bsr` waits for its
  destination, so a constant goes there first.
- Shifts of two words by a constant are the compiler's, others are kept from it: of those it makes `shld` by a
  variable, which AMD's processors do in six steps. Kept from it all, `__multf3` took 5.7 ns instead of 3.9.
- A count of a shift in the lower eighth of a register waits for the register, and so for the call before: `sqrtf`
  took 9.5 ns instead of 3.4.
- Complex quotients are scaled only where a product could leave the format's range: 8.8 ns to 2.4.

One function called over and over cannot be told apart more closely than one cycle, 0.24 ns, which is a sixth of the shortest.
";

/// Writes the record; the first convention begins it.
pub fn write(convention: Convention, rows: &[Row]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    let path = folder.join("math.md");
    let (name, title) = match convention {
        Convention::General => ("general", "Floats in general registers: `x86_64-unknown-none`"),
        Convention::Vector => ("vector", "Floats in vector registers: the host's convention"),
    };
    let mut text = match convention {
        Convention::General => {
            let mut text = PREFACE.replace("PLACES", &PLACES.to_string());
            let _ = writeln!(
                text,
                "`SOFTFLOAT=…/softfloat.a cargo run --release -p freestone-benches --bin math -- --record`\n\n\
                 {}, two shared cores; {}, {}; commit {}.\n",
                processor(),
                output("rustc", &["--version"]),
                output("ldd", &["--version"]),
                output("git", &["rev-parse", "--short", "HEAD"]),
            );
            text
        }
        Convention::Vector => std::fs::read_to_string(&path)?,
    };
    let _ =
        writeln!(text, "\n## {title}\n\n![{title}](math-{name}.svg)\n\n{}", heading(convention));
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    text += &losses(rows);
    if convention == Convention::Vector {
        text += NOTES;
    }
    std::fs::write(path, text)?;
    std::fs::write(folder.join(format!("math-{name}.svg")), picture(title, rows))
}

/// Where somebody else is faster in most orders by more than 5 %.
fn losses(rows: &[Row]) -> String {
    let mut text = String::from("\nSlower than one of them by more than 5 %, by the median:");
    let mut none = true;
    for row in rows {
        let rivals = [("rust", row.rust), ("SoftFloat", row.softfloat), ("libgcc", row.libgcc)];
        for (rival, ratio) in rivals {
            if let Some(ratio) = ratio.filter(|ratio| ratio.middle < 0.95) {
                let _ = write!(
                    text,
                    "\n- `{}` {} {rival}: {:.2}",
                    row.name, row.arguments, ratio.middle
                );
                none = false;
            }
        }
    }
    text + if none { " none.\n" } else { "\n" }
}

fn output(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map_or("?", |(_, value)| value.trim()).to_owned()
    };
    format!("{}, family {} model {}", field("model name"), field("cpu family"), field("model"))
}

const WIDTH: f64 = 760.0;
const NAMES: f64 = 190.0;
const LINE: f64 = 15.0;
const TOP: f64 = 48.0;
/// Ratios from half to eight times.
const POWERS: (f64, f64) = (-1.0, 3.0);

/// A line for each row, with a mark for each rival between its least and its greatest.
fn picture(title: &str, rows: &[Row]) -> String {
    let x = |ratio: f64| {
        let power = ratio.log2().clamp(POWERS.0, POWERS.1);
        NAMES + (power - POWERS.0) / (POWERS.1 - POWERS.0) * (WIDTH - NAMES - 20.0)
    };
    let height = TOP + LINE * (rows.len() as f64 + 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"16\" font-size=\"14\">{}</text>\n",
        title.replace('`', ""),
    );
    const RIVALS: [(&str, &str); 3] =
        [("rust", "#0072b2"), ("SoftFloat", "#d55e00"), ("libgcc", "#009e73")];
    for (at, (rival, colour)) in RIVALS.iter().enumerate() {
        let left = WIDTH - 230.0 + 75.0 * at as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{left}\" cy=\"12\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"16\">{rival}</text>",
            left + 8.0
        );
    }
    for power in POWERS.0 as i32..=POWERS.1 as i32 {
        let (ratio, at) = (2_f64.powi(power), x(2_f64.powi(power)));
        let colour = if power == 0 { "#444" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {}V{height}\" stroke=\"{colour}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{ratio}</text>",
            TOP - 8.0,
            TOP - 12.0
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + LINE * (at as f64 + 0.5);
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{:.1}\">{} {}</text>",
            y + 4.0,
            row.name,
            row.arguments
        );
        for (ratio, (_, colour)) in [row.rust, row.softfloat, row.libgcc].iter().zip(RIVALS) {
            let Some(Ratio { least, middle, most }) = *ratio else { continue };
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{colour}\" stroke-width=\"2\" opacity=\"0.4\"/>\
                 <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>",
                x(least),
                x(most),
                x(middle)
            );
        }
    }
    svg + "</svg>\n"
}
