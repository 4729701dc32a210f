//! Cargo's own arguments, which mean here what they mean in cargo.
//!
//! They are in one table, are taken off the command line once, and go to every cargo that is called. Those for all of cargo's
//! commands go to `cargo metadata` too, those that choose features to `cargo tree` too, the rest to builds alone. Cargo
//! reports wrong values.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::args::{all, is_set};

/// Which of cargo's commands take an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Reach {
    All,
    /// Those that choose features.
    Features,
    Builds,
}

struct Flag {
    /// The name behind two hyphens; `-Z` has none.
    name: &'static str,
    short: Option<char>,
    value: Option<&'static str>,
    reach: Reach,
    /// Nextest's name for it, where `cargo nextest run` means something else by the same.
    nextest: Option<&'static str>,
    help: &'static str,
}

const fn flag(name: &'static str, reach: Reach, help: &'static str) -> Flag {
    Flag { name, short: None, value: None, reach, nextest: None, help }
}

impl Flag {
    const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    const fn value(self, value: &'static str) -> Self {
        Self { value: Some(value), ..self }
    }

    const fn nextest(self, name: &'static str) -> Self {
        Self { nextest: Some(name), ..self }
    }

    fn arg(&self) -> Arg {
        let mut arg = Arg::new(self.name).help(self.help).help_heading("Options of cargo's");
        if self.name != UNSTABLE {
            arg = arg.long(self.name);
        }
        if let Some(short) = self.short {
            arg = arg.short(short);
        }
        match self.value {
            None => arg.action(ArgAction::SetTrue),
            Some(name) => arg
                .value_name(name)
                .value_parser(value_parser!(OsString))
                // Jobs may be -1.
                .allow_hyphen_values(self.name == "jobs")
                .action(ArgAction::Append),
        }
    }

    /// The word that stands before the value.
    fn word(&self, is_nextest: bool) -> String {
        match (self.name, self.nextest) {
            (UNSTABLE, _) => "-Z".into(),
            (_, Some(name)) if is_nextest => format!("--{name}"),
            (name, _) => format!("--{name}"),
        }
    }
}

const UNSTABLE: &str = "unstable";
const MANIFEST: &str = "manifest-path";
const FEATURES: &str = "features";
const CONFIG: &str = "config";
const TARGET_DIR: &str = "target-dir";

/// But for `--target`, `-p`, `--bin`, `--example` and `-v`, of which this tool needs to know more.
const FLAGS: [Flag; 16] = [
    flag("release", Reach::Builds, "Build with the release profile").short('r'),
    flag("profile", Reach::Builds, "Build with this profile")
        .value("PROFILE")
        .nextest("cargo-profile"),
    flag(FEATURES, Reach::Features, "Features to turn on, between commas or spaces")
        .short('F')
        .value("FEATURES"),
    flag("all-features", Reach::Features, "Turn on all features"),
    flag("no-default-features", Reach::Features, "Do not turn on the feature `default`"),
    flag(MANIFEST, Reach::All, "The Cargo.toml of the package [default: the one here or above]")
        .value("PATH"),
    flag(TARGET_DIR, Reach::Builds, "Where cargo puts what it builds").value("FOLDER"),
    flag("jobs", Reach::Builds, "How many jobs of cargo's run at a time")
        .short('j')
        .value("N")
        .nextest("build-jobs"),
    flag("locked", Reach::All, "Take Cargo.lock as it is"),
    flag("offline", Reach::All, "Without the network"),
    flag("frozen", Reach::All, "Both of these"),
    flag(CONFIG, Reach::All, "A value of cargo's configuration, or a file of it")
        .value("KEY=VALUE"),
    flag("ignore-rust-version", Reach::Builds, "Do not mind the `rust-version` of packages"),
    flag("timings", Reach::Builds, "Have cargo write what takes how long to build"),
    flag("quiet", Reach::All, "Have cargo print only what goes wrong")
        .short('q')
        .nextest("cargo-quiet"),
    flag(UNSTABLE, Reach::All, "Flags of cargo's that only nightly has").short('Z').value("FLAG"),
];

/// The names of all that have no meaning where nothing is built.
pub fn names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|flag| flag.name).filter(|name| *name != "quiet")
}

/// What was given of these.
#[derive(Clone, Debug, Default)]
pub struct CargoArguments {
    /// Each with its place in [`FLAGS`].
    given: Vec<(usize, Option<OsString>)>,
}

impl CargoArguments {
    /// For verbs that build kernels.
    pub fn args() -> Vec<Arg> {
        FLAGS.iter().map(Flag::arg).collect()
    }

    pub fn from(matches: &ArgMatches) -> Self {
        let mut given = Vec::new();
        for (place, flag) in FLAGS.iter().enumerate() {
            if flag.value.is_none() {
                given.extend(is_set(matches, flag.name).then_some((place, None)));
                continue;
            }
            let values = all(matches, flag.name).unwrap_or_default();
            given.extend(values.into_iter().map(|value| (place, Some(value))));
        }
        Self { given }
    }

