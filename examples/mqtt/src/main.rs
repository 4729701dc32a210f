//! Sends a message to an MQTT broker and receives it: `server=NAME`, or an address and port.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use common::{Result, shown};
use freestone::net::embassy_net::tcp::TcpSocket;
use freestone::{BootInfo, Exit, println};

freestone::entry!(async main);
freestone::task_time_driver!();

async fn main(boot: &'static BootInfo) -> Exit {
    common::verdict(talk(boot)).await
}

async fn talk(boot: &BootInfo) -> Result<()> {
    let net = common::network(boot).await?;
    let name = boot.argument("server").unwrap_or("test.mosquitto.org");
    let server = common::resolve(&net, name, 1883).await?;
    let (mut from, mut to) = ([0; 2048], [0; 2048]);
    let mut socket = TcpSocket::new(net.stack(), &mut from, &mut to);
    socket.connect(server).await.map_err(shown)?;
    let message = b"hello from a kernel";
    let back = mqtt::echo(socket, "freestone", "freestone/example", message).await;
    let back = back.map_err(shown)?;
    println!("{server} sent back: {}", back.escape_ascii());
    if back == message { Ok(()) } else { Err("that is not what was sent".into()) }
}
