//! A client that has said all it will say, in parts, and a server that tells what it has been asked.

#[path = "../../../../task/src/sync/tests/sections.rs"]
mod sections;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use example_http::{Answer, Code, Request, Response, Server, Shared, serve};

/// A server.
pub struct Echo {
    pub shared: Shared,
    /// Whether time has passed.
    pub is_late: Cell<bool>,
}

impl Echo {
    pub fn new(places: usize) -> Echo {
        Echo { shared: Shared::new(places, 1 << 20), is_late: Cell::new(false) }
    }
}

impl Server for Echo {
    type Events = Infallible;

    async fn answer(&self, request: &Request<'_>) -> Answer<Infallible> {
        let Request { method, path, query, body } = request;
        if *path == "/large" {
            return Response::ok("text/plain", vec![b'x'; 20_000]).into();
        }
        if *path == "/none" {
            return Response::empty(Code::NoContent).into();
        }
        let body = String::from_utf8_lossy(body);
        Response::ok("text/plain", format!("{method:?} {path} {query} {body}").into_bytes()).into()
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn sleep(&self, _: Duration) {
        if !self.is_late.get() {
            pending().await
        }
    }

    fn time_of_day(&self) -> Option<Duration> {
        None
    }
}

/// A client: what it sends, in parts, and what it gets, in parts.
pub struct Client<'a> {
    pub parts: Vec<&'a [u8]>,
    /// Whether its direction ends behind them.
    pub ends: bool,
    /// Whether it takes what it gets.
    pub takes: bool,
    pub got: Vec<Vec<u8>>,
}

impl<'a> Client<'a> {
    pub fn new(bytes: &'a [u8]) -> Client<'a> {
        Client { parts: vec![bytes], ends: true, takes: true, got: Vec::new() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.got.concat()).into_owned()
    }
}

impl ErrorType for &mut Client<'_> {
    type Error = Infallible;
}

impl Read for &mut Client<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        while self.parts.first().is_some_and(|part| part.is_empty()) {
            self.parts.remove(0);
        }
        let Some(part) = self.parts.first_mut() else {
            return if self.ends { Ok(0) } else { pending().await };
        };
        let count = part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&part[..count]);
        *part = &part[count..];
        Ok(count)
    }
}

impl Write for &mut Client<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if !self.takes {
            return pending().await;
        }
        self.got.push(bytes.to_vec());
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Serves the client; whether that has come to an end.
pub fn run(server: &Echo, client: &mut Client<'_>) -> bool {
    let mut serving = pin!(serve(server, client));
    serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

/// All that a client gets for these bytes.
pub fn answer(bytes: &[u8]) -> String {
    let mut client = Client::new(bytes);
    assert!(run(&Echo::new(4), &mut client), "it waits for more than the end");
    client.text()
}

/// The codes of the answers to these bytes.
pub fn codes(bytes: &[u8]) -> Vec<u16> {
    let text = answer(bytes);
    let codes = text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().expect("a code"));
    codes.collect()
}
