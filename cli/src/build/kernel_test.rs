//! Tests inside a kernel: how cargo builds and runs them.
//!
//! Everything that a test file needs beyond its manifest goes on the command line and into the
//! environment of one `cargo test`:
//!
//! - `--target`, even though it is the host's: flags then stay away from build scripts and macros;
//! - `-C panic=abort`, which profiles cannot ask for in tests, and `-C force-frame-pointers=yes` for
//!   complete backtraces, and the link arguments, unless plain `cargo test` builds the tests too, by a build script that
//!   passes them on: flags that the user has set already are not added, so that nothing is built twice;
//! - a runner: this tool's verb `runner`, which cargo or nextest calls with each built file.

use std::env;
use std::ffi::OsString;
use std::path::{self, Path};
use std::process::{self, Command};
use std::time::Duration;

use freestone_protocol::link;
use freestone_targets::LinkInput;
use serde_json::json;

use crate::args::Telling;
use crate::boot::boot_args::BootArgs;
use crate::boot::install;
use crate::boot::xen;
use crate::build::advice;
use crate::build::cargo;
use crate::build::cargo_config::Config;
use crate::build::crate_flags;
use crate::build::flags;
use crate::build::mode::Mode;
use crate::build::program::KernelTests;
use crate::foreign::Shown as _;
use crate::status::{Failure, Status};
use crate::supervise::{Output, Stop, Watch};
use crate::verbs::runner::{
    BOOT_PER_TEST_VARIABLE, CORES_VARIABLE, JUNIT_VARIABLE, MACHINE_VARIABLE, MEMORY_VARIABLE,
    PLACE_VARIABLE, QEMU_ARGS_VARIABLE, TIMEOUT_VARIABLE, VERB,
};

/// For one package's tests, built and run.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What is asked for.
pub struct Request<'a> {
    pub boot: &'a BootArgs,
    pub boot_per_test: bool,
    /// Whether nextest runs them.
    pub nextest: bool,
    /// The folder for JUnit XML files.
    pub junit: Option<&'a Path>,
    /// For test programs.
    pub arguments: &'a [OsString],
    pub telling: Telling,
}

