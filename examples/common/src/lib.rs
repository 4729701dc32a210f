//! What the examples' kernels have in common: a network that is up, a limit of time, and the server's address.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::format;
use core::error::Error;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use embedded_io_async::ErrorKind;
use embedded_nal_async::{AddrType, Dns};
use freestone::net::embassy_net::dns::DnsQueryType;
use freestone::net::{self, Net};
use freestone::{BootInfo, Exit, println, task};

/// What an example ends with.
pub type Result<T> = core::result::Result<T, Box<dyn Error>>;

/// How long an example runs at most.
pub const LIMIT: Duration = Duration::from_secs(40);

/// How long the network may take to get its address: a DHCP server may be asked three times.
pub const PATIENCE: net::embassy_time::Duration = net::embassy_time::Duration::from_secs(30);

/// An error that is only known by its `Debug` text.
pub fn shown(error: impl core::fmt::Debug) -> Box<dyn Error> {
    format!("{error:?}").into()
}

/// The kernel's verdict: whether `example` ended well within [`LIMIT`]. What went wrong is printed.
pub async fn verdict(example: impl Future<Output = Result<()>>) -> Exit {
    match task::timeout(LIMIT, example).await {
        Ok(Ok(())) => return Exit::Success,
        Ok(Err(error)) => println!("{error}"),
        Err(task::Elapsed) => println!("no end within {} s", LIMIT.as_secs()),
    }
    Exit::Failure
}

/// The network, when it has its address.
///
/// # Errors
///
/// There is none, or it has no address after [`PATIENCE`].
pub async fn network(boot: &BootInfo) -> Result<Net> {
    let net = net::start(boot)?;
    net.wait_up_within(PATIENCE).await?;
    Ok(net)
}

/// The address of `server`, a name or an IPv4 address, with `:` and a port or without.
///
/// # Errors
///
/// The name is not known, or there is no server of names.
pub async fn resolve(net: &Net, server: &str, port: u16) -> Result<SocketAddr> {
    let (name, port) = match server.rsplit_once(':') {
        Some((name, port)) => (name, port.parse()?),
        None => (server, port),
    };
    let address = Names(*net).get_host_by_name(name, AddrType::Either).await.map_err(shown)?;
    Ok(SocketAddr::new(address, port))
}

/// Names by the servers that the network has named. embassy-net's own `DnsSocket` asks them for the IPv6 address of
/// `10.0.2.2`, too, and fails; here addresses are names, and IPv4 comes first.
#[derive(Clone, Copy)]
pub struct Names(pub Net);

impl Dns for Names {
    type Error = ErrorKind;

    async fn get_host_by_name(
        &self,
        name: &str,
        kind: AddrType,
    ) -> core::result::Result<IpAddr, ErrorKind> {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        let kinds: &[DnsQueryType] = match kind {
            AddrType::IPv4 => &[DnsQueryType::A],
            AddrType::IPv6 => &[DnsQueryType::Aaaa],
            AddrType::Either => &[DnsQueryType::A, DnsQueryType::Aaaa],
        };
        for kind in kinds {
            if let Ok(found) = self.0.stack().dns_query(name, *kind).await
                && let Some(address) = found.first()
            {
                return Ok((*address).into());
            }
        }
        Err(ErrorKind::NotFound)
    }

    async fn get_host_by_address(
        &self,
        _: IpAddr,
        _: &mut [u8],
    ) -> core::result::Result<usize, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
}
