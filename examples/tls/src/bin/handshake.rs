//! TLS without a network: a client and a server in two tasks of one kernel, with memory between them.
//!
//! The client sends a megabyte, the server answers with its digest, and both must agree on it.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::error::Error;
use core::time::Duration;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{ErrorType, Read, Write};
use freestone::{BootInfo, Exit, println, task, time};
use sha2::{Digest, Sha256};
use tls::{Clock, TlsStream};

freestone::entry!(async main);
freestone::task_time_driver!();
freestone::getrandom_02!();

const LEN: usize = 1 << 20;
const CLOCK: Clock = Clock(time::wall);

type Result<T> = core::result::Result<T, Box<dyn Error>>;

async fn main(_boot: &'static BootInfo) -> Exit {
    match task::timeout(Duration::from_secs(60), talk()).await {
        Ok(Ok(())) => return Exit::Success,
        Ok(Err(error)) => println!("{error}"),
        Err(error) => println!("{error}"),
    }
    Exit::Failure
}

async fn talk() -> Result<()> {
    let there: &Direction = Box::leak(Box::new(Pipe::new()));
    let back: &Direction = Box::leak(Box::new(Pipe::new()));
    let serving = task::spawn(serve(Wire { from: there, to: back }));
    let data: Vec<u8> = (0..LEN).map(|index| (index % 251) as u8).collect();

    let config = tls::client(include_bytes!("../../certificates/authority.pem"), CLOCK)?;
    let name = tls::server_name("server.example")?;
    let begin = time::now();
    let mut stream = TlsStream::connect(Wire { from: back, to: there }, config, name).await?;
    let (version, suite) =
        (stream.connection().protocol_version(), stream.connection().negotiated_cipher_suite());
    println!("{version:?} by {suite:?} after {} ms", (time::now() - begin).as_millis());

    let begin = time::now();
    stream.write_all(&data).await?;
    stream.close().await?;
    let mut answer = [0; 32];
    stream.read_exact(&mut answer).await.map_err(|error| alloc::format!("{error:?}"))?;
    println!("{LEN} bytes within {} ms", (time::now() - begin).as_millis());
    serving.await??;
    let digest: [u8; 32] = Sha256::digest(&data).into();
    println!("SHA-256 {digest:02x?}");
    if answer == digest { Ok(()) } else { Err("the server got something else".into()) }
}

async fn serve(wire: Wire) -> Result<()> {
    let chain = include_bytes!("../../certificates/server.pem");
    let key = include_bytes!("../../certificates/server-key.pem");
    let mut stream = TlsStream::accept(wire, tls::server(chain, key, CLOCK)?).await?;
    let mut digest = Sha256::new();
    let mut bytes = vec![0; 1 << 14];
    loop {
        match stream.read(&mut bytes).await? {
            0 => break,
            count => digest.update(&bytes[..count]),
        }
    }
    stream.write_all(&digest.finalize()).await?;
    Ok(stream.close().await?)
}

type Direction = Pipe<NoopRawMutex, 8192>;

/// One end of a connection in memory.
struct Wire {
    from: &'static Direction,
    to: &'static Direction,
}

impl ErrorType for Wire {
    type Error = core::convert::Infallible;
}

impl Read for Wire {
    async fn read(&mut self, bytes: &mut [u8]) -> core::result::Result<usize, Self::Error> {
        Ok(self.from.read(bytes).await)
    }
}

impl Write for Wire {
    async fn write(&mut self, bytes: &[u8]) -> core::result::Result<usize, Self::Error> {
        Ok(self.to.write(bytes).await)
    }
    async fn flush(&mut self) -> core::result::Result<(), Self::Error> {
        Ok(())
    }
}
