//! Emulation or this machine's own KVM: reads `--accel` and finds out whether KVM works.

use std::env;
use std::fs::{self, File};

use clap::{Arg, ArgMatches};

use crate::args::one_of;
use crate::status::Failure;

/// Names the default; `--accel` wins over it.
pub const VARIABLE: &str = "FREESTONE_ACCEL";

/// What `--accel` may name; the first is the default.
const NAMES: [&str; 3] = ["auto", KVM, TCG];

/// QEMU's names.
pub const KVM: &str = "kvm";
/// Emulation, by translation.
pub const TCG: &str = "tcg";

/// What `--accel` was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// Nothing.
    #[default]
    Open,
    /// One of [`NAMES`].
    Named(&'static str),
    /// Emulation, for it is a verb without `--accel`.
    Emulation,
}

impl Accel {
    /// For verbs that boot in QEMU.
    pub fn arg() -> Arg {
        Arg::new("accel")
            .long("accel")
            .value_name("HOW")
            .value_parser(one_of(&NAMES))
            .help(format!(
                "Run by this machine's KVM, by emulation (TCG), or by KVM if it can be used [default: {VARIABLE}, else {}]",
                NAMES[0]
            ))
    }

    pub fn from(matches: &ArgMatches) -> Self {
        match matches.try_get_one("accel") {
            Ok(given) => given.copied().map_or(Self::Open, Self::Named),
            Err(_) => Self::Emulation,
        }
    }

    pub fn is_given(self) -> bool {
        matches!(self, Self::Named(_))
    }
}

/// How QEMU runs the guest's instructions, and why so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accelerator {
    /// QEMU's name for it.
    pub name: &'static str,
    /// Why not another; empty if the user named it.
    pub reason: String,
    /// Whether to go on with emulation should it not start.
    pub may_fall_back: bool,
}

impl Accelerator {
    /// Emulation, as somebody asked for it.
    pub fn tcg() -> Accelerator {
        Accelerator { name: TCG, reason: String::new(), may_fall_back: false }
    }

    /// What is asked for. What needs emulation gets it, unless KVM was named.
    pub fn new(asked: Accel, needs_tcg: Option<&str>) -> Result<Accelerator, Failure> {
        let given = match asked {
            Accel::Open => None,
            Accel::Named(name) => Some(name),
            Accel::Emulation => return Ok(Accelerator::tcg()),
        };
        let variable = env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        if let Some(value) = variable.as_deref().filter(|value| !NAMES.contains(value)) {
            let known = NAMES.join(", ");
            return Err(Failure::usage(format!("{VARIABLE} is {value}; it may be {known}")));
        }
        match (given.or(variable.as_deref()).unwrap_or(NAMES[0]), needs_tcg) {
            (TCG, _) => Ok(Accelerator::tcg()),
            (KVM, Some(option)) => Err(Failure::usage(format!("{option} needs --accel tcg"))),
            (KVM, None) => match usable() {
                Ok(()) => Ok(Accelerator { name: KVM, ..Accelerator::tcg() }),
                Err(why) => {
                    Err(Failure::tool(format!("KVM cannot be used: {why}; try --accel tcg")))
                }
            },
            (_, Some(option)) => Ok(Accelerator::auto(Err(format!("{option} needs it")))),
            (_, None) => Ok(Accelerator::auto(usable())),
        }
    }

    fn auto(kvm: Result<(), String>) -> Accelerator {
        match kvm {
            Ok(()) => {
                let reason = "/dev/kvm can be used".into();
                Accelerator { name: KVM, reason, may_fall_back: true }
            }
            Err(reason) => Accelerator { name: TCG, reason, may_fall_back: false },
        }
    }
}

/// Whether this machine's KVM can be used, else why not.
pub fn usable() -> Result<(), String> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| format!("/dev/kvm cannot be opened ({error})"))?;
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    has_virtualization(&about)
        .then_some(())
        .ok_or_else(|| "the processor does not offer it (no vmx or svm in /proc/cpuinfo)".into())
}

/// Linux says so where KVM has hardware. There are others that answer on /dev/kvm and interpret the guest.
fn has_virtualization(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.any(|line| line.split_whitespace().any(|flag| matches!(flag, "vmx" | "svm")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_is_told_from_what_only_answers() {
        assert!(has_virtualization("processor: 0\nflags\t\t: fpu vmx sse2\n"));
        assert!(has_virtualization("flags : svm\n"));
        assert!(!has_virtualization("model name : vmx\nflags : fpu svm_lock vmxoff\n"));
        assert!(!has_virtualization(""));
    }

    #[test]
    fn the_choice_tells_why() {
        let chosen = Accelerator::auto(Err("no".into()));
        assert_eq!((chosen.name, chosen.reason.as_str(), chosen.may_fall_back), (TCG, "no", false));
        assert!(Accelerator::auto(Ok(())).may_fall_back);
    }
}