    /// Nothing but which manifest is meant.
    pub fn of_manifest(path: &Path) -> Self {
        let place =
            FLAGS.iter().position(|flag| flag.name == MANIFEST).expect("it is in the table");
        Self { given: vec![(place, Some(path.into()))] }
    }

    fn values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a OsString> {
        self.given
            .iter()
            .filter(move |(place, _)| FLAGS[*place].name == name)
            .filter_map(|(_, value)| value.as_ref())
    }

    /// What `--config` was given, in order: values and files.
    pub fn config(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.values(CONFIG).map(OsString::as_os_str)
    }

    /// The folder of the manifest, if one was named.
    pub fn manifest_folder(&self) -> Option<PathBuf> {
        let manifest = Path::new(self.values(MANIFEST).next_back()?);
        let folder = manifest.parent().filter(|folder| *folder != Path::new(""));
        std::path::absolute(folder.unwrap_or(Path::new("."))).ok()
    }

    /// `--target-dir`, which cargo has no word for where it only asks.
    pub fn target_directory(&self) -> Option<PathBuf> {
        std::path::absolute(self.values(TARGET_DIR).next_back()?).ok()
    }

    /// For cargo's questions about the workspace.
    pub fn ask(&self, command: &mut Command) {
        self.add(command, Reach::All, true);
    }

    /// For cargo's questions about what features bring.
    pub fn ask_with_features(&self, command: &mut Command) {
        self.add(command, Reach::Features, true);
    }

    /// For builds; where the tool has a target folder of its own, without the user's.
    pub fn build(&self, command: &mut Command, has_target_dir: bool) {
        self.add(command, Reach::Builds, !has_target_dir);
    }

    fn add(&self, command: &mut Command, reach: Reach, with_target_dir: bool) {
        let is_nextest = command.get_args().next() == Some(OsStr::new("nextest"));
        for (place, value) in &self.given {
            let flag = &FLAGS[*place];
            if flag.reach > reach || flag.name == TARGET_DIR && !with_target_dir {
                continue;
            }
            command.arg(flag.word(is_nextest)).args(value);
        }
    }

    /// Without the features that `has` does not know: in a workspace cargo gives each package those it has, but takes
    /// none that a single package lacks.
    pub fn with_features(&self, has: impl Fn(&str) -> bool) -> Self {
        let is_features = |place: usize| FLAGS[place].name == FEATURES;
        let mut given: Vec<_> =
            self.given.iter().filter(|(place, _)| !is_features(*place)).cloned().collect();
        for (place, value) in self.given.iter().filter(|(place, _)| is_features(*place)) {
            let all = value.as_ref().map(|text| text.to_string_lossy()).unwrap_or_default();
            let names = all.split([',', ' ']).filter(|name| !name.is_empty() && has(name));
            given.extend(names.map(|name| (*place, Some(name.into()))));
        }
        Self { given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> CargoArguments {
        let command = clap::Command::new("x").no_binary_name(true).args(CargoArguments::args());
        CargoArguments::from(&command.try_get_matches_from(words).expect("good words"))
    }

    fn words(first: &str, fill: impl Fn(&mut Command)) -> String {
        let mut command = Command::new("cargo");
        command.arg(first);
        fill(&mut command);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    const ALL: &[&str] = &[
        "-r",
        "-Fa,b",
        "-j-1",
        "--features=c d",
        "--locked",
        "--config",
        "x=1",
        "--config=y=2",
        "--target-dir",
        "t",
        "--manifest-path",
        "m/Cargo.toml",
        "-q",
    ];

    #[test]
    fn each_command_gets_what_it_takes() {
        let all = given(ALL);
        let features = "--features a,b --features c d";
        let asked = "--manifest-path m/Cargo.toml";
        let rest = "--locked --config x=1 --config y=2 --quiet";
        assert_eq!(words("metadata", |c| all.ask(c)), format!("metadata {asked} {rest}"));
        let tree = words("tree", |c| all.ask_with_features(c));
        assert_eq!(tree, format!("tree {features} {asked} {rest}"));
        let build = words("build", |c| all.build(c, false));
        let wanted = format!("build --release {features} {asked} --target-dir t --jobs -1 {rest}");
        assert_eq!(build, wanted);
        let own = words("build", |c| all.build(c, true));
        assert_eq!(own, wanted.replace(" --target-dir t", ""));
    }

    #[test]
    fn nextest_has_words_of_its_own() {
        let some = given(&["--profile", "p", "-j2", "-q", "--locked"]);
        let nextest = words("nextest", |c| some.build(c, false));
        assert_eq!(nextest, "nextest --cargo-profile p --build-jobs 2 --locked --cargo-quiet");
    }

    #[test]
    fn features_of_others_are_left_out() {
        let some =
            given(&["-F", "a,b c", "-F", "d", "--locked"]).with_features(|f| f != "b" && f != "d");
        assert_eq!(
            words("test", |c| some.build(c, false)),
            "test --locked --features a --features c"
        );
    }
}
