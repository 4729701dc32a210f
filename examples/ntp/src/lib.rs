//! One question to an NTP server (RFC 4330), by the crate `sntpc`.

#![no_std]
#![forbid(unsafe_code)]

use core::net::SocketAddr;
use core::time::Duration;

use sntpc::{NtpContext, NtpResult, NtpTimestampGenerator, NtpUdpSocket};

/// The time of day of whoever asks, since 1970 began.
#[derive(Clone, Copy)]
struct Clock {
    read: fn() -> Duration,
    now: Duration,
}

impl NtpTimestampGenerator for Clock {
    fn init(&mut self) {
        self.now = (self.read)();
    }
    fn timestamp_sec(&self) -> u64 {
        self.now.as_secs()
    }
    fn timestamp_subsec_micros(&self) -> u32 {
        self.now.subsec_micros()
    }
}

/// Asks `server` how far `clock` is off: [`NtpResult::offset`], in microseconds. It waits for the answer as long as its caller
/// lets it.
///
/// # Errors
///
/// The socket's, or those of an answer that is none.
pub async fn ask(
    socket: &impl NtpUdpSocket,
    server: SocketAddr,
    clock: fn() -> Duration,
) -> sntpc::Result<NtpResult> {
    let clock = Clock { read: clock, now: Duration::ZERO };
    sntpc::get_time(server, socket, NtpContext::new(clock)).await
}

/// `now`, corrected by `offset` microseconds.
pub fn corrected(now: Duration, offset: i64) -> Duration {
    let by = Duration::from_micros(offset.unsigned_abs());
    if offset < 0 { now.saturating_sub(by) } else { now.saturating_add(by) }
}
