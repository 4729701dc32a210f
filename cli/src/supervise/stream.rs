//! The output streams of a child on their way through the tool, and waiting for files by poll(2).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Filter, Output, TICK};

/// Bytes per read, and at most this many per write: what poll(2) promises a pipe takes without
/// blocking is one page (PIPE_BUF).
const CHUNK: usize = 4096;

/// How far a filtered stream is read ahead of where it goes. A child with a filter is one that drops
/// what is not read in time, and waits for nobody: Xen keeps 16 KiB.
const AHEAD: usize = 64 << 20;

/// How much of a captured stream is kept: its end, which is where errors are.
const KEPT: usize = 64 * 1024;

/// One output stream of the child on its way through the tool.
pub struct Stream<'a> {
    /// The reading end; gone after its end, or if the tool does not see the stream at all.
    source: Option<File>,
    /// Where it is passed on to.
    sink: Option<File>,
    /// Read and not yet passed on.
    pub(super) pending: VecDeque<u8>,
    pub(super) kept: Vec<u8>,
    keep_all: bool,
    pub(super) filter: Option<&'a mut dyn Filter>,
    /// The filter has seen enough.
    pub(super) is_enough: bool,
}

impl<'a> Stream<'a> {
    pub fn new(
        source: Option<OwnedFd>,
        output: Output,
        filter: Option<&'a mut dyn Filter>,
    ) -> io::Result<Self> {
        let sink = match output {
            Output::Pass(fd) => Some(File::from(fd.try_clone_to_owned()?)),
            _ => None,
        };
        let keep_all = matches!(output, Output::KeepAll);
        let (pending, kept) = (VecDeque::new(), Vec::new());
        let source = source.map(File::from);
        Ok(Self { source, sink, pending, kept, keep_all, filter, is_enough: false })
    }

    /// Whether what has been read must go before more is read.
    fn must_pass_on(&self) -> bool {
        let reads_ahead = self.filter.as_ref().is_some_and(|filter| filter.reads_ahead());
        let may_read_ahead = reads_ahead && !self.is_enough && self.pending.len() < AHEAD;
        !self.pending.is_empty() && !may_read_ahead
    }

    /// The file to wait for: the sink while it owes us a write, else the source.
    fn waits_for(&self) -> Option<(&File, libc::c_short)> {
        match (&self.sink, &self.source) {
            (Some(sink), _) if self.must_pass_on() => Some((sink, libc::POLLOUT)),
            (_, Some(source)) => Some((source, libc::POLLIN)),
            _ => None,
        }
    }

    /// The sink, and whether it is waited for beside the source.
    fn watched_sink(&self) -> Option<(&File, libc::c_short)> {
        let is_beside = !self.pending.is_empty() && !self.must_pass_on();
        self.sink.as_ref().map(|sink| (sink, if is_beside { libc::POLLOUT } else { 0 }))
    }

    fn advance(&mut self) -> io::Result<()> {
        if self.must_pass_on() {
            return self.pass_on();
        }
        self.take_in();
        Ok(())
    }

    fn take_in(&mut self) {
        let Some(source) = &mut self.source else { return };
        let mut chunk = [0; CHUNK];
        match source.read(&mut chunk) {
            Ok(0) => self.end(),
            Ok(n) => self.take(&chunk[..n]),
            Err(error) if is_passing(&error) => {}
            Err(_) => self.end(),
        }
    }

    fn end(&mut self) {
        self.source = None;
        self.finish();
    }

    /// What the filter held back is kept, and passed on if there is time.
    pub fn finish(&mut self) {
        let Some(filter) = &mut self.filter else { return };
        let mut out = Vec::new();
        filter.finish(&mut out);
        self.keep(&out);
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(filter) = &mut self.filter else { return self.keep(bytes) };
        let mut out = Vec::new();
        self.is_enough |= filter.take(bytes, &mut out);
        self.keep(&out);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        // Cut rarely, not at every read.
        if !self.keep_all && self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        if self.sink.is_some() {
            self.pending.extend(bytes);
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let (first, _) = self.pending.as_slices();
        match sink.write(&first[..first.len().min(CHUNK)]) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.pending.drain(..n);
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Waits up to `limit` for something to do and does it. 0 means there was nothing, -1 that a signal
/// came first.
pub fn serve(streams: &mut [Stream; 2], limit: Duration) -> io::Result<libc::c_int> {
    // The last two watch the sinks, mostly for no event but those always reported: the reader is gone.
    // So a silent guest ends with its audience.
    let entry = |wanted: Option<(&File, _)>| wanted.map_or(NO_ENTRY, |(f, e)| poll_entry(f, e));
    let mut entries = [
        entry(streams[0].waits_for()),
        entry(streams[1].waits_for()),
        entry(streams[0].watched_sink()),
        entry(streams[1].watched_sink()),
    ];
    let ready = poll(&mut entries, limit);
    if ready <= 0 {
        return Ok(ready);
    }
    let gone = libc::POLLERR | libc::POLLHUP;
    if entries[2..].iter().any(|entry| entry.revents & gone != 0) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let (own, sinks) = entries.split_at(2);
    for (stream, (own, sink)) in streams.iter_mut().zip(own.iter().zip(sinks)) {
        if sink.revents & libc::POLLOUT != 0 {
            stream.pass_on()?;
        }
        if own.revents != 0 {
            stream.advance()?;
        }
    }
    Ok(ready)
}

/// poll(2) skips negative file descriptors.
const NO_ENTRY: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };

fn poll_entry(file: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 }
}

/// The number of entries with an event; 0 after `limit`, -1 if a signal came.
fn poll(entries: &mut [libc::pollfd], limit: Duration) -> libc::c_int {
    // Rounded up: rounding down would turn the last millisecond before a deadline into a spin.
    let ms = limit.as_micros().div_ceil(1000) as libc::c_int;
    // SAFETY: pointer and length describe `entries`, which poll writes within; a file descriptor
    // that is closed meanwhile would only be reported as such.
    unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, ms) }
}

/// Waits until `file` can be read; false after `limit`.
pub fn wait_readable(file: &impl AsRawFd, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if poll(&mut [poll_entry(file, libc::POLLIN)], TICK) > 0 {
            return true;
        }
    }
    false
}

/// Waits until `file` can be written.
pub fn wait_writable(file: &impl AsRawFd) {
    while poll(&mut [poll_entry(file, libc::POLLOUT)], TICK) <= 0 {}
}
