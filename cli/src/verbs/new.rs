//! `cargo freestone new`: a folder with a kernel in it that builds, boots, is tested and checked.
//!
//! The files lie in `templates/`, one folder for each template, beside what several have.
//! Three words in them are replaced: `NAME`, the package; `FREESTONE` and `HARNESS` and the like, the
//! dependencies: versions, or paths if `--path` names a checkout.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::build::crates_here;
use crate::foreign::Shown as _;
use crate::say;
use crate::shell::quoted;
use crate::status::{Failure, Status};
use crate::tell;
use crate::unfinished::Unfinished;

/// A file of a template: its path in the new folder, and its text.
type File = (&'static str, &'static str);

struct Template {
    name: &'static str,
    about: &'static str,
    shared: &'static [File],
    own: &'static [File],
    /// Of the façade.
    features: &'static [&'static str],
}

/// What all templates have. The second is flags of the compiler's, which neither a manifest nor a build script can set: for
/// every cargo that is called in the folder, so that what `cargo build` makes is still what runs.
const COMMON: [File; 2] = [
    (".gitignore", include_str!("../../templates/gitignore")),
    (".cargo/config.toml", include_str!("../../templates/cargo-config.toml")),
];

/// What those have that depend on the façade.
const WITH_FACADE: [File; 3] = [
    ("README.md", include_str!("../../templates/README.md")),
    ("Cargo.toml", include_str!("../../templates/facade.toml")),
    ("build.rs", include_str!("../../templates/forward.rs")),
];

const TEMPLATES: [Template; 4] = [
    Template {
        name: "minimal",
        about: "entry!, one line of output, one test",
        shared: &WITH_FACADE,
        own: &[
            ("src/main.rs", include_str!("../../templates/minimal/main.rs")),
            ("tests/inside.rs", include_str!("../../templates/minimal/inside.rs")),
        ],
        features: &[],
    },
    Template {
        name: "heap",
        about: "collections, a heap that runs out, tests of both",
        shared: &WITH_FACADE,
        own: &[
            ("src/main.rs", include_str!("../../templates/heap/main.rs")),
            ("tests/inside.rs", include_str!("../../templates/heap/inside.rs")),
        ],
        features: &[],
    },
    Template {
        name: "async",
        about: "an async main: tasks, a channel, timers, tests that wait",
        shared: &WITH_FACADE,
        own: &[
            ("src/main.rs", include_str!("../../templates/async/main.rs")),
            ("tests/inside.rs", include_str!("../../templates/async/inside.rs")),
        ],
        features: &["task"],
    },
    Template {
        name: "own-boot",
        about: "boot code, linker script and console of your own, with freestone-rt alone",
        shared: &[],
        own: &[
            ("README.md", include_str!("../../templates/own-boot/README.md")),
            ("Cargo.toml", include_str!("../../templates/own-boot/Cargo.toml.in")),
            ("build.rs", include_str!("../../templates/own-boot/build.rs")),
            ("kernel.ld", include_str!("../../templates/own-boot/kernel.ld")),
            ("src/main.rs", include_str!("../../templates/own-boot/main.rs")),
        ],
        features: &[],
    },
];

impl Template {
    fn files(&self) -> impl Iterator<Item = &File> {
        COMMON.iter().chain(self.shared).chain(self.own)
    }

    /// A file's text with its words filled in.
    fn filled(&self, text: &str, name: &str, checkout: Option<&Path>) -> String {
        let features = format!("freestone = {{ version = \"*\", features = {:?} }}", self.features);
        match self.features {
            [] => filled(text, name, checkout),
            _ => filled(&text.replace("freestone = \"*\"", &features), name, checkout),
        }
    }
}

/// Our crates that templates depend on, and their folders in a checkout.
const CRATES: [(&str, &str); 7] = [
    ("freestone", "freestone"),
    ("freestone-alloc", "alloc-glue"),
    ("freestone-harness", "harness"),
    ("freestone-math", "math"),
    ("freestone-mem", "mem"),
    ("freestone-rt", "rt"),
    ("freestone-targets", "targets"),
];

