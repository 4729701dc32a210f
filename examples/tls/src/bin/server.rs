//! Serves a page by HTTPS on port 443, to `requests=NUMBER` clients and no more, or for ever.
//!
//! The certificate and its key come from outside: in PEM, the file of `cargo freestone run --module FILE`.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::sync::Arc;
use core::time::Duration;

use common::Result;
use embedded_io_async::{Read, Write};
use freestone::net::{Net, Options, TcpStream};
use freestone::{BootInfo, Exit, println, task, time};
use tls::rustls::ServerConfig;
use tls::{Clock, TlsStream};

freestone::entry!(async main);
freestone::task_time_driver!();
freestone::getrandom_02!();

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 14\r\n\r\nHello by TLS!\n";
/// How long a client has.
const PATIENCE: Duration = Duration::from_secs(10);
/// The lines of a request have so many bytes at most.
const MOST_BYTES: usize = 4096;

async fn main(boot: &'static BootInfo) -> Exit {
    freestone::wants::tcp_port::<443>();
    match serve(boot).await {
        Ok(()) => Exit::Success,
        Err(error) => {
            println!("{error}");
            Exit::Failure
        }
    }
}

async fn serve(boot: &BootInfo) -> Result<()> {
    let module = boot.modules().next();
    let pem = module.ok_or("no certificate: --module FILE gives one and its key, in PEM")?.bytes;
    let config = tls::server(pem, pem, Clock(time::wall))?;
    let net: Net = common::network(boot).await?;
    let listener = net.listen(443, &Options::default()).map_err(common::shown)?;
    println!("serving on port 443");
    let mut left = boot.argument("requests").map(str::parse::<u64>).transpose()?;
    while left != Some(0) {
        let stream = listener.accept().await;
        let client = stream.peer();
        let answering = task::spawn(task::timeout(PATIENCE, answer(stream, config.clone())));
        match &mut left {
            // One after the other, so that the kernel ends after the last answer.
            Some(left) => {
                *left -= 1;
                println!("{client}: {:?}", answering.await);
            }
            None => drop(answering),
        }
    }
    Ok(())
}

async fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> core::result::Result<(), tls::Error<freestone::net::Error>> {
    let mut stream = TlsStream::accept(stream, config).await?;
    let (mut request, mut len) = ([0; MOST_BYTES], 0);
    while len < request.len() && !request[..len].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[len..]).await? {
            0 => break,
            count => len += count,
        }
    }
    stream.write_all(PAGE).await?;
    stream.close().await?;
    // The end of the stream below, once the client has everything.
    stream.into_inner().close().await.map_err(tls::Error::Stream)
}
