//! What a listener may be told: sizes, numbers, times.

use embassy_time::Duration;

use crate::error::ListenError;

/// What a listener gives its connections, and what it takes from the machine at most.
///
/// A connection takes its two buffers and some 1,300 bytes, from its SYN on: with the defaults a full backlog holds 1.2 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Connections that are half-open or wait to be accepted, 1 to 65,536; by default 128, as many as Linux had for long.
    ///
    /// A SYN beyond that takes the place of the oldest half-open one. If all wait to be accepted, the SYN is dropped without
    /// a reset: the peer repeats it, and finds room if `accept` has been called by then.
    pub backlog: usize,
    /// Connections in any state but TIME-WAIT, 1 to 1,048,576; by default 8,192. A SYN beyond that is dropped.
    pub max_connections: usize,
    /// Bytes of the receive buffer, 536 to 65,535; by default 4,096: a request of HTTP with its head fits, and two full
    /// segments do, so that the peer need not wait for an acknowledgement of each.
    ///
    /// Windows are not scaled, hence the upper bound: smoltcp 0.13 takes more than it has granted while a scaled window is
    /// the one of the handshake, and panics.
    pub receive_buffer: usize,
    /// Bytes of the send buffer, 536 to 1,048,576; by default 4,096. It holds what the peer has not acknowledged: a larger
    /// one lets a long answer travel without a pause at each round trip.
    pub send_buffer: usize,
    /// How long a handshake may take; by default 10 s, three repetitions of the SYN.
    pub half_open_limit: Duration,
    /// How long the peer may leave data unacknowledged, or its window shut, without any progress; by default 2 minutes (RFC
    /// 9293 3.8.3 asks for 100 s at least). `None`: for ever, and with it the connection's memory.
    pub stall_limit: Option<Duration>,
    /// How long closing may take, once its stream was dropped or `close` called; by default 30 s. Then a reset ends it.
    pub close_limit: Duration,
    /// After how much silence the peer is asked whether it is there; by default 2 hours, the least that RFC 9293 3.8.4 allows as a
    /// default. It is asked nine times, every 75 s, or after the same time if that is shorter; without any answer the connection
    /// ends with [`Error::TimedOut`](crate::Error). `None`: never, and a connection whose peer has vanished while both had
    /// nothing to say keeps its memory for ever. That RFC would have that as the default; a server that nobody restarts would
    /// run out of memory.
    pub keep_alive: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            backlog: 128,
            max_connections: 8192,
            receive_buffer: 4096,
            send_buffer: 4096,
            half_open_limit: Duration::from_secs(10),
            stall_limit: Some(Duration::from_secs(120)),
            close_limit: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(2 * 60 * 60)),
        }
    }
}

/// The options, checked, in smoltcp's units.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) backlog: usize,
    pub(crate) max_connections: usize,
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) half_open: smoltcp::time::Duration,
    pub(crate) stall: Option<smoltcp::time::Duration>,
    pub(crate) close: smoltcp::time::Duration,
    pub(crate) keep_alive: Option<smoltcp::time::Duration>,
}

/// The segment that every host takes (RFC 9293 3.7.1): a smaller buffer would be slow and is surely a mistake.
const SMALLEST_BUFFER: usize = 536;

impl Limits {
    pub(crate) fn new(options: &Options) -> Result<Limits, ListenError> {
        let in_range = (1..=1 << 16).contains(&options.backlog)
            && (1..=1 << 20).contains(&options.max_connections)
            && (SMALLEST_BUFFER..=usize::from(u16::MAX)).contains(&options.receive_buffer)
            && (SMALLEST_BUFFER..=1 << 20).contains(&options.send_buffer)
            && options.keep_alive.is_none_or(|interval| interval.as_ticks() > 0);
        if !in_range {
            return Err(ListenError::BadOptions);
        }
        Ok(Limits {
            backlog: options.backlog,
            max_connections: options.max_connections,
            receive_buffer: options.receive_buffer,
            send_buffer: options.send_buffer,
            half_open: duration(options.half_open_limit),
            stall: options.stall_limit.map(duration),
            close: duration(options.close_limit),
            keep_alive: options.keep_alive.map(duration),
        })
    }
}

/// The same time for smoltcp, a year at most, so that a sum with the clock never overflows.
pub(crate) fn duration(time: Duration) -> smoltcp::time::Duration {
    const YEAR: u64 = 366 * 24 * 60 * 60 * 1_000_000;
    smoltcp::time::Duration::from_micros(time.as_micros().min(YEAR))
}