/// What the verb takes.
pub fn command() -> Command {
    let templates =
        TEMPLATES.iter().map(|t| format!("  {:<9} {}", t.name, t.about)).collect::<Vec<_>>();
    Command::new("new")
        .about("Make a folder with a kernel that builds, boots and is tested")
        .arg(
            Arg::new("path")
                .value_name("NAME")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder to make; its last part is the package's name"),
        )
        .arg(
            Arg::new("template")
                .long("template")
                .value_name("TEMPLATE")
                .default_value(TEMPLATES[0].name)
                .value_parser(PossibleValuesParser::new(TEMPLATES.map(|t| t.name)).map(template))
                .help("What to begin with"),
        )
        .arg(Checkout::arg())
        .before_help(format!("Templates:\n{}", templates.join("\n")))
}

fn template(name: String) -> &'static Template {
    TEMPLATES.iter().find(|template| template.name == name).expect("clap knows only these")
}

/// What was given.
struct Arguments {
    path: PathBuf,
    template: &'static Template,
    checkout: Checkout,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    make(&Arguments {
        path: matches.get_one("path").cloned().expect("clap insists on it"),
        template: matches.get_one("template").copied().expect("has a default"),
        checkout: Checkout::from(matches),
    })
}

fn make(arguments: &Arguments) -> Result<Status, Failure> {
    let Arguments { path, template, checkout } = arguments;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    is_package_name(name).map_err(Failure::usage)?;
    // A link to nowhere is something, too.
    if path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} exists already; nothing in it was touched",
            path.shown()
        )));
    }
    let checkout = checkout.folder()?;
    // It has its name when all is in it.
    let fail = |error| Failure::tool(format!("{}: {error}", path.shown()));
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let new = Unfinished::folder_in(parent.unwrap_or(Path::new("."))).map_err(fail)?;
    for (file, text) in template.files() {
        let file = new.path().join(file);
        fs::create_dir_all(file.parent().expect("it was joined to one")).map_err(fail)?;
        fs::write(&file, template.filled(text, name, checkout.as_deref())).map_err(fail)?;
    }
    if let Some(missing) = crates_here::lock(new.path(), checkout.as_deref())? {
        say!("note: {}", crates_here::advice(checkout.as_deref(), &missing));
    }
    let lock = fs::read_to_string(new.path().join("Cargo.lock")).unwrap_or_default();
    if lock.lines().filter(|line| *line == format!("name = {name:?}")).count() > 1 {
        return Err(Failure::usage(taken(name)));
    }
    new.rename(path).map_err(fail)?;
    tell!(
        "made {}, template {}; next:\n  cd {}\n  cargo freestone run",
        path.shown(),
        template.name,
        String::from_utf8_lossy(&quoted(path.as_os_str().as_encoded_bytes()))
    );
    Ok(Status::Success)
}

/// As cargo has it, so that the folder can be built.
fn is_package_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let starts_well = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if !starts_well || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} cannot be a package's name: letters, digits, - and _, and a letter first"
        ));
    }
    let is_taken = name == "freestone"
        || name.starts_with("freestone-")
        || ["test", "core", "alloc", "std", "proc-macro", "proc_macro"].contains(&name);
    if is_taken {
        return Err(taken(name));
    }
    if KEYWORDS.contains(&name) {
        return Err(format!("{name} is a word of the language, which no crate can be called"));
    }
    if FOLDERS.contains(&name) {
        return Err(format!(
            "{name} is a folder of cargo's beside the binaries, so that cargo refuses it; take another"
        ));
    }
    Ok(())
}

fn taken(name: &str) -> String {
    format!("{name} is the name of a crate that a kernel uses; take another")
}