impl Request<'_> {
    /// Builds and runs one package's tests.
    pub fn run(
        &self,
        qemu: &Path,
        mode: &Mode,
        target_directory: &Path,
        tests: &KernelTests,
    ) -> Result<Status, Failure> {
        let Telling { json, verbose } = self.telling;
        // First built, then run: only so is a test that does not build told from one that fails.
        let mut flags = flags(mode, target_directory, tests)?;
        flags.extend(crate_flags::needed(&tests.package, true, mode, verbose)?);
        // By cargo for nextest too, whose own builds are cargo's, and which has no such messages to advise on.
        let mut build = self.command("test", qemu, mode, target_directory, tests, &flags)?;
        build.arg("--no-run");
        let what = format!("the kernel tests of {} do not build", tests.package);
        let kernel = advice::Kernel { package: &tests.package, mode };
        advice::build(&mut build, LIMIT, Some(kernel), &what, verbose)?;
        let verb = if self.nextest { "nextest" } else { "test" };
        let mut run = self.command(verb, qemu, mode, target_directory, tests, &flags)?;
        if !self.arguments.is_empty() {
            run.arg("--").args(self.arguments);
        }
        let watch = Watch {
            limit: Some(LIMIT),
            stop: Stop::AskGroup,
            stdout: if json { Output::ToStderr } else { Output::Inherit },
            stderr: Output::Inherit,
        };
        let outcome = cargo::run_cargo(&mut run, &watch, verbose)?;
        Ok(if outcome.is_success() { Status::Success } else { Status::Failed })
    }

    /// `verb` is `test` or `nextest`.
    fn command(
        &self,
        verb: &str,
        qemu: &Path,
        mode: &Mode,
        target_directory: &Path,
        tests: &KernelTests,
        flags: &[OsString],
    ) -> Result<Command, Failure> {
        let tool = |what: &str, error| Failure::tool(format!("{what}: {error}"));
        let own = env::current_exe().map_err(|error| tool("this program's own path", error))?;
        let own =
            own.to_str().ok_or_else(|| Failure::tool("this program's own path is not UTF-8"))?;
        let qemu = path::absolute(qemu).map_err(|error| tool("QEMU's path", error))?;

        let mut command = cargo::cargo();
        command.arg(verb);
        if verb == "nextest" {
            command.args(["run", "--no-tests=pass"]);
        }
        command.args(["-p", &tests.package]);
        for target in &tests.targets {
            command.args(["--test", target]);
        }
        // The environment wins over files, where a value on the command line would be joined with theirs. Words end at
        // spaces there, and this process has a name without, while it lives.
        let own = match own.contains(char::is_whitespace) {
            true => format!("/proc/{}/exe", process::id()),
            false => own.to_owned(),
        };
        command.env(runner_variable(&mode.target_name), format!("{own} {VERB}"));
        mode.apply(&mut command, target_directory, flags)?;
        command.env(install::QEMU_VARIABLE, qemu);
        if !tests.are_cargos {
            // The façade's build script then adds nothing to these arguments.
            command.env(link::BY_TOOL, "1");
        }
        let mut set = |name, value: Option<OsString>| {
            if let Some(value) = value {
                command.env(name, value);
            }
        };
        let BootArgs { on, machine, timeout, memory_mib, cores, qemu_args, xen, .. } = self.boot;
        let xen = xen::named(xen.as_deref()).map_err(|error| tool("Xen's path", error))?;
        set(xen::VARIABLE, xen.map(Into::into));
        set(PLACE_VARIABLE, on.map(Into::into));
        set(MACHINE_VARIABLE, machine.map(Into::into));
        // The settings of its package the runner reads.
        let number = |given: Option<u32>| given.map(|number| number.to_string().into());
        set(TIMEOUT_VARIABLE, number(*timeout));
        set(MEMORY_VARIABLE, number(*memory_mib));
        set(CORES_VARIABLE, number(*cores));
        let extra: Vec<_> = qemu_args.iter().map(|arg| arg.to_string_lossy()).collect();
        set(QEMU_ARGS_VARIABLE, (!extra.is_empty()).then(|| json!(extra).to_string().into()));
        for (name, value) in self.boot.devices.environment()? {
            set(name, value);
        }
        set(BOOT_PER_TEST_VARIABLE, self.boot_per_test.then(|| "1".into()));
        let junit = self.junit.map(path::absolute).transpose();
        let junit = junit.map_err(|error| tool("the folder for JUnit files", error))?;
        set(JUNIT_VARIABLE, junit.map(Into::into));
        Ok(command)
    }
}

/// What tells cargo how to run programs for a target.
fn runner_variable(target: &str) -> String {
    let name = target.to_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{name}_RUNNER")
}

/// What a test file needs of the compiler beyond what the mode asks for.
fn flags(
    mode: &Mode,
    target_directory: &Path,
    tests: &KernelTests,
) -> Result<Vec<OsString>, Failure> {
    let mut flags: Vec<OsString> =
        ["-Cpanic=abort", "-Cforce-frame-pointers=yes"].map(Into::into).into();
    if tests.are_cargos {
        let config = Config::read(&mode.cargo);
        flags.retain(|flag| !flags::users_mention(&flag.to_string_lossy(), &config));
        return Ok(flags);
    }
    let folder = target_directory.join("freestone").join(&mode.target_name);
    let input = LinkInput::for_target(&mode.target_name).ok_or_else(|| {
        let known = freestone_targets::SUPPORTED.join(", ");
        Failure::usage(format!(
            "kernels for {} cannot be linked yet; for {known} they can",
            mode.target_name
        ))
    })?;
    let link = input.write(&folder);
    let link = link.map_err(|error| Failure::tool(format!("{}: {error}", folder.shown())))?;
    let mut link_argument = OsString::from("-Clink-arg=@");
    link_argument.push(link);
    flags.push(link_argument);
    Ok(flags)
}
