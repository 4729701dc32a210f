//! `cargo freestone chart`: boots a kernel and shows what it spent its instructions on, from its entry to `main`,
//! in `main`, and after it.
//!
//! QEMU logs every instruction of the image ([`calls`](crate::image::instruction_log) counts them as they come, through a pipe).
//! Under `-icount` a run is the same each time, so the numbers are exact and can be compared. The image is the one
//! that `run` boots: nothing is added to it, and any kernel with symbols will do.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fs;
use std::io::{self, BufReader, PipeReader, PipeWriter};
use std::num::NonZeroU128;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::thread;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::args::Telling;
use crate::boot::boot_args::{self, BootArgs};
use crate::boot::install;
use crate::boot::place::Place;
use crate::boot::qemu::Machine;
use crate::boot::request::Boot;
use crate::build::build_args::Which;
use crate::build::meant;
use crate::foreign::{self, Shown as _};
use crate::image::bootable;
use crate::image::instruction_log::{Chart, Counter, Functions, Part, Section, Stage};
use crate::image::name_table::{self, Booted};
use crate::say;
use crate::signals;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;
use crate::verbs::chart_svg;
use crate::verbs::hot::{grouped, hot};
use crate::whole::Destination;

/// Half a million instructions are logged in a second, on a good day.
const DEFAULT_SECONDS: u32 = 600;

/// Each is looked at for each instruction, and named to QEMU.
const MOST_SEGMENTS: usize = 64;

/// What the verb takes.
pub fn command() -> Command {
    Command::new("chart")
        .about(
            "Boot a kernel and show what it spends its instructions on, before, in and after main",
        )
        .override_usage(
            "cargo freestone chart [OPTIONS] [ELF | -p PACKAGE] [-- KERNEL COMMAND LINE]",
        )
        .args(Which::args())
        .arg(
            Arg::new("main")
                .long("main")
                .value_name("FUNCTION")
                .help("The function that the chart is cut at, if it is not called main"),
        )
        .arg(
            Arg::new("svg")
                .long("svg")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the chart as a picture, too"),
        )
        .args([
            boot_args::machine(),
            boot_args::memory(),
            boot_args::cores(),
            boot_args::timeout("600"),
            boot_args::no_names(),
            boot_args::qemu_arg(),
            boot_args::qemu(),
            boot_args::no_check(),
            boot_args::yes(),
        ])
        .args(Telling::args("Print JSON, with every function of every stage"))
        .arg(boot_args::command_line())
}

/// What was given.
struct Arguments {
    which: Which,
    boot: BootArgs,
    /// The function that the chart is cut at.
    main: Option<String>,
    svg: Option<PathBuf>,
    telling: Telling,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    chart(&Arguments {
        which: Which::from(matches),
        boot: BootArgs::from(matches),
        main: matches.get_one("main").cloned(),
        svg: matches.get_one("svg").cloned(),
        telling: Telling::from(matches),
    })
}

fn chart(arguments: &Arguments) -> Result<Status, Failure> {
    let Arguments { which, boot: given, main, svg, telling } = arguments;
    let (image, options) = meant::built(which, given, telling.verbose)?;
    let no_svg = |error| {
        let path = svg.as_ref().map(|svg| svg.shown()).unwrap_or_default();
        Failure::usage(format!("{path}: {error}"))
    };
    // Now rather than when all is counted.
    let destination = svg.as_deref().map(Destination::new).transpose().map_err(no_svg)?;
    let code = Code::read(&image, main.as_deref())?;
    let qemu = install::qemu(given.qemu.as_deref(), given.yes)?;
    let mut machine = Machine::new(qemu, given, &options)?;
    machine.icount = true;
    let about = format!("{} on {}", file_name(&image), machine.name);

    let (log, theirs) = io::pipe().map_err(|error| Failure::tool(format!("no pipe: {error}")))?;
    let mut extra = log_arguments(&mut machine, &code, &theirs);
    extra.extend(options.qemu_args());
    let memory_mib = options.memory_mib.value;
    let booted = Booted::new(&image, !given.no_names, memory_mib);
    let mut place = Place::Qemu(machine);
    place.equip_unreached(&given.devices, &options, &image)?;
    let boot = Boot {
        image: &image,
        booted: booted.path(),
        command_line: &options.command_line.value,
        module: None,
        memory_mib,
        extra: &extra,
        limit: options.limit(Some(DEFAULT_SECONDS)),
        verbose: telling.verbose,
    };
    let (verdict, chart) = thread::scope(|scope| {
        let counting = scope.spawn(|| count(&code.functions, log));
        let verdict = place.run(&boot, Output::Pass(io::stderr().as_fd()));
        // QEMU has ended, and with our copy the last end of the pipe that writes.
        drop(theirs);
        (verdict, counting.join().expect("it does not panic"))
    });
    let verdict = verdict?;
    let chart = chart.map_err(|error| Failure::tool(format!("the log cannot be read: {error}")))?;
    if chart.instructions == 0 && verdict.status != Status::Tool {
        say!(
            "no instruction of the image was seen: QEMU's log has another form, or the boot ended before"
        );
    } else {
        let title = format!("{about}: {} instructions", grouped(chart.instructions));
        let text = match telling.json {
            true => {
                foreign::json(&json(&image, place.name(), verdict.status, &chart, &code.functions))
            }
            false => text(&title, &chart, &code),
        };
        tell!("{text}");
        // Who ends it sees what was counted; a picture of less does not take the place of a whole one, nor its time.
        if let Some(destination) = destination.filter(|_| signals::caught().is_none()) {
            let picture = chart_svg::picture(&title, &chart, &code.functions);
            destination.write(picture.as_bytes(), None).map_err(no_svg)?;
        }
    }
    match verdict.status {
        Status::Success => Ok(verdict.status),
        status => Err(Failure::new(status, verdict.message)),
    }
}

