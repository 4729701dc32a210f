//! `cargo freestone symbols`: the symbols that the toolchain's libraries, or any files, leave to a kernel, and the crate
//! that provides each.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use freestone_inspect::File;
use freestone_inspect::contract::{self, Provider, Row};
use freestone_inspect::symbol::Binding;
use serde_json::json;

use crate::args::{self, JSON, Telling, flag};
use crate::build::sysroot;
use crate::build::toolchains;
use crate::build::toolchains::Toolchain;
use crate::foreign::{self, Shown as _};
use crate::say;
use crate::status::{Failure, Status};
use crate::tell;

/// What the verb takes.
pub fn command() -> Command {
    let [json, verbose] = Telling::args("Print one line of JSON instead of a table");
    Command::new("symbols")
        .about("Show which symbols core and alloc, or the files named, want, and who provides them")
        .override_usage("cargo freestone symbols [--target TARGET] [OPTIONS] [FILE...]")
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .action(ArgAction::Append)
                .help("Archives, objects or images to look at together, instead of core and alloc"),
        )
        .arg(Arg::new("target").long("target").value_name("TARGET").help(
            "The target whose core, alloc and compiler_builtins are meant [default: the host]",
        ))
        .arg(
            Arg::new("libraries")
                .long("libraries")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("target")
                .help("Where core, alloc and compiler_builtins of a build of your own are"),
        )
        .arg(json)
        .arg(flag("markdown", "Print a Markdown table").conflicts_with(JSON))
        .arg(verbose)
}

/// What was given.
struct Arguments {
    files: Vec<PathBuf>,
    target: Option<String>,
    /// Where to look instead of in toolchains.
    libraries: Option<PathBuf>,
    format: Format,
    verbose: bool,
}

enum Format {
    Table,
    Json,
    Markdown,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let Telling { json, verbose } = Telling::from(matches);
    symbols(&Arguments {
        files: args::all(matches, "files").unwrap_or_default(),
        target: matches.get_one("target").cloned(),
        libraries: matches.get_one("libraries").cloned(),
        format: match matches.get_flag("markdown") {
            true => Format::Markdown,
            false if json => Format::Json,
            false => Format::Table,
        },
        verbose,
    })
}

fn symbols(arguments: &Arguments) -> Result<Status, Failure> {
    let target = arguments.target.as_deref();
    let libraries = match &arguments.libraries {
        Some(folder) => Libraries::within(folder, &folder.shown().to_string()),
        None => folder(target, arguments.verbose)
            .and_then(|folder| Libraries::within(&folder, target.unwrap_or("the host"))),
    };
    let named = &arguments.files;
    let (files, helpers) = if named.is_empty() {
        let libraries = libraries?;
        (vec![open(&libraries.core)?, open(&libraries.alloc)?], Some(open(&libraries.helpers)?))
    } else {
        // compiler_builtins is good to have here, not needed.
        let files = named.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
        files.iter().try_for_each(must_have_symbols)?;
        (files, libraries.ok().map(|libraries| open(&libraries.helpers)).transpose()?)
    };
    let rows = contract::contract(&files, helpers.as_ref())
        .map_err(|error| Failure::usage(error.to_string()))?;
    match arguments.format {
        Format::Table => show_table(&rows),
        Format::Json => show_json(&rows),
        Format::Markdown => show_markdown(&rows),
    }
    Ok(Status::Success)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::usage(error.to_string()))
}

/// Refuses a file that does not say what it wants: the answer would be "nothing".
fn must_have_symbols(file: &File) -> Result<(), Failure> {
    let fail = |error: freestone_inspect::Error| Failure::usage(error.to_string());
    for object in file.objects().map_err(fail)? {
        if object.map_err(fail)?.symbols().iter().any(|symbol| !symbol.name.is_empty()) {
            return Ok(());
        }
    }
    Err(Failure::usage(format!(
        "{}: it has no symbol table and does not say what it wants; name the file as it was before it was stripped",
        file.name()
    )))
}