/// The language's words, those kept for later included, that could be a name otherwise; `self` and its like, too.
const KEYWORDS: [&str; 52] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// What cargo keeps in `target/debug`.
const FOLDERS: [&str; 4] = ["build", "deps", "examples", "incremental"];

/// `--path`, for every verb that makes packages: where Freestone's crates are.
pub struct Checkout(Option<PathBuf>);

impl Checkout {
    pub fn arg() -> Arg {
        Arg::new("freestone")
            .long("path")
            .value_name("CHECKOUT")
            .value_parser(value_parser!(PathBuf))
            .help("Depend on Freestone in this folder [default: where this tool was built, else the registry's]")
    }

    pub fn from(matches: &ArgMatches) -> Self {
        Self(matches.get_one("freestone").cloned())
    }

    /// The folder, if they are not in the registry: named, or the one that this tool came from.
    pub fn folder(&self) -> Result<Option<PathBuf>, Failure> {
        if let Some(path) = &self.0 {
            let real = fs::canonicalize(path)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.shown())))?;
            let is_one = real.join("freestone/Cargo.toml").is_file();
            let message = format!("{}: no Freestone in this folder", path.shown());
            return if is_one { Ok(Some(real)) } else { Err(Failure::usage(message)) };
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let is_one = |folder: &&Path| folder.join("freestone/Cargo.toml").is_file();
        Ok(source.filter(is_one).map(Path::to_owned))
    }
}

/// A template with its words filled in.
pub fn filled(text: &str, name: &str, checkout: Option<&Path>) -> String {
    let mut text = text.replace("KERNEL_NAME", name);
    for (package, folder) in CRATES {
        let version = format!("{:?}", env!("CARGO_PKG_VERSION"));
        let (alone, in_table) = match checkout {
            // A TOML literal string would do but for a quote in the path; an escaped one does for all.
            Some(path) => {
                let path = format!("path = {:?}", path.join(folder).display().to_string());
                (format!("{{ {path} }}"), path)
            }
            None => (version.clone(), format!("version = {version}")),
        };
        text = text.replace(&format!("{package} = \"*\""), &format!("{package} = {alone}"));
        let table = format!("{package} = {{ version = \"*\"");
        text = text.replace(&table, &format!("{package} = {{ {in_table}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_cargo_takes() {
        for good in ["a", "my-kernel", "k2", "My_Kernel"] {
            assert_eq!(is_package_name(good), Ok(()), "{good}");
        }
        for bad in ["", "2k", "-k", "a b", "ä", "..", "freestone", "core", "a/b"] {
            assert!(is_package_name(bad).is_err(), "{bad:?}");
        }
        for bad in ["build", "deps", "examples", "incremental", "match", "self", "gen", "test"] {
            let why = is_package_name(bad).expect_err(bad);
            assert!(why.starts_with(bad), "{why}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for template in TEMPLATES {
            for (file, text) in template.files() {
                for checkout in [None, Some(Path::new("/some where"))] {
                    let text = template.filled(text, "some-kernel", checkout);
                    assert!(!text.contains("KERNEL_NAME"), "{}: {file}", template.name);
                    assert!(!text.contains("\"*\""), "{}: {file}", template.name);
                }
            }
        }
    }

    #[test]
    fn a_path_is_one_in_toml_too() {
        let text = filled("freestone = \"*\"", "k", Some(Path::new("/a \"b\"")));
        assert_eq!(text, r#"freestone = { path = "/a \"b\"/freestone" }"#);
    }

    #[test]
    fn a_templates_features_are_in_its_manifest() {
        let template = TEMPLATES.iter().find(|template| template.name == "async").expect("there");
        let text = template.filled("freestone = \"*\"", "k", Some(Path::new("/a")));
        assert_eq!(text, r#"freestone = { path = "/a/freestone", features = ["task"] }"#);
        let text = template.filled("freestone = \"*\"", "k", None);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text,
            format!(r#"freestone = {{ version = "{version}", features = ["task"] }}"#)
        );
    }
}
