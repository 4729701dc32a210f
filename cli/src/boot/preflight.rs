//! The check that `run` and `test` make before they boot: the quick rules of `check`, and only errors.

use std::path::Path;

use freestone_inspect::File;
use freestone_inspect::rules::{self, Finding, Options, Severity, Subject};

use crate::foreign::Shown as _;
use crate::say;
use crate::status::Failure;

/// How many findings of one rule are shown.
pub const SHOWN: usize = 10;

/// What `run` and `test` look at before they boot: the quick rules, and only errors. Findings end it
/// with the status of an image that cannot be booted.
pub fn before_boot(path: &Path) -> Result<(), Failure> {
    before(path, "booted", "boots")
}

/// The same for another verb: what it has not `done`, and what it `does` all the same with --no-check.
pub fn before(path: &Path, done: &str, does: &str) -> Result<(), Failure> {
    let file = open(path)?;
    let subject = subject(&file, Options::default())?;
    let mut report = rules::check_for_boot(&subject);
    report.findings.retain(|finding| finding.severity == Severity::Error);
    if report.findings.is_empty() {
        return Ok(());
    }
    for line in report.findings.iter().take(SHOWN).map(line_of) {
        say!("{line}");
    }
    let path = path.shown();
    Err(Failure::usage(format!(
        "{path}: this image was not {done}, see above; `cargo freestone check` says more, \
         --no-check {does} it all the same"
    )))
}

pub fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::usage(error.to_string()))
}

pub fn subject(file: &File, options: Options) -> Result<Subject<'_>, Failure> {
    let image = file.image().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Subject::new(image, options))
}

pub fn line_of(finding: &Finding) -> String {
    let mut place = Vec::new();
    place.extend(finding.address.map(|address| format!("{address:#x}")));
    // A message that names the symbol itself need not be told twice.
    let symbol = finding.symbol.as_ref().filter(|name| !finding.message.contains(&**name));
    place.extend(symbol.cloned());
    place.extend(finding.crate_name.as_ref().map(|name| format!("(crate {name})")));
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(" ")) };
    let (severity, rule) = (finding.severity.word(), finding.rule);
    format!("{severity:<8} {rule:<20} {place}{}", finding.message)
}
