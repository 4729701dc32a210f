//! The options of verbs that boot. Each verb lists those it takes, in the order in which its help shows them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::args::{all, flag, is_set, one, one_of};
use crate::boot::accel::Accel;
use crate::boot::devices::DeviceArgs;
use crate::boot::machines::{CORES, KVM, MACHINES, MEMORY, MEMORY_MIB, PLACES, XEN};
use crate::boot::xen;

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootArgs {
    /// One of [`PLACES`].
    pub on: Option<&'static str>,
    /// One of [`MACHINES`].
    pub machine: Option<&'static str>,
    pub accel: Accel,
    pub memory_mib: Option<u32>,
    pub cores: Option<u32>,
    /// Seconds, 0 for none.
    pub timeout: Option<u32>,
    pub icount: bool,
    /// A port.
    pub gdb: Option<u16>,
    pub trace: bool,
    pub stdin: bool,
    pub devices: DeviceArgs,
    pub no_names: bool,
    pub qemu_args: Vec<OsString>,
    pub qemu: Option<PathBuf>,
    pub xen: Option<PathBuf>,
    pub no_check: bool,
    /// Whether QEMU may be installed without a question.
    pub yes: bool,
    /// The kernel's.
    pub command_line: Option<OsString>,
}

impl BootArgs {
    pub fn from(matches: &ArgMatches) -> Self {
        Self {
            on: one(matches, ON),
            machine: one(matches, MACHINE),
            accel: Accel::from(matches),
            memory_mib: one(matches, "memory"),
            cores: one(matches, "cores"),
            timeout: one(matches, "timeout"),
            icount: is_set(matches, "icount"),
            gdb: one(matches, "gdb"),
            trace: is_set(matches, "trace"),
            stdin: is_set(matches, "stdin"),
            devices: DeviceArgs::from(matches),
            no_names: is_set(matches, "no-names"),
            qemu_args: all(matches, "qemu-arg").unwrap_or_default(),
            qemu: one(matches, "qemu"),
            xen: one(matches, XEN),
            no_check: is_set(matches, "no-check"),
            yes: is_set(matches, "yes"),
            command_line: all(matches, "command-line").map(|words| joined(&words)),
        }
    }

    /// The place that `--on` names, or what was given that has no meaning there.
    pub fn place(&self) -> Result<&'static str, String> {
        let place = self.on.unwrap_or(PLACES[0]);
        if let (XEN | KVM, Some(name)) = (place, self.devices.any()) {
            return Err(format!(
                "--{name} is not there yet with --on {place}: kernels have a network and disks with --on qemu"
            ));
        }
        let machine = [(self.machine.is_some(), MACHINE), (self.cores.is_some(), "cores")];
        let qemu = [
            (self.icount, "icount"),
            (self.gdb.is_some(), "gdb"),
            (self.trace, "trace"),
            (self.stdin, "stdin"),
            (self.accel.is_given(), "accel"),
        ];
        let xen = [(self.xen.is_some(), XEN)];
        let others = match place {
            XEN => [&machine[..], &qemu].concat(),
            KVM => [&xen[..], &qemu].concat(),
            _ => xen.to_vec(),
        };
        match others.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, name)) => Err(format!("--{name} has no meaning with --on {place}")),
            None => Ok(place),
        }
    }

    /// What was given that needs emulation.
    pub fn needs_emulation(&self) -> Option<&'static str> {
        let needs =
            [(self.icount, "--icount"), (self.trace, "--trace"), (self.gdb.is_some(), "--gdb")];
        needs.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

/// Words as the kernel gets them.
pub fn joined<'a>(words: impl IntoIterator<Item = &'a OsString>) -> OsString {
    words.into_iter().map(OsString::as_os_str).collect::<Vec<_>>().join(OsStr::new(" "))
}

/// Names, for options that contradict these.
pub const ON: &str = "on";
pub const MACHINE: &str = "machine";

pub fn on() -> Arg {
    Arg::new(ON)
        .long("on")
        .value_name("PLACE")
        .value_parser(one_of(&PLACES))
        .help(format!("Where to boot [default: {}]", PLACES[0]))
}

pub fn machine() -> Arg {
    Arg::new(MACHINE)
        .long("machine")
        .value_name("MACHINE")
        .value_parser(one_of(&MACHINES))
        .help(format!("The machine to boot on [default: {}]", MACHINES[0]))
}

/// `-m`.
pub fn memory() -> Arg {
    Arg::new("memory")
        .short('m')
        .value_name("MiB")
        .value_parser(
            value_parser!(u32).range(i64::from(*MEMORY.start())..=i64::from(*MEMORY.end())),
        )
        .help(format!("Memory of the machine [default: {}]", MEMORY_MIB))
}

pub fn cores() -> Arg {
    Arg::new("cores")
        .long("cores")
        .value_name("NUMBER")
        .value_parser(value_parser!(u32).range(i64::from(*CORES.start())..=i64::from(*CORES.end())))
        .help("Processors of the machine; Freestone starts the first, more are the kernel's to start [default: 1]")
}

pub fn timeout(default: &str) -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(value_parser!(u32))
        .help(format!("Stop a boot after this time; 0: never [default: {default}]"))
}

