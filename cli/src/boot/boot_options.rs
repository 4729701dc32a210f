//! The options of a boot: from the verb's options, else from settings in `Cargo.toml`, else the default.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::ArgMatches;

use crate::boot::machines::{KVM, MACHINES, MEMORY_MIB, PLACES, XEN};
use crate::boot::settings::{Asked, Settings};
use crate::foreign;
use crate::say;
use crate::status::Failure;

/// See the module.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// One of [`PLACES`].
    pub on: &'static str,
    /// One of [`MACHINES`], if any is asked for.
    pub machine: Option<Asked<String>>,
    pub memory_mib: Asked<u32>,
    pub cores: Asked<u32>,
    /// Seconds, 0 for none.
    pub timeout: Option<Asked<u32>>,
    /// The same for each kernel test.
    pub test_timeout: Option<Asked<u32>>,
    /// Those of the settings before those of the command line: of two that contradict each other QEMU takes the last.
    pub qemu_args: Vec<Asked<OsString>>,
    /// The kernel's.
    pub command_line: Asked<OsString>,
}

/// The place that `--on` names. What belongs to another place is refused, not ignored.
pub fn on(matches: &ArgMatches) -> Result<&'static str, Failure> {
    let given = matches.try_get_one::<String>("on").ok().flatten();
    let name = given.map_or(PLACES[0], String::as_str);
    let place = PLACES.into_iter().find(|place| *place == name).unwrap_or(PLACES[0]);
    let is_given = |id: &&str| {
        // Verbs differ in what they take.
        let source = matches.try_contains_id(id).unwrap_or(false).then(|| matches.value_source(id));
        source.flatten() == Some(clap::parser::ValueSource::CommandLine)
    };
    let others: &[&str] = match place {
        XEN => &["machine", "cores", "icount", "gdb", "trace", "accel"],
        KVM => &[XEN, "icount", "gdb", "trace", "accel"],
        _ => &[XEN],
    };
    match others.iter().find(|id| is_given(id)) {
        Some(id) => Err(Failure::usage(format!("--{id} has no meaning with --on {place}"))),
        None => Ok(place),
    }
}

impl BootOptions {
    /// What the settings ask for alone.
    pub fn of_settings(settings: &Settings) -> Self {
        let Settings { machine, memory_mib, cores, timeout, qemu_args, command_line, test_timeout } =
            settings.clone();
        let each = |Asked { value, by }: Asked<Vec<OsString>>| {
            value.into_iter().map(move |arg| Asked::new(arg, by.clone()))
        };
        Self {
            on: PLACES[0],
            machine,
            memory_mib: memory_mib.unwrap_or_else(|| Asked::new(MEMORY_MIB, DEFAULT)),
            cores: cores.unwrap_or_else(|| Asked::new(1, DEFAULT)),
            timeout,
            test_timeout,
            qemu_args: qemu_args.into_iter().flat_map(each).collect(),
            command_line: command_line.unwrap_or_else(|| Asked::new(OsString::new(), DEFAULT)),
        }
    }

    /// What the arguments of a verb ask for, and for the rest the settings. Verbs differ in what they take.
    pub fn new(matches: &ArgMatches, settings: &Settings) -> Result<Self, Failure> {
        let mut all = Self::of_settings(settings);
        all.on = on(matches)?;
        if let Some(machine) = one::<String>(matches, "machine") {
            all.machine = Some(Asked::new(machine, "--machine"));
        }
        if let Some(mib) = one(matches, "memory") {
            all.memory_mib = Asked::new(mib, "-m");
        }
        if let Some(cores) = one(matches, "cores") {
            all.cores = Asked::new(cores, "--cores");
        }
        if let Some(seconds) = one(matches, "timeout") {
            all.timeout = Some(Asked::new(seconds, "--timeout"));
            all.test_timeout.clone_from(&all.timeout);
        }
        let many = |id| matches.try_get_many::<OsString>(id).ok().flatten();
        let given = many("qemu-arg").unwrap_or_default().cloned();
        all.qemu_args.extend(given.map(|arg| Asked::new(arg, "--qemu-arg")));
        if let Some(words) = many("command-line") {
            all.command_line = Asked::new(joined(words), "--");
        }
        Ok(all)
    }

