//! Gets a page by HTTPS: `server=NAME`, or `server=ADDRESS:PORT name=NAME`; `path=/…`.
//!
//! The server must have a certificate by an authority whose own is, in PEM, in the file of `cargo freestone run --module FILE`.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, vec};

use common::{Result, shown};
use embedded_io_async::{Read, Write};
use freestone::net::embassy_net::tcp::TcpSocket;
use freestone::{BootInfo, Exit, println, time};
use tls::{Clock, TlsStream};

freestone::entry!(async main);
freestone::task_time_driver!();
freestone::getrandom_02!();

async fn main(boot: &'static BootInfo) -> Exit {
    common::verdict(get(boot)).await
}

async fn get(boot: &BootInfo) -> Result<()> {
    let module = boot.modules().next();
    let authorities = module.ok_or("no authority: --module FILE gives some, in PEM")?.bytes;
    let config = tls::client(authorities, Clock(time::wall))?;
    let net = common::network(boot).await?;
    let server = boot.argument("server").ok_or("which server=?")?;
    let name = boot.argument("name").unwrap_or(server.split(':').next().unwrap_or(server));
    let address = common::resolve(&net, server, 443).await?;
    let (mut from, mut to) = (vec![0; 1 << 15], vec![0; 1 << 15]);
    let mut socket = TcpSocket::new(net.stack(), &mut from, &mut to);
    socket.connect(address).await.map_err(shown)?;

    let begin = time::now();
    let mut stream = TlsStream::connect(socket, config, tls::server_name(name)?).await?;
    let millis = (time::now() - begin).as_millis();
    let connection = stream.connection();
    println!("{:?} with {name} after {millis} ms", connection.protocol_version());
    let path = boot.argument("path").unwrap_or("/");
    let request = format!("GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut len) = (vec![0; 1 << 14], 0);
    loop {
        let count = stream.read(&mut bytes).await?;
        if len == 0 {
            println!("{}", bytes[..count.min(200)].escape_ascii());
        }
        len += count;
        if count == 0 {
            break;
        }
    }
    stream.close().await?;
    println!("{len} bytes");
    Ok(())
}
