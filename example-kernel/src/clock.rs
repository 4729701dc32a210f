//! The time of day: the machine's, or, where it has none, that of an NTP server, asked once.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::net::Net;
use freestone::net::embassy_net::dns::DnsQueryType;
use freestone::net::embassy_net::udp::{PacketMetadata, UdpSocket};
use freestone::task::select::{Either, select};
use freestone::{task, time};
use sntpc::{NtpContext, NtpTimestampGenerator};
use sntpc_net_embassy::UdpSocketWrapper;

/// Of NTP (RFC 5905 7.2).
const PORT: u16 = 123;

/// When the machine was started, in microseconds since 1970, by a server; 0 if none has said.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The time since 1970.
pub fn time_of_day() -> Option<Duration> {
    time::wall().or_else(|| match STARTED.load(Ordering::Relaxed) {
        0 => None,
        micros => Some(Duration::from_micros(micros) + time::now()),
    })
}

/// The time since boot, for the crate that asks.
#[derive(Clone, Copy, Default)]
struct SinceBoot(Duration);

impl NtpTimestampGenerator for SinceBoot {
    fn init(&mut self) {
        self.0 = time::now();
    }
    fn timestamp_sec(&self) -> u64 {
        self.0.as_secs()
    }
    fn timestamp_subsec_micros(&self) -> u32 {
        self.0.subsec_micros()
    }
}

/// Asks until a server has answered, if the machine does not know the time.
pub async fn set(net: Net, server: &str) {
    while time_of_day().is_none() {
        match ask(net, server).await {
            Ok(started) => STARTED.store(started, Ordering::Relaxed),
            Err(why) => log::warn!("no time of day from {server}: {why}"),
        }
        task::sleep(Duration::from_secs(15)).await;
    }
}

async fn ask(net: Net, server: &str) -> Result<u64, &'static str> {
    let (name, port) = match server.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| "the port is no number")?),
        None => (server, PORT),
    };
    let found = net.stack().dns_query(name, DnsQueryType::A).await;
    let found = found.map_err(|_| "the name is not known")?;
    let address = IpAddr::from(*found.first().ok_or("the name has no address")?);
    let (mut received, mut sent) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 2]);
    let (mut from, mut to) = ([0; 256], [0; 256]);
    let mut socket = UdpSocket::new(net.stack(), &mut received, &mut from, &mut sent, &mut to);
    socket.bind(0).map_err(|_| "no port is free")?;
    let (socket, context) = (UdpSocketWrapper::new(socket), NtpContext::new(SinceBoot::default()));
    let asked = sntpc::get_time(SocketAddr::new(address, port), &socket, context);
    match select(asked, task::sleep(Duration::from_secs(5))).await {
        // What the server says the time is, less the time since boot.
        Either::First(Ok(answer)) => {
            u64::try_from(answer.offset()).map_err(|_| "its time is before 1970")
        }
        Either::First(Err(_)) => Err("its answer is none"),
        Either::Second(()) => Err("no answer"),
    }
}
