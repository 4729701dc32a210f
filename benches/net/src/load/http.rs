//! HTTP requests: many on a few connections, and one on each of many connections.

use std::io::{ErrorKind, Read, Write};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::{Amount, Outcome, PATIENCE, connect};
use crate::Result;

const PORT: u16 = 80;
/// What is asked for.
pub static PATH: OnceLock<String> = OnceLock::new();
static KEEP: LazyLock<Vec<u8>> = LazyLock::new(|| request(""));
static CLOSE: LazyLock<Vec<u8>> = LazyLock::new(|| request("Connection: close\r\n"));
const BODY: &[u8] = b"Hello, world\n";
/// More than any answer.
const ROOM: usize = 1024;

fn request(fields: &str) -> Vec<u8> {
    let path = PATH.get().map_or("/", String::as_str);
    format!("GET {path} HTTP/1.1\r\nHost: guest\r\n{fields}\r\n").into_bytes()
}

/// Whether `bytes` are a whole answer: status 200, the length of the body, the body and nothing behind it.
fn is_answer(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = bytes[..end].to_ascii_lowercase();
    let length = b"\r\ncontent-length: 13";
    head.starts_with(b"http/1.1 200")
        && head.windows(length.len()).any(|part| part == length)
        && &bytes[end + 4..] == BODY
}

/// A connection with one request on its way.
struct Connection {
    stream: mio::net::TcpStream,
    sent: Instant,
    answer: [u8; ROOM],
    length: usize,
}

impl Connection {
    fn open() -> Result<Connection> {
        let stream = connect(PORT)?;
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(Connection { stream, sent: Instant::now(), answer: [0; ROOM], length: 0 })
    }

    fn ask(&mut self) -> std::io::Result<()> {
        self.length = 0;
        self.sent = Instant::now();
        // A connection without unread answers has room for a request.
        self.stream.write_all(&KEEP)
    }

    /// Reads what came. Whether the answer is whole; an error if it can no longer become right.
    fn take(&mut self) -> Result<bool> {
        match self.stream.read(&mut self.answer[self.length..]) {
            Ok(0) => {
                Err("the guest closed a connection that was to be kept, or sent too much".into())
            }
            Ok(count) => {
                self.length += count;
                Ok(is_answer(&self.answer[..self.length]))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Keeps one request in flight on each of `count` connections.
///
/// A connection that breaks, or waits too long, counts as a failure and is not opened again.
///
/// # Errors
///
/// Connections that cannot be opened at the start, or none left.
pub fn keep_alive(count: usize, amount: Amount) -> Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut connections = Vec::new();
    for index in 0..count {
        let mut connection = Connection::open()?;
        poll.registry().register(&mut connection.stream, Token(index), Interest::READABLE)?;
        connections.push(Some(connection));
    }
    let mut events = Events::with_capacity(count);
    let (mut done, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let start = Instant::now();
    for connection in connections.iter_mut().flatten() {
        connection.ask()?;
    }
    while !amount.is_reached(done, start) {
        if let Err(error) = poll.poll(&mut events, Some(PATIENCE)) {
            if error.kind() == ErrorKind::Interrupted {
                continue;
            }
            return Err(error.into());
        }
        if events.is_empty() {
            return Err(
                format!("no answer for {} s after {done} requests", PATIENCE.as_secs()).into()
            );
        }
        for event in &events {
            let slot = &mut connections[event.token().0];
            let Some(connection) = slot else { continue };
            let step = connection.take().and_then(|is_whole| {
                if is_whole {
                    done += 1;
                    longest = longest.max(connection.sent.elapsed());
                    connection.ask()?;
                }
                Ok(())
            });
            if let Err(error) = step {
                eprintln!("  connection {} after {done} requests: {error}", event.token().0);
                failed += 1;
                *slot = None;
            }
        }
        if connections.iter().all(Option::is_none) {
            return Err(format!("all connections broke after {done} requests").into());
        }
    }
    let took = start.elapsed();
    // One of several connections may have waited for ever while the others went on.
    for connection in connections.iter().flatten() {
        longest = longest.max(connection.sent.elapsed());
        failed += u64::from(connection.sent.elapsed() > PATIENCE);
    }
    Ok(Outcome { done, failed, took, longest: Some(longest) })
}

/// Opens a connection for each request, one after the other; the guest closes it after its answer.
///
/// # Errors
///
/// The first connection fails, or a hundred do.
pub fn connections(amount: Amount) -> Result<Outcome> {
    const TOO_MANY: u64 = 100;
    let (mut done, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let start = Instant::now();
    while !amount.is_reached(done + failed, start) {
        let began = Instant::now();
        match one_request() {
            Ok(()) => done += 1,
            Err(error) if done == 0 || failed == TOO_MANY => return Err(error),
            Err(error) => {
                eprintln!("  connection {}: {error}", done + failed);
                failed += 1;
            }
        }
        longest = longest.max(began.elapsed());
    }
    Ok(Outcome { done, failed, took: start.elapsed(), longest: Some(longest) })
}

fn one_request() -> Result<()> {
    let mut stream = connect(PORT)?;
    stream.write_all(&CLOSE)?;
    let mut answer = Vec::with_capacity(ROOM);
    stream.read_to_end(&mut answer)?;
    if is_answer(&answer) {
        Ok(())
    } else {
        Err(format!("not the answer: {:?}", answer.escape_ascii().to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::is_answer;

    #[test]
    fn only_a_whole_answer_with_its_length_counts() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";
        assert!(is_answer(good));
        for end in 0..good.len() {
            assert!(!is_answer(&good[..end]), "the first {end} bytes");
        }
        assert!(!is_answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nHello, world\n"));
        assert!(!is_answer(b"HTTP/1.1 200 OK\r\n\r\nHello, world\n"));
        assert!(!is_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world\nHTTP"));
    }
}
