//! What the examples' kernels have in common: a network that is up, a limit of time, and the server's address.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::format;
use core::error::Error;
use core::net::SocketAddr;
use core::time::Duration;

use freestone::net::embassy_net::dns::DnsQueryType;
use freestone::net::{self, Net};
use freestone::{BootInfo, Exit, println, task};

/// What an example ends with.
pub type Result<T> = core::result::Result<T, Box<dyn Error>>;

/// How long an example runs at most.
pub const LIMIT: Duration = Duration::from_secs(40);

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

/// The network, when it has an address.
///
/// # Errors
///
/// There is none.
pub async fn network(boot: &BootInfo) -> Result<Net> {
    let net = net::start(boot)?;
    net.wait_up().await;
    Ok(net)
}

/// The address of `server`, a name or an address with or without a port.
///
/// # Errors
///
/// The name is not known, or there is no server of names.
pub async fn resolve(net: &Net, server: &str, port: u16) -> Result<SocketAddr> {
    if let Ok(address) = server.parse() {
        return Ok(address);
    }
    let (name, port) = match server.rsplit_once(':') {
        Some((name, port)) => (name, port.parse()?),
        None => (server, port),
    };
    // An address is a name, too.
    let found = net.stack().dns_query(name, DnsQueryType::A).await.map_err(shown)?;
    let address = found.first().ok_or("the server's name has no address")?;
    Ok(SocketAddr::new((*address).into(), port))
}
