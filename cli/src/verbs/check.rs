//! `cargo freestone check`: looks at an image for what would keep it from booting or break it later.
//!
//! The library `freestone-inspect` does the checks. This file has the options, three formats of output, and the short form
//! that `run` and `test` use before they boot.

use std::path::Path;

use clap::{Arg, ArgMatches, Command, value_parser};
use freestone_inspect::rules::{self, Options, RULES, Report, Severity};
use freestone_inspect::size::{self, Share, Sizes};
use serde_json::{Value, json};

use crate::args::{JSON, Telling, flag};
use crate::boot::preflight::{SHOWN, line_of, open, subject};
use crate::build::build_args::{ELF, PACKAGE, Which};
use crate::build::meant;
use crate::foreign::{self};
use crate::status::{Failure, Status};

/// How many rows of sizes are shown.
const SIZES_SHOWN: usize = 20;

/// What the verb takes.
pub fn command() -> Command {
    let [json, verbose] = Telling::args("Print one line of JSON instead of a table");
    Command::new("check")
        .about("Look at a kernel image for what would keep it from booting or break it later")
        .override_usage("cargo freestone check [OPTIONS] [ELF | -p PACKAGE]")
        .args(Which::args())
        .arg(json)
        .arg(
            flag("sarif", "Print SARIF 2.1.0, which code hosts and editors read")
                .conflicts_with(JSON),
        )
        .arg(flag("all", "Show every finding, not the first ten of each rule"))
        .arg(flag("size", "Also show what the bytes are spent on, by crate and by symbol"))
        .arg(flag(
            "allow-fp",
            "The kernel saves vector state: do not mind its use (rule vector-registers)",
        ))
        .arg(
            Arg::new("stack")
                .long("stack")
                .value_name("BYTES")
                .value_parser(value_parser!(u64))
                .help(
                    "How much stack is enough (rule deep-stack) [default: what the boot stack has]",
                ),
        )
        .arg(
            Arg::new("explain")
                .long("explain")
                .value_name("RULE")
                .conflicts_with_all([ELF, PACKAGE, JSON, "sarif", "size"])
                .help("Say what a rule is about"),
        )
        .arg(
            flag("rules", "List the rules")
                .conflicts_with_all([ELF, PACKAGE, JSON, "sarif", "size", "explain"]),
        )
        .arg(verbose)
}

/// What was given.
struct Arguments {
    which: Which,
    format: Format,
    /// Whether every finding is shown.
    all: bool,
    size: bool,
    options: Options,
    /// A rule to be told about.
    explain: Option<String>,
    rules: bool,
    verbose: bool,
}

enum Format {
    Table,
    Json,
    Sarif,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let Telling { json, verbose } = Telling::from(matches);
    check(&Arguments {
        which: Which::from(matches),
        format: match matches.get_flag("sarif") {
            true => Format::Sarif,
            false if json => Format::Json,
            false => Format::Table,
        },
        all: matches.get_flag("all"),
        size: matches.get_flag("size"),
        options: Options {
            allow_fp: matches.get_flag("allow-fp"),
            stack_bytes: matches.get_one("stack").copied(),
        },
        explain: matches.get_one("explain").cloned(),
        rules: matches.get_flag("rules"),
        verbose,
    })
}

fn check(arguments: &Arguments) -> Result<Status, Failure> {
    if arguments.rules {
        foreign::put(&list_of_rules());
        return Ok(Status::Success);
    }
    if let Some(name) = &arguments.explain {
        foreign::put(&explanation(name)?);
        return Ok(Status::Success);
    }
    let path = match &arguments.which.elf {
        Some(path) => path,
        None => &meant::build(&arguments.which, arguments.verbose)?,
    };
    let file = open(path)?;
    let subject = subject(&file, arguments.options)?;
    let report = rules::check(&subject);
    let sizes = arguments.size.then(|| size::sizes(&subject.image));
    let text = match arguments.format {
        Format::Json => format!("{}\n", foreign::json(&json_of(path, &report, sizes.as_ref()))),
        Format::Sarif => format!("{:#}\n", sarif_of(path, &report)),
        Format::Table => {
            let limit = if arguments.all { usize::MAX } else { SHOWN };
            let mut text = table_of(&report, limit);
            text.extend(sizes.as_ref().map(table_of_sizes));
            text
        }
    };
    foreign::put(&text);
    let has_errors = report.worst() == Some(Severity::Error);
    Ok(if has_errors { Status::Failed } else { Status::Success })
}

fn explanation(name: &str) -> Result<String, Failure> {
    let rule = rules::rule(name).ok_or_else(|| {
        Failure::usage(format!("no rule is called `{name}`; `check --rules` lists them"))
    })?;
    let explanation = wrapped(rule.explanation);
    let (name, severity) = (rule.name, rule.severity.word());
    Ok(format!("{name} ({severity}): {}\n\n{explanation}\n", rule.summary))
}

fn list_of_rules() -> String {
    let rows = RULES
        .map(|rule| format!("{:<20} {:<8} {}\n", rule.name, rule.severity.word(), rule.summary));
    rows.concat()
}

