//! Asks an NTP server for the time: `server=NAME`, or an address and port.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::time::Duration;

use common::{Result, shown};
use freestone::net::embassy_net::udp::{PacketMetadata, UdpSocket};
use freestone::time::{self, DateTime};
use freestone::{BootInfo, Exit, println};
use sntpc_net_embassy::UdpSocketWrapper;

freestone::entry!(async main);
freestone::task_time_driver!();

async fn main(boot: &'static BootInfo) -> Exit {
    common::verdict(ask(boot)).await
}

/// Without a clock in the machine: the time since boot, which is off by half a century.
fn clock() -> Duration {
    time::wall().unwrap_or_else(time::now)
}

async fn ask(boot: &BootInfo) -> Result<()> {
    let net = common::network(boot).await?;
    let name = boot.argument("server").unwrap_or("pool.ntp.org");
    let server = common::resolve(&net, name, 123).await?;
    let (mut received, mut sent) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 2]);
    let (mut from, mut to) = ([0; 512], [0; 512]);
    let mut socket = UdpSocket::new(net.stack(), &mut received, &mut from, &mut sent, &mut to);
    socket.bind(0).map_err(shown)?;
    let answer = ntp::ask(&UdpSocketWrapper::new(socket), server, clock).await.map_err(shown)?;
    let (offset, roundtrip) = (answer.offset(), answer.roundtrip());
    let now = DateTime::of(ntp::corrected(clock(), offset));
    println!("{now} by {server}, stratum {}", answer.stratum());
    println!("the clock was off by {offset} us, the answer took {roundtrip} us");
    Ok(())
}
