//! Gets a page: `url=http://…`.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;

use common::{Names, Result};
use freestone::net::embassy_net::tcp::client::{TcpClient, TcpClientState};
use freestone::{BootInfo, Exit, println};

freestone::entry!(async main);
freestone::task_time_driver!();

async fn main(boot: &'static BootInfo) -> Exit {
    common::verdict(get(boot)).await
}

async fn get(boot: &BootInfo) -> Result<()> {
    let net = common::network(boot).await?;
    let url = boot.argument("url").unwrap_or("http://example.org/");
    // One connection at a time, and its two buffers.
    let state = Box::new(TcpClientState::<1, 4096, 16384>::new());
    let tcp = TcpClient::new(net.stack(), &state);
    let mut len = 0;
    let print = |bytes: &[u8]| {
        if len == 0 {
            println!("{}", bytes[..bytes.len().min(1024)].escape_ascii());
        }
        len += bytes.len();
    };
    let status = http_client::get(&tcp, &Names(net), url, print).await?;
    println!("status {status}, {len} bytes");
    if status == 200 { Ok(()) } else { Err("the server has no such page".into()) }
}