    /// The machine asked for, or the default.
    pub fn machine(&self) -> &str {
        self.machine.as_ref().map_or(MACHINES[0], |machine| &machine.value)
    }

    /// More arguments for QEMU.
    pub fn qemu_args(&self) -> Vec<OsString> {
        self.qemu_args.iter().map(|arg| arg.value.clone()).collect()
    }

    /// How long a boot may take; `default` in seconds.
    pub fn limit(&self, default: Option<u32>) -> Option<Duration> {
        limit(self.timeout.as_ref().map(|timeout| timeout.value).or(default))
    }

    /// Says what was asked for, and by whom.
    pub fn tell(&self) {
        let line = |name: &str, value: &dyn std::fmt::Display, by: &str| {
            say!("{name} {value}, by {}", foreign::line(by.as_bytes()));
        };
        let Self { machine, memory_mib, cores, timeout, test_timeout, .. } = self;
        let Self { qemu_args, command_line, .. } = self;
        match machine {
            Some(machine) => line("machine:", &machine.value, &machine.by),
            None => line("machine:", &MACHINES[0], DEFAULT),
        }
        line("memory: ", &format_args!("{} MiB", memory_mib.value), &memory_mib.by);
        line("cores:  ", &cores.value, &cores.by);
        match timeout {
            Some(Asked { value: 0, by }) => line("timeout:", &"none", by),
            Some(Asked { value, by }) => line("timeout:", &format_args!("{value} s"), by),
            None => {}
        }
        match test_timeout {
            Some(Asked { value: 0, by }) => line("for each kernel test:", &"any time", by),
            Some(Asked { value, by }) => {
                line("for each kernel test:", &format_args!("{value} s"), by);
            }
            None => {}
        }
        let shown = |text: &OsStr| foreign::line(text.as_encoded_bytes());
        for arg in qemu_args {
            line("for QEMU:", &shown(&arg.value), &arg.by);
        }
        if !command_line.value.is_empty() {
            line("command line:", &shown(&command_line.value), &command_line.by);
        }
    }
}

/// Who asks if nobody does.
const DEFAULT: &str = "default";

/// Seconds as a limit: 0 is none.
pub fn limit(seconds: Option<u32>) -> Option<Duration> {
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

/// The value of an option, if the verb has it and it is given.
fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

/// Words as the kernel gets them.
pub fn joined<'a>(words: impl Iterator<Item = &'a OsString>) -> OsString {
    words.map(OsString::as_os_str).collect::<Vec<&OsStr>>().join(OsStr::new(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::run;

    fn options(words: &[&str], settings: &Settings) -> BootOptions {
        let matches = run::command().try_get_matches_from([&["run"], words].concat());
        BootOptions::new(&matches.expect("good words"), settings).expect("nothing contradicts")
    }

    fn settings() -> Settings {
        let by = "k";
        Settings {
            machine: Some(Asked::new("pc".into(), by)),
            memory_mib: Some(Asked::new(8, by)),
            timeout: Some(Asked::new(0, by)),
            qemu_args: Some(Asked::new(vec!["-a".into()], by)),
            command_line: Some(Asked::new("x y".into(), by)),
            ..Settings::default()
        }
    }

    #[test]
    fn an_option_wins_over_a_setting_and_that_over_the_default() {
        let plain = options(&[], &Settings::default());
        assert_eq!((plain.machine(), plain.memory_mib.value), (MACHINES[0], MEMORY_MIB));
        assert_eq!(plain.limit(Some(9)), Some(Duration::from_secs(9)));
        let set = options(&[], &settings());
        assert_eq!((set.machine(), set.memory_mib.value), ("pc", 8));
        assert_eq!((set.limit(Some(9)), set.command_line.value), (None, "x y".into()));
        let words =
            ["--machine", "q35", "-m", "16", "--timeout=3", "--qemu-arg", "-b", "--", "z", "w"];
        let given = options(&words, &settings());
        assert_eq!((given.machine(), given.memory_mib.value), ("q35", 16));
        assert_eq!(given.qemu_args(), ["-a", "-b"]);
        assert_eq!((given.limit(None), given.command_line.value), (limit(Some(3)), "z w".into()));
    }

    #[test]
    fn a_setting_is_no_contradiction_to_a_place() {
        assert_eq!(options(&["--on", "xen"], &settings()).on, XEN);
    }
}
