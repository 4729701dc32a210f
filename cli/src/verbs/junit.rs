//! Test results as JUnit XML, the dialect that CI servers read: one file per image.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::foreign::Shown as _;
use crate::status::Failure;
use crate::whole;

/// How one test ended.
pub struct Ended {
    /// Its name.
    pub name: String,
    /// Whether it did what it should; `None` if it was ignored.
    pub passed: Option<bool>,
    /// Why it was ignored, if that is told.
    pub reason: String,
    /// What the kernel printed, and what there is to say about its end.
    pub output: String,
    /// How long it took.
    pub wall: Duration,
}

/// Writes `FOLDER/IMAGE.xml`; the folder is made.
pub fn write(folder: &Path, image: &Path, ended: &[Ended], wall: Duration) -> Result<(), Failure> {
    // Cargo's hash behind the last hyphen changes from build to build.
    let stem = image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let suite = stem.rsplit_once('-').map_or(stem.as_str(), |(name, _hash)| name);
    let path = folder.join(format!("{suite}.xml"));
    let written =
        fs::create_dir_all(folder).and_then(|()| whole::write(&path, document(suite, ended, wall)));
    written.map_err(|error| Failure::tool(format!("{}: {error}", path.shown())))
}

fn document(suite: &str, all: &[Ended], wall: Duration) -> String {
    let count = |passed| all.iter().filter(|ended| ended.passed == passed).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escaped(suite),
        all.len(),
        count(Some(false)),
        count(None),
        wall.as_secs_f64(),
    );
    for Ended { name, passed, reason, output, wall } in all {
        let (name, suite, output) = (escaped(name), escaped(suite), escaped(output));
        let seconds = wall.as_secs_f64();
        let _ =
            write!(xml, "<testcase classname=\"{suite}\" name=\"{name}\" time=\"{seconds:.3}\">");
        let _ = match passed {
            Some(true) => write!(xml, "<system-out>{output}</system-out>"),
            Some(false) => write!(xml, "<failure message=\"failed\">{output}</failure>"),
            None if reason.is_empty() => write!(xml, "<skipped/>"),
            None => write!(xml, "<skipped message=\"{}\"/>", escaped(reason)),
        };
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

/// Text for XML 1.0: markup escaped, and what XML cannot hold replaced.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_output_stays_text() {
        let ended = |name: &str, passed, output: &str| Ended {
            name: name.into(),
            passed,
            reason: String::new(),
            output: output.into(),
            wall: Duration::from_millis(1500),
        };
        let all = [
            ended("a::b", Some(true), ""),
            ended("c<d>", Some(false), "</failure> & \u{1b}[2J \"x\""),
            ended("e", None, ""),
        ];
        let xml = document("suite", &all, Duration::from_secs(2));
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\" time=\"2.000\""), "{xml}");
        assert!(xml.contains("name=\"c&lt;d&gt;\""), "{xml}");
        assert!(xml.contains("&lt;/failure&gt; &amp; \u{fffd}[2J &quot;x&quot;"), "{xml}");
        assert_eq!(xml.matches("</failure>").count(), 1);
    }
}
