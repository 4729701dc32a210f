//! Runs child processes: with a time limit and live output, and none outlives the tool (see also [`guard`]).
//!
//! Every program the tool starts goes through [`run`]: one loop over poll(2) that passes output on as
//! it comes, and checks the clock and the signals that the tool itself got. The loop is the only
//! thread. That matters twice: nothing needs locks, and the kernel's parent-death signal, which
//! follows the *thread* that spawned the child, means the whole tool.
//!
//! Signals are [noted](crate::signals) for the loop, which looks for one each turn, every [`TICK`] at the latest.

pub mod lines;
mod stream;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::guard;
use crate::signals::{Attended, caught, obeyed};
use crate::unfinished::Unfinished;
use stream::{Stream, serve};

pub use stream::{wait_readable, wait_writable};

/// The longest the loop sleeps without looking up.
const TICK: Duration = Duration::from_millis(50);

/// How long a child that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A file without a name, for a child to read: gone with the last process that has it open, however that ends.
pub fn nameless() -> io::Result<File> {
    // Its name goes with what is dropped here.
    Unfinished::file_in(&std::env::temp_dir(), 0o600).map(|(_, file)| file)
}

/// Starts a child beside the one that will be watched: in a group of its own, which the terminal's signals
/// do not reach, and killed if the tool is.
pub fn spawn_beside(command: &mut Command) -> io::Result<Child> {
    prepare(command, Stop::Kill);
    command.spawn()
}

/// What happens to one of the child's output streams.
#[derive(Clone, Copy)]
pub enum Output<'a> {
    /// The child writes where the tool writes.
    Inherit,
    /// What the child writes to stdout comes out of the tool's stderr.
    ToStderr,
    /// Kept for the caller, up to `KEPT` bytes from the end.
    Keep,
    /// Kept for the caller, all of it.
    KeepAll,
    /// Passed on as it comes; its end is kept too.
    Pass(BorrowedFd<'a>),
}

/// How the child is stopped when it has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, then SIGKILL after a while; the child shares the tool's process group and with it
    /// the terminal (passwords can be asked for).
    Ask,
    /// The same for the child's own process group: all that it started goes too.
    AskGroup,
    /// SIGKILL at once, to its own group.
    Kill,
}

/// How to treat one child.
pub struct Watch<'a> {
    /// No limit if `None`. Time in which the child waits for a processor does not count, see [`Clock`].
    pub limit: Option<Duration>,
    pub stop: Stop,
    pub stdout: Output<'a>,
    pub stderr: Output<'a>,
}

/// Reads along: what a child writes to stdout goes through here before it is kept and passed on.
pub trait Filter {
    /// Takes what came and adds to `out` what is to go on. True: the child has said all that matters.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool;

    /// Whether the limit of time counts from now on, since this was asked last.
    fn restarts_the_clock(&mut self) -> bool {
        false
    }

    /// Whether the child is read even while nobody takes what it wrote before.
    fn reads_ahead(&self) -> bool {
        true
    }

    /// Time is up, and the child still runs: the last chance to ask it something, and how long to wait for what it says.
    fn time_is_up(&mut self) -> Duration {
        Duration::ZERO
    }

    /// The tool is told to stop: asks the child to end, if it can be asked, and says how long that may take. Whoever is
    /// told so twice does not wait.
    fn is_told_to_stop(&mut self) -> Duration {
        Duration::ZERO
    }

    /// The user ends it (Ctrl-C): the same chance, for as short as a user who waits has patience.
    fn is_interrupted(&mut self) {}

    /// There is no more to come.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// Why the watch is over.
#[derive(Debug)]
pub enum Ending {
    /// The filter has seen enough; the child is stopped.
    Enough,
    /// By itself, or killed by someone else.
    Ended(ExitStatus),
    /// The limit was reached. What comes behind so many bytes of its stdout, it said when it was asked then.
    Limit(usize),
    /// The tool was told to stop, by this signal.
    Signalled(i32),
    /// Where the output goes, nobody listens.
    OutputClosed,
    /// Where the output goes, it cannot be written.
    OutputFailed(io::Error),
}

/// What is left of a child.
#[derive(Debug)]
pub struct Outcome {
    pub ending: Ending,
    /// What was kept of its stdout.
    pub stdout: Vec<u8>,
    /// What was kept of its stderr.
    pub stderr: Vec<u8>,
    pub wall: Duration,
}

impl Outcome {
    /// Whether the child ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Ended(status) if status.success())
    }
}

/// Starts `command` and stays with it to its end, or ends it. The error is that of starting.
pub fn run(command: &mut Command, watch: &Watch) -> io::Result<Outcome> {
    run_through(None, command, watch)
}