/// Breaks a paragraph into lines of at most 80 characters.
fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(word.into());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn table_of(report: &Report, limit: usize) -> String {
    let mut lines = Vec::new();
    for rule in RULES {
        let mut findings: Vec<_> = report.of(rule.name).collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        lines.extend(findings.iter().take(limit).map(|finding| line_of(finding)));
        if findings.len() > limit {
            let more = findings.len() - limit;
            lines.push(format!(
                "{:<8} {:<20} {more} more of these; --all shows them",
                "", rule.name
            ));
        }
    }
    let unchecked = report.unchecked.iter();
    lines.extend(
        unchecked.map(|it| format!("{:<8} {:<20} not checked: {}", "-", it.rule, it.reason)),
    );
    lines.push(summary(report));
    lines.join("\n") + "\n"
}

fn count(report: &Report, severity: Severity) -> usize {
    report.findings.iter().filter(|finding| finding.severity == severity).count()
}

fn summary(report: &Report) -> String {
    let counted = |severity: Severity| {
        let count = count(report, severity);
        format!("{count} {}{}", severity.word(), if count == 1 { "" } else { "s" })
    };
    let mut parts = [Severity::Error, Severity::Warning, Severity::Note].map(counted).to_vec();
    if !report.unchecked.is_empty() {
        parts.push("not everything could be checked".into());
    }
    parts.join(", ")
}

fn table_of_sizes(sizes: &Sizes) -> String {
    let Sizes { file_bytes, memory_bytes, crates, symbols } = sizes;
    let head = |what| format!("{:>9} {:>9} {:>9}  {what}", "code", "data", "zeroed");
    let row = |share: &Share, name: &str| {
        format!("{:>9} {:>9} {:>9}  {name}", share.code, share.data, share.zeroed)
    };
    let mut lines = vec![
        String::new(),
        format!("{file_bytes} bytes are loaded from the file, {memory_bytes} in memory"),
        head("crate"),
    ];
    let crates = crates.iter().take(SIZES_SHOWN);
    lines.extend(
        crates.map(|(name, share)| row(share, name.as_deref().unwrap_or("(not told by the name)"))),
    );
    lines.push(head("symbol"));
    lines.extend(symbols.iter().take(SIZES_SHOWN).map(|(name, share)| row(share, name)));
    lines.join("\n") + "\n"
}

fn json_of(path: &Path, report: &Report, sizes: Option<&Sizes>) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "rule": finding.rule,
            "severity": finding.severity.word(),
            "message": finding.message,
            "address": finding.address,
            "symbol": finding.symbol,
            "crate": finding.crate_name,
        })
    });
    let unchecked =
        report.unchecked.iter().map(|it| json!({ "rule": it.rule, "reason": it.reason }));
    let mut value = json!({
        "image": path.to_string_lossy(),
        "errors": count(report, Severity::Error),
        "warnings": count(report, Severity::Warning),
        "notes": count(report, Severity::Note),
        "findings": findings.collect::<Vec<_>>(),
        "unchecked": unchecked.collect::<Vec<_>>(),
    });
    if let Some(sizes) = sizes {
        let share = |share: &Share, key: &str, name: Value| json!({ key: name, "code": share.code, "data": share.data, "zeroed": share.zeroed });
        let crates = sizes.crates.iter().map(|(name, it)| share(it, "crate", json!(name)));
        let symbols = sizes.symbols.iter().map(|(name, it)| share(it, "symbol", json!(name)));
        value["size"] = json!({
            "file_bytes": sizes.file_bytes,
            "memory_bytes": sizes.memory_bytes,
            "crates": crates.collect::<Vec<_>>(),
            "symbols": symbols.collect::<Vec<_>>(),
        });
    }
    value
}

/// The OASIS standard's words for what is said here in our own.
fn sarif_of(path: &Path, report: &Report) -> Value {
    let rules = RULES.map(|rule| {
        json!({
            "id": rule.name,
            "shortDescription": { "text": rule.summary },
            "fullDescription": { "text": rule.explanation },
            "defaultConfiguration": { "level": rule.severity.word() },
        })
    });
    let uri = uri_of(path);
    let results = report.findings.iter().map(|finding| {
        let mut location = json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } });
        if let Some(address) = finding.address {
            location["physicalLocation"]["address"] = json!({ "absoluteAddress": address });
        }
        if let Some(symbol) = &finding.symbol {
            location["logicalLocations"] = json!([{ "fullyQualifiedName": symbol }]);
        }
        json!({
            "ruleId": finding.rule,
            "level": finding.severity.word(),
            "message": { "text": finding.message },
            "locations": [location],
        })
    });
    let notifications = report.unchecked.iter().map(|it| {
        json!({
            "level": "note",
            "message": { "text": format!("not checked: {}", it.reason) },
            "associatedRule": { "id": it.rule },
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cargo-freestone",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// A relative or absolute URI reference: what may not stand in one is written in hexadecimal.
fn uri_of(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let encoded = path.to_string_lossy().bytes().fold(String::new(), |mut uri, byte| {
        if is_plain(byte) {
            uri.push(byte.into());
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    });
    if path.is_absolute() { format!("file://{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_rule() {
        let readme = include_str!("../../README.md");
        for rule in RULES {
            let row = format!("| `{}` | {} | {} |", rule.name, rule.severity.word(), rule.summary);
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }

    #[test]
    fn explanations_are_broken_into_lines_of_at_most_80() {
        for rule in RULES {
            let text = wrapped(rule.explanation);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert_eq!(text.replace('\n', " "), rule.explanation, "words were lost");
            assert!(!text.contains("  "), "two spaces in {}", rule.name);
        }
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri_of(Path::new("a b/c%")), "a%20b/c%25");
        assert_eq!(uri_of(Path::new("/k")), "file:///k");
    }
}