pub fn icount() -> Arg {
    flag("icount", "Count instructions instead of time: the guest's clocks repeat exactly")
}

pub fn stdin() -> Arg {
    flag("stdin", "Give the kernel's serial port what comes on stdin")
}

pub fn gdb() -> Arg {
    Arg::new("gdb")
        .long("gdb")
        .value_name("PORT")
        .value_parser(value_parser!(u16).range(1..))
        .help("Wait for a debugger on this port of 127.0.0.1 before the first instruction")
}

pub fn trace() -> Arg {
    flag("trace", "End with a table of the devices that the boot talked to, on stderr")
}

pub fn no_names() -> Arg {
    flag("no-names", "Boot the file as it is, without a table of names for backtraces")
}

pub fn qemu_arg() -> Arg {
    Arg::new("qemu-arg")
        .long("qemu-arg")
        .value_name("ARG")
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString))
        .help("One more argument for QEMU; may be repeated")
}

/// Also for verbs that only look at it.
pub fn qemu() -> Arg {
    Arg::new("qemu")
        .long("qemu")
        .value_name("PATH")
        .value_parser(value_parser!(PathBuf))
        .help("The QEMU to use [default: FREESTONE_QEMU, else qemu-system-x86_64]")
}

pub fn xen() -> Arg {
    Arg::new(XEN).long("xen").value_name("PATH").value_parser(value_parser!(PathBuf)).help(format!(
        "The Xen for --on xen [default: {}, else Debian's, fetched once]",
        xen::VARIABLE
    ))
}

pub fn no_check() -> Arg {
    flag("no-check", "Boot without looking for what `cargo freestone check` calls errors")
}

pub fn yes() -> Arg {
    flag("yes", "Install QEMU without asking if it is missing (as root, by apt-get)")
}

/// What follows `--`.
pub fn command_line() -> Arg {
    Arg::new("command-line")
        .value_name("KERNEL COMMAND LINE")
        .last(true)
        .num_args(0..)
        .value_parser(value_parser!(OsString))
        .help("What the kernel gets as its command line, joined with spaces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::disk::Disk;
    use crate::boot::forward::Forward;
    use crate::boot::network::{Mac, Net};
    use crate::verbs::{chart, run};

    fn given(command: clap::Command, words: &str) -> BootArgs {
        let words = ["verb"].into_iter().chain(words.split_whitespace());
        BootArgs::from(&command.try_get_matches_from(words).expect("good words"))
    }

    #[test]
    fn every_option_is_read() {
        let words = "--on qemu --machine pc --accel tcg -m 8 --cores 2 --timeout 3 --icount --stdin --gdb 4 --trace \
                     --net user --forward 5:6 --mac 02:00:00:00:00:01 --pcap p --disk d,ro --module m \
                     --no-names --qemu-arg -s --qemu q --xen x --no-check --yes -- a b";
        let all = BootArgs {
            on: Some("qemu"),
            machine: Some("pc"),
            accel: Accel::Named("tcg"),
            memory_mib: Some(8),
            cores: Some(2),
            timeout: Some(3),
            icount: true,
            gdb: Some(4),
            trace: true,
            stdin: true,
            devices: DeviceArgs {
                net: Some(Net::User),
                forwards: vec![Forward::parse("tcp:5:6").expect("good")],
                mac: Some(Mac::parse("02:00:00:00:00:01").expect("good")),
                pcap: Some("p".into()),
                disks: vec![Disk { file: "d".into(), is_read_only: true }],
                module: Some("m".into()),
            },
            no_names: true,
            qemu_args: vec!["-s".into()],
            qemu: Some("q".into()),
            xen: Some("x".into()),
            no_check: true,
            yes: true,
            command_line: Some("a b".into()),
        };
        assert_eq!(given(run::command(), words), all);
        assert_eq!(given(run::command(), ""), BootArgs::default());
        assert_eq!(given(run::command(), "--").command_line, None);
        let other = BootArgs { accel: Accel::Emulation, ..BootArgs::default() };
        assert_eq!(given(chart::command(), ""), other);
    }

    #[test]
    fn what_belongs_to_another_place_is_refused() {
        for (words, refused) in [
            ("--on xen --machine pc --gdb 1", Some("--machine has no meaning with --on xen")),
            ("--on xen --accel auto", Some("--accel has no meaning with --on xen")),
            ("--on kvm-nested --trace", Some("--trace has no meaning with --on kvm-nested")),
            (
                "--on xen --net user",
                Some(
                    "--net is not there yet with --on xen: kernels have a network and disks with --on qemu",
                ),
            ),
            (
                "--on kvm-nested --disk d",
                Some(
                    "--disk is not there yet with --on kvm-nested: kernels have a network and disks with --on qemu",
                ),
            ),
            ("--on xen --net none", None),
            ("--xen x", Some("--xen has no meaning with --on qemu")),
            ("--on xen --xen x -m 8", None),
            ("--on kvm-nested --machine pc --cores 2", None),
            ("--icount --gdb 1 --trace --accel kvm", None),
        ] {
            let place = given(run::command(), words).place();
            assert_eq!(place.err().as_deref(), refused, "{words}");
        }
    }
}
