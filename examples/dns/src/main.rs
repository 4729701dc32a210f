//! Asks a DNS server for the addresses of `name=NAME`: the server that DHCP named, or `server=ADDRESS:PORT`.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use common::{Result, shown};
use embedded_io_async::ErrorKind;
use embedded_nal_async::ConnectedUdp;
use freestone::net::embassy_net::udp::{PacketMetadata, RecvError, SendError, UdpSocket};
use freestone::{BootInfo, Exit, entropy, println, task};

freestone::entry!(async main);
freestone::task_time_driver!();

async fn main(boot: &'static BootInfo) -> Exit {
    common::verdict(ask(boot)).await
}

async fn ask(boot: &BootInfo) -> Result<()> {
    let net = common::network(boot).await?;
    let server = match boot.argument("server") {
        Some(server) => server.parse()?,
        None => {
            let config = net.stack().config_v4().ok_or("there is no address")?;
            let server = config.dns_servers.first().ok_or("DHCP names no server: server=")?;
            SocketAddr::new((*server).into(), 53)
        }
    };
    let (mut received, mut sent) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut from, mut to) = ([0; 2048], [0; 2048]);
    let mut socket = UdpSocket::new(net.stack(), &mut received, &mut from, &mut sent, &mut to);
    socket.bind(0).map_err(shown)?;
    let mut socket = Connected { socket, server };
    let name = boot.argument("name").unwrap_or("example.org");
    for ipv6 in [false, true] {
        let mut found = Err(task::Elapsed);
        // A datagram may be lost.
        for _ in 0..3 {
            let mut id = [0; 2];
            entropy::fill(&mut id)?;
            let ask = dns::addresses(&mut socket, u16::from_ne_bytes(id), name, ipv6);
            found = task::timeout(Duration::from_secs(3), ask).await;
            if found.is_ok() {
                break;
            }
        }
        for address in found.map_err(|_| "the server does not answer")?? {
            println!("{name} is {address}");
        }
    }
    Ok(())
}

/// A socket for one server.
struct Connected<'a> {
    socket: UdpSocket<'a>,
    server: SocketAddr,
}

#[derive(Debug)]
enum Error {
    Send(SendError),
    Receive(RecvError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::Send(SendError::PacketTooLarge) => ErrorKind::InvalidInput,
            Error::Send(_) => ErrorKind::NotConnected,
            Error::Receive(_) => ErrorKind::InvalidData,
        }
    }
}

impl ConnectedUdp for Connected<'_> {
    type Error = Error;
    async fn send(&mut self, bytes: &[u8]) -> core::result::Result<(), Error> {
        self.socket.send_to(bytes, self.server).await.map_err(Error::Send)
    }
    async fn receive_into(&mut self, bytes: &mut [u8]) -> core::result::Result<usize, Error> {
        loop {
            let (count, from) = self.socket.recv_from(bytes).await.map_err(Error::Receive)?;
            if SocketAddr::from(from.endpoint) == self.server {
                return Ok(count);
            }
        }
    }
}
