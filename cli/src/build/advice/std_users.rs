//! The dependencies that bring `std` into a kernel: each one with a feature of that name on, and the path to it.

use std::time::Duration;

use crate::build::cargo;
use crate::build::mode::{HOST, Mode};
use crate::foreign;
use crate::supervise::{Output, Stop, Watch};

/// Features that ask for `std`, by custom.
const FEATURES: [&str; 2] = ["std", "use_std"];

/// Has such a feature, which links nothing: it is on in many kernels.
const HARMLESS: &str = "libc";

/// A package that links `std`.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    package: String,
    /// The feature that asks for it; none: it was seen to ask, for another reason.
    feature: Option<String>,
    /// From the kernel to it, names only.
    path: Vec<String>,
}

/// All of them; none if cargo does not say.
pub fn find(package: &str, seen: &[String], mode: &Mode, verbose: bool) -> Vec<User> {
    let mut command = cargo::cargo();
    command.args(["tree", "--prefix", "depth", "--format", "|{p}|{f}|", "--package", package]);
    command.args(["--edges", "normal,no-proc-macro", "--target"]);
    // A target file is not for this verb; what it selects is much the same.
    if mode.name == "json" {
        command.arg(HOST)
    } else {
        command.arg(&mode.target)
    };
    let watch = Watch {
        limit: Some(Duration::from_secs(300)),
        stop: Stop::Ask,
        stdout: Output::KeepAll,
        stderr: Output::Keep,
    };
    match cargo::run_cargo(&mut command, &watch, verbose) {
        Ok(outcome) if outcome.is_success() => {
            users(&String::from_utf8_lossy(&outcome.stdout), seen)
        }
        _ => Vec::new(),
    }
}

/// Reads `DEPTH|NAME vVERSION|FEATURE,FEATURE|`, one package a line, below the one that brings it.
pub fn users(tree: &str, seen: &[String]) -> Vec<User> {
    let mut path: Vec<String> = Vec::new();
    let mut all: Vec<User> = Vec::new();
    for line in tree.lines() {
        let mut parts = line.split('|');
        let (Some(depth), Some(package), Some(features)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Ok(depth) = depth.parse::<usize>() else { continue };
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default();
        let version = words.next().unwrap_or_default().trim_start_matches('v');
        path.truncate(depth);
        path.push(name.to_owned());
        let feature = features.split(',').find(|feature| FEATURES.contains(feature));
        let was_seen = || seen.iter().any(|seen| *seen == name.replace('-', "_"));
        if depth == 0 || name == HARMLESS || (feature.is_none() && !was_seen()) {
            continue;
        }
        let package = format!("{name} {version}");
        if all.iter().all(|user| user.package != package) {
            let feature = feature.map(str::to_owned);
            all.push(User { package, feature, path: path.clone() });
        }
    }
    all
}

/// Who asks for `std` by what the compiler says, which is the first that it met, and the cure. `here` is the crate that it
/// was compiling.
pub fn first(text: &str, here: &str) -> (String, String) {
    // E0152 names the crate that brought `std`; with E0463 it is the one that does not compile.
    let named = text.split_once("crate `std` (which `").and_then(|(_, rest)| rest.split_once('`'));
    let is_twice = text.contains("`panic_impl`");
    let user = named.map_or(here, |(name, _)| name);
    let shown = foreign::line(user.as_bytes());
    let advice = match is_twice && user == here {
        true => format!(
            "{shown} is linked with std, which a kernel does not have: it begins with #![no_std]"
        ),
        false => format!(
            "{shown} asks for std, which a kernel does not have: where a manifest names it, `default-features = false` is \
             the usual cure, with `features = [\"alloc\"]` where it has that"
        ),
    };
    (user.to_owned(), advice)
}

/// A line for each of them, if there are any.
pub fn list(users: &[User]) -> Option<String> {
    let lines = users.iter().map(|user| {
        let why = match &user.feature {
            Some(feature) => format!("feature {feature}"),
            None => {
                "no feature `std` on: take a version that does without, or another crate".into()
            }
        };
        let line = format!("{} ({why}), by {}", user.package, user.path.join(" > "));
        format!("\n    {}", foreign::line(line.as_bytes()))
    });
    let lines: String = lines.collect();
    (!lines.is_empty()).then(|| format!("all that ask for std:{lines}"))
}
