//! The options of a boot: from the verb's options, else from settings in `Cargo.toml`, else the default.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::boot::boot_args::BootArgs;
use crate::boot::machines::{MACHINES, MEMORY_MIB, PLACES};
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

    /// What was given, and for the rest the settings. What has no meaning in the place to boot is refused, not ignored.
    pub fn new(given: &BootArgs, settings: &Settings) -> Result<Self, Failure> {
        let mut all = Self::of_settings(settings);
        all.on = given.place().map_err(Failure::usage)?;
        if let Some(machine) = given.machine {
            all.machine = Some(Asked::new(machine.to_owned(), "--machine"));
        }
        if let Some(mib) = given.memory_mib {
            all.memory_mib = Asked::new(mib, "-m");
        }
        if let Some(cores) = given.cores {
            all.cores = Asked::new(cores, "--cores");
        }
        if let Some(seconds) = given.timeout {
            all.timeout = Some(Asked::new(seconds, "--timeout"));
            all.test_timeout.clone_from(&all.timeout);
        }
        let qemu_args = given.qemu_args.iter().cloned();
        all.qemu_args.extend(qemu_args.map(|arg| Asked::new(arg, "--qemu-arg")));
        if let Some(line) = &given.command_line {
            all.command_line = Asked::new(line.clone(), "--");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::machines::XEN;
    use crate::verbs::run;

    fn options(words: &[&str], settings: &Settings) -> BootOptions {
        let matches = run::command().try_get_matches_from([&["run"], words].concat());
        let given = BootArgs::from(&matches.expect("good words"));
        BootOptions::new(&given, settings).expect("nothing contradicts")
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