/// The same, with stdout going through `filter`; stdout must be one that the tool sees.
pub fn run_through(
    filter: Option<&mut dyn Filter>,
    command: &mut Command,
    watch: &Watch,
) -> io::Result<Outcome> {
    let begin = Instant::now();
    let attended = Attended::new();
    command.stdout(stdio(watch.stdout, true)?).stderr(stdio(watch.stderr, false)?);
    prepare(command, watch.stop);
    let mut child = command.spawn()?;
    if let Some(pipe) = child.stdin.take() {
        feed(pipe);
    }
    let mut streams = [
        Stream::new(child.stdout.take().map(OwnedFd::from), watch.stdout, filter)?,
        Stream::new(child.stderr.take().map(OwnedFd::from), watch.stderr, None)?,
    ];
    let mut clock = watch.limit.map(|limit| Clock::new(child.id(), limit));
    let mut ending = attend(&mut child, &mut streams, &mut clock, caught);
    if let (Ending::Limit(_), Some(filter)) = (&ending, &mut streams[0].filter) {
        let patience = filter.time_is_up();
        if let Ending::Signalled(signal) = last_words(&mut child, &mut streams, patience, caught) {
            ending = Ending::Signalled(signal);
        }
    }
    if let (Ending::Signalled(_), Some(filter)) = (&ending, &mut streams[0].filter) {
        let patience = filter.is_told_to_stop();
        if let end @ Ending::Ended(_) = last_words(&mut child, &mut streams, patience, || None) {
            obeyed();
            ending = end;
        }
    }
    if let (Ending::Signalled(libc::SIGINT), Some(filter)) = (&ending, &mut streams[0].filter) {
        filter.is_interrupted();
    }
    streams.iter_mut().for_each(Stream::finish);
    drop(attended);
    // One that came when the loop had looked for the last time.
    if let (Some(signal), Ending::Ended(_) | Ending::Enough) = (caught(), &ending) {
        ending = Ending::Signalled(signal);
    }
    if !matches!(ending, Ending::Ended(_)) {
        stop(&mut child, watch.stop);
        // The child does not speak for what it started, in groups of their own perhaps.
        if !matches!(ending, Ending::Enough) {
            guard::sweep();
        }
    }
    let [stdout, stderr] = streams.map(|stream| stream.kept);
    Ok(Outcome { ending, stdout, stderr, wall: begin.elapsed() })
}

/// Passes stdin on, for a child that was given a pipe for it, as long as there is some and the child takes it. It goes with
/// the tool.
pub fn feed(mut pipe: impl io::Write + Send + 'static) {
    thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut pipe));
}

fn stdio(output: Output, is_stdout: bool) -> io::Result<Stdio> {
    Ok(match output {
        Output::Inherit => Stdio::inherit(),
        Output::ToStderr if is_stdout => Stdio::from(io::stderr().as_fd().try_clone_to_owned()?),
        Output::ToStderr => Stdio::inherit(),
        Output::Keep | Output::KeepAll | Output::Pass(_) => Stdio::piped(),
    })
}

fn prepare(command: &mut Command, stop: Stop) {
    if stop != Stop::Ask {
        command.process_group(0);
    }
    die_with_the_tool(command);
}

/// Asks the kernel to kill the child when the tool dies, in whatever way. The [guard] sees to what the
/// child started; this is for when it is killed too.
#[cfg(target_os = "linux")]
fn die_with_the_tool(command: &mut Command) {
    let tool = std::process::id().cast_signed();
    let promise = move || {
        // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // Had the tool died before the line above, no signal would come any more.
        // SAFETY: getppid has no preconditions.
        if unsafe { libc::getppid() } != tool {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. `promise` makes two
    // system calls and neither allocates nor locks: both errors are made from a number.
    unsafe { command.pre_exec(promise) };
}

/// Other systems have no such promise to give: there a killed tool leaves its child behind.
#[cfg(not(target_os = "linux"))]
fn die_with_the_tool(_: &mut Command) {}

/// Stays with the child until something ends that; `stops` says whether the tool is to stop.
fn attend(
    child: &mut Child,
    streams: &mut [Stream; 2],
    clock: &mut Option<Clock>,
    stops: impl Fn() -> Option<i32>,
) -> Ending {
    loop {
        if let Some(signal) = stops() {
            return Ending::Signalled(signal);
        }
        // Asked before the streams are served: what an ended child wrote is in its pipes by then,
        // and one quiet turn shows that nothing is left. The end of the pipes is not waited for:
        // a grandchild may hold them open for ever.
        let ended = match child.try_wait() {
            Ok(ended) => ended,
            Err(error) => return Ending::OutputFailed(error),
        };
        let owes = streams.iter().any(|stream| !stream.pending.is_empty());
        let nap = match clock {
            _ if ended.is_some() && !owes => Duration::ZERO,
            Some(clock) => clock.left().min(TICK),
            None => TICK,
        };
        match (serve(streams, nap), ended) {
            (Ok(0), Some(status)) if !owes => return Ending::Ended(status),
            (Ok(_), _) if streams[0].is_enough && streams[0].pending.is_empty() => {
                return Ending::Enough;
            }
            (Ok(_), _) => {}
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ending::OutputClosed;
            }
            (Err(error), _) => return Ending::OutputFailed(error),
        }
        if let Some(clock) = clock {
            let filter = streams[0].filter.as_mut();
            if filter.is_some_and(|filter| filter.restarts_the_clock()) {
                clock.restart();
            } else if clock.is_over() {
                return Ending::Limit(streams[0].kept.len());
            }
        }
    }
}

/// What it says after its time.
fn last_words(
    child: &mut Child,
    streams: &mut [Stream; 2],
    patience: Duration,
    stops: impl Fn() -> Option<i32>,
) -> Ending {
    match patience {
        Duration::ZERO => Ending::Enough,
        _ => {
            let mut clock = Clock::new(child.id(), patience);
            // It has waited before; that is no matter now.
            clock.restart();
            attend(child, streams, &mut Some(clock), stops)
        }
    }
}

/// Stops a child.
pub fn stop(child: &mut Child, how: Stop) {
    // The group exists, for spawning returned only after exec. The child may have been reaped, but
    // only a moment ago (its output was still on the way): its id has not come round again.
    let id = child.id().cast_signed();
    let target = if how == Stop::Ask { id } else { -id };
    if how != Stop::Kill {
        send(target, libc::SIGTERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(TICK / 5);
        }
    }
    send(target, libc::SIGKILL);
    let _ = child.wait();
}

fn send(target: libc::pid_t, signal: libc::c_int) {
    // SAFETY: kill takes two integers; a target that is gone is an error we may ignore.
    unsafe { libc::kill(target, signal) };
}

/// What an exit status means, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}