fn count(functions: &Functions, log: PipeReader) -> io::Result<Chart> {
    let mut counter = Counter::new(functions);
    counter.follow(BufReader::with_capacity(1 << 16, log))?;
    Ok(counter.chart())
}

/// Has QEMU log each instruction of the code, to the pipe.
fn log_arguments(machine: &mut Machine, code: &Code, pipe: &PipeWriter) -> Vec<std::ffi::OsString> {
    let number = pipe.as_raw_fd();
    // SAFETY: two integers for a file descriptor that `pipe` holds open; only the flag that closes it in children
    // is cleared.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    let ranges: Vec<_> = code
        .logged
        .iter()
        .map(|range| format!("{:#x}+{:#x}", range.start, range.end.saturating_sub(range.start)))
        .collect();
    let mut arguments = vec!["-d".into(), "exec,nochain".into()];
    arguments.extend(["-dfilter".into(), ranges.join(",").into()]);
    arguments.extend(["-D".into(), format!("/dev/fd/{number}").into()]);
    arguments.extend(machine.step_by_step().map(Into::into));
    arguments
}

/// An image's code.
struct Code {
    functions: Functions,
    main: Option<String>,
    /// Where it runs.
    logged: Vec<Range<u64>>,
}

impl Code {
    fn read(image: &Path, main: Option<&str>) -> Result<Code, Failure> {
        let refuse =
            |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", image.shown()));
        let bytes = fs::read(image).map_err(|error| refuse(&error))?;
        let functions = name_table::functions(&bytes).map_err(|why| refuse(&why))?;
        let start = match main {
            Some(name) => Some(name_table::find(&functions, name).ok_or_else(|| {
                refuse(&format!("it has no function {name}; `nm -C` lists those it has"))
            })?),
            None => name_table::main_of(image, &functions),
        };
        let main = start.and_then(|start| functions.get(&start).cloned());
        let segments = bootable::executable(&bytes).map_err(|why| refuse(&why))?;
        if segments.len() > MOST_SEGMENTS {
            return Err(refuse(&"it has more executable segments than QEMU can be told to log"));
        }
        let mut logged = Vec::new();
        let mut moved = Vec::new();
        for (linked, physical) in segments {
            let len = linked.end.saturating_sub(linked.start);
            logged.push(linked.clone());
            // Until it has set up page tables, a kernel runs where it was loaded.
            if physical != linked.start {
                let loaded = physical..physical.saturating_add(len);
                logged.push(loaded.clone());
                moved.push((loaded, linked.start.wrapping_sub(physical)));
            }
        }
        Ok(Code { functions: Functions::new(functions, start, moved), main, logged })
    }
}

fn file_name(path: &Path) -> String {
    Path::new(path.file_name().unwrap_or(path.as_os_str())).shown()
}

fn text(title: &str, chart: &Chart, code: &Code) -> String {
    const BAR: u64 = 20;
    let mut lines = vec![title.to_owned()];
    for (part, Section { instructions, stages }) in &chart.parts {
        let title = match (part, &code.main) {
            (Part::Main, Some(main)) => format!("main ({main})"),
            _ => chart.title(*part).into(),
        };
        lines.push(format!("\n{title}: {} instructions", grouped(*instructions)));
        for stage in stages {
            let share = |whole: u64| u128::from(stage.instructions).saturating_mul(whole.into());
            let all = NonZeroU128::new((*instructions).into()).unwrap_or(NonZeroU128::MIN);
            let tenths = share(1000) / all;
            let bar = "#".repeat(share(BAR).div_ceil(all.get()).min(BAR.into()) as usize);
            let name = code.functions.name(stage.function);
            let times = if stage.calls > 1 { format!(" ×{}", stage.calls) } else { String::new() };
            lines.push(format!(
                "{:>12} {:>3}.{} %  {bar:<20}  {name}{times}",
                grouped(stage.instructions),
                tenths / 10,
                tenths % 10
            ));
            for (function, count) in hot(stage) {
                let name = code.functions.name(function);
                lines.push(format!("{:>12} {:>31} {name}", grouped(count), "·"));
            }
        }
    }
    lines.push(
        "\nleft out: the firmware, and code outside the image; what was compiled into a function is that function's"
            .into(),
    );
    if chart.is_cut {
        lines.push("too many different calls: some are counted as their callers'".into());
    }
    match &code.main {
        Some(main) if chart.main.is_none() => lines.push(format!("{main} was not reached")),
        None => lines.push(
            "no function is called main: name one with --main to see the boot by itself".into(),
        ),
        _ => {}
    }
    lines.join("\n")
}

fn json(
    image: &Path,
    machine: &str,
    status: Status,
    chart: &Chart,
    functions: &Functions,
) -> Value {
    let stage = |stage: &Stage| {
        let own = |(function, count): &(usize, u64)| json!({"function": functions.name(*function), "instructions": count});
        json!({
            "function": functions.name(stage.function),
            "address": functions.address(stage.function),
            "calls": stage.calls,
            "first": stage.first,
            "instructions": stage.instructions,
            "functions": stage.functions.iter().map(own).collect::<Vec<_>>(),
        })
    };
    let part = |(part, section): &(Part, Section)| {
        json!({
            "part": chart.title(*part),
            "instructions": section.instructions,
            "stages": section.stages.iter().map(stage).collect::<Vec<_>>(),
        })
    };
    json!({
        "image": image.to_string_lossy(),
        "machine": machine,
        "verdict": status.word(),
        "status": status.code(),
        "main": chart.main.map(|main| functions.name(main)),
        "instructions": chart.instructions,
        "complete": !chart.is_cut,
        "parts": chart.parts.iter().map(part).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {}