/// Where a toolchain keeps what every Rust kernel is linked with.
struct Libraries {
    core: PathBuf,
    alloc: PathBuf,
    helpers: PathBuf,
}

impl Libraries {
    /// `target` is what to call it when something is missing.
    fn within(folder: &Path, target: &str) -> Result<Libraries, Failure> {
        let find = |name: &str| {
            let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
            let is_it = |path: &PathBuf| {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                file.starts_with(&format!("lib{name}-")) && file.ends_with(".rlib")
            };
            entries.filter(is_it).min()
        };
        let need = |name| {
            find(name).ok_or_else(|| {
                Failure::tool(format!(
                    "no toolchain here has {name} for {target}: \
                     rustup target add {target}, or cargo freestone sysroot --target {target}"
                ))
            })
        };
        Ok(Libraries {
            core: need("core")?,
            alloc: need("alloc")?,
            helpers: need("compiler_builtins")?,
        })
    }
}

/// The library folder of the toolchain in use; where that has no such target, of the first private sysroot
/// that has it.
fn folder(target: Option<&str>, verbose: bool) -> Result<PathBuf, Failure> {
    let own = toolchains::libraries(target, verbose);
    let Some(target) = target.filter(|_| own.as_ref().map_or(true, |folder| !folder.exists()))
    else {
        return own;
    };
    let prepared =
        Toolchain::all().into_iter().find_map(|t| Some((sysroot::ready(&t, target)?, t)));
    match prepared {
        Some((folder, toolchain)) => {
            say!(
                "core for {target} was built from the source of {} ({})",
                toolchain.name,
                toolchain.release
            );
            Ok(folder.join("lib/rustlib").join(target).join("lib"))
        }
        None => own,
    }
}

/// What to say about compiler_builtins' own definition.
fn also(row: &Row) -> &'static str {
    match row.in_compiler_builtins {
        _ if row.provider == Provider::CompilerBuiltins => "",
        Some(Binding::Weak) => "compiler_builtins (weak)",
        Some(_) => "compiler_builtins",
        None => "",
    }
}

fn wanted_by(row: &Row) -> String {
    // A list that is longer says less than its length.
    const MOST: usize = 4;
    let names: Vec<_> = row.wanted_by.iter().take(MOST).map(String::as_str).collect();
    let more = row.wanted_by.len().saturating_sub(MOST);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

fn columns(row: &Row) -> [String; 4] {
    let symbol = shortened(&row.symbol);
    let symbol = if row.is_weak { format!("{symbol} (weak)") } else { symbol };
    [symbol, wanted_by(row), row.provider.to_string(), also(row).to_owned()]
}

/// A name as wide as a table may become for it; JSON has all of it.
fn shortened(name: &str) -> String {
    const WIDEST: usize = 200;
    match name.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

const HEADINGS: [&str; 4] = ["symbol", "wanted by", "provided by", "also in"];

fn show_table(rows: &[Row]) {
    let all: Vec<_> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(columns)).collect();
    let width =
        |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADINGS.len()).map(width).collect();
    for row in &all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        tell!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let nobody = rows.iter().filter(|row| row.provider == Provider::Nobody && !row.is_weak).count();
    tell!("{} symbols are wanted; {nobody} of them nobody provides", rows.len());
}

fn show_markdown(rows: &[Row]) {
    tell!("| {} |", HEADINGS.join(" | "));
    tell!("|---|---|---|---|");
    for row in rows {
        let [symbol, wanted_by, provider, also] = columns(row);
        tell!("| `{symbol}` | {wanted_by} | {provider} | {also} |");
    }
}

fn show_json(rows: &[Row]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "symbol": row.symbol,
                "wanted_by": row.wanted_by,
                "uses": row.uses,
                "weak": row.is_weak,
                "provider": row.provider.to_string(),
                "compiler_builtins": row.in_compiler_builtins.map(|binding| match binding {
                    Binding::Weak => "weak",
                    _ => "strong",
                }),
            })
        })
        .collect();
    tell!("{}", foreign::json(&json!({ "symbols": rows })));
}
