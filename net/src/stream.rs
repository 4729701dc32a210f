//! A connection that was accepted.
//!
//! Every operation looks up the connection, does its work on smoltcp's buffers, and puts the connection into the engine's
//! list if there may be something to send. Nothing here knows the driver.

mod halves;

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use embassy_net::IpEndpoint;
use embassy_time::{Duration, Instant};
use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};
use smoltcp::socket::tcp::{RecvError, State};

pub use self::halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, Reading, WriteHalf, Writing};
use crate::connection::{Connection, Phase};
use crate::error::Error;
use crate::options::duration;
use crate::pool::Key;
use crate::shared::Shared;

/// A TCP connection that a [`Listener`](crate::Listener) has accepted.
///
/// Dropped, it is closed in the background: what was written is sent, then a FIN, and what still arrives is thrown away. If
/// that takes longer than [`Options::close_limit`](crate::Options), a reset ends it.
///
/// One task may wait to read and one to write at a time: see [`TcpStream::split`].
pub struct TcpStream {
    net: &'static Shared,
    key: Key,
    local: IpEndpoint,
    peer: IpEndpoint,
}

/// What an operation found.
enum Found<R> {
    Done(R),
    /// It is done, and there may be something to send.
    Send(R),
}

impl TcpStream {
    pub(crate) fn new(net: &'static Shared, key: Key, tuple: &crate::segment::Tuple) -> TcpStream {
        TcpStream { net, key, local: tuple.local, peer: tuple.remote }
    }

    /// The peer's address and port.
    pub fn peer(&self) -> IpEndpoint {
        self.peer
    }

    /// The address and port of this machine to which the peer has connected.
    pub fn local(&self) -> IpEndpoint {
        self.local
    }

    /// A half to read from and a half to write to, which two futures of the same task can use.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        halves::borrowed(self)
    }

    /// The same for two tasks. The connection is closed when both halves were dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        halves::owned(self)
    }

    /// Calls `f` with the bytes that have arrived, as far as they lie together; it says how many of them it has used.
    ///
    /// Waits until there is one at least. At the peer's end of the connection `f` gets none, and so it does then only.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Bytes that arrived before the connection ended are given first.
    pub async fn read_with<R>(&mut self, f: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, Error> {
        self.do_read_with(f).await
    }

    /// Calls `f` with the free part of the send buffer, as far as it lies together; it says how much of it it has filled.
    ///
    /// Waits until there is room for one byte at least.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn write_with<R>(
        &mut self,
        f: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, Error> {
        self.do_write_with(f).await
    }

    /// Ends this side's direction: a FIN follows what was written. Reading goes on.
    pub fn shutdown(&mut self) {
        self.do_shutdown();
    }

    /// Waits until the peer has acknowledged everything that was written.
    ///
    /// # Errors
    ///
    /// If the connection has ended before that: see [`Error`].
    pub async fn acknowledged(&mut self) -> Result<(), Error> {
        self.do_acknowledged().await
    }

    /// Ends the connection in order: waits until the peer has acknowledged all data and the FIN.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if that takes longer than [`Options::close_limit`](crate::Options); the connection is reset then.
    /// Others if it has ended otherwise.
    pub async fn close(self) -> Result<(), Error> {
        let deadline = self.with(|connection| {
            connection.socket().close();
            let deadline = now() + connection.close_limit;
            connection.deadline = Some(deadline);
            Found::Send(deadline)
        });
        if let Some(deadline) = deadline {
            self.arm(deadline);
        }
        poll_fn(|context| {
            let closed = self.with(|connection| {
                if let Some(error) = connection.end {
                    return Found::Done(Poll::Ready(Err(error)));
                }
                let linked = connection.linked;
                let socket = connection.socket();
                match socket.state() {
                    State::FinWait1 | State::Closing | State::LastAck if linked => {
                        socket.register_send_waker(context.waker());
                        Found::Done(Poll::Pending)
                    }
                    _ => Found::Done(Poll::Ready(Ok(()))),
                }
            });
            closed.unwrap_or(Poll::Ready(Err(Error::Closed)))
        })
        .await
    }

    /// Ends the connection at once, with a reset. What was written and not sent is lost.
    pub fn abort(self) {
        self.with(|connection| {
            connection.abort(Error::Closed);
            Found::Send(())
        });
    }

    /// Ends the connection after so much silence of the peer: [`Error::TimedOut`]. `None`, the default: never.
    ///
    /// Silence while nothing is asked of the peer counts too, so a connection that may be idle needs
    /// [`TcpStream::set_keep_alive`] with a shorter time. [`Options::stall_limit`](crate::Options) counts only silence in which
    /// something was left unacknowledged.
    pub fn set_timeout(&mut self, time: Option<Duration>) {
        self.with(|connection| {
            connection.socket().set_timeout(time.map(duration));
            Found::Send(())
        });
    }

    /// Asks the peer whether it is there after so much silence, as [`Options::keep_alive`](crate::Options) says. `None`: never.
    /// Zero is taken as one microsecond.
    pub fn set_keep_alive(&mut self, interval: Option<Duration>) {
        let interval = interval
            .map(|interval| duration(interval).max(smoltcp::time::Duration::from_micros(1)));
        self.with(|connection| {
            connection.set_keep_alive(interval);
            Found::Send(())
        });
    }

    /// Whether a small segment waits while another is unacknowledged (Nagle's algorithm, RFC 9293 3.7.4). By default not.
    pub fn set_nagle(&mut self, enabled: bool) {
        self.with(|connection| {
            connection.socket().set_nagle_enabled(enabled);
            Found::Send(())
        });
    }

    /// How many bytes have arrived and were not read.
    pub fn received(&self) -> usize {
        self.with(|connection| Found::Done(connection.socket().recv_queue())).unwrap_or(0)
    }

    /// How many bytes were written and not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.with(|connection| Found::Done(connection.socket().send_queue())).unwrap_or(0)
    }

    /// Works on the connection, which is there as long as its stream.
    fn with<R>(&self, f: impl FnOnce(&mut Connection) -> Found<R>) -> Option<R> {
        let mut engine = self.net.engine.borrow_mut();
        match f(engine.connections.get_mut(self.key)?) {
            Found::Done(result) => Some(result),
            Found::Send(result) => {
                engine.mark(self.key);
                Some(result)
            }
        }
    }

    fn arm(&self, deadline: smoltcp::time::Instant) {
        let mut engine = self.net.engine.borrow_mut();
        if engine.connections.get(self.key).is_some_and(|connection| connection.linked) {
            engine.timers.arm(self.key.index, deadline);
        }
    }

    fn poll_read<R>(
        &self,
        context: &mut Context<'_>,
        f: &mut Option<impl FnOnce(&[u8]) -> (usize, R)>,
    ) -> Poll<Result<R, Error>> {
        let result = self.with(|connection| {
            let sent_window = connection.sent.window;
            let end = connection.end;
            let socket = connection.socket();
            if socket.can_recv() || !socket.may_recv() {
                let Some(f) = f.take() else { return Found::Done(Poll::Pending) };
                let mut f = Some(f);
                let mut call = |bytes: &[u8]| {
                    f.take().map_or((0, None), |f| {
                        let (used, result) = f(bytes);
                        (used.min(bytes.len()), Some(result))
                    })
                };
                let result = socket.recv(|bytes| call(bytes));
                return match result {
                    Ok(Some(result)) => {
                        // smoltcp tells the peer of a window that has doubled.
                        let window = socket.recv_capacity() - socket.recv_queue();
                        let wider = window / 2 >= usize::from(sent_window);
                        let result = Poll::Ready(Ok(result));
                        if wider { Found::Send(result) } else { Found::Done(result) }
                    }
                    Ok(None) => Found::Done(Poll::Pending),
                    Err(RecvError::Finished) if end.is_none() => Found::Done(
                        call(&[]).1.map_or(Poll::Pending, |result| Poll::Ready(Ok(result))),
                    ),
                    Err(_) => Found::Done(Poll::Ready(Err(end.unwrap_or(Error::Closed)))),
                };
            }
            socket.register_recv_waker(context.waker());
            Found::Done(Poll::Pending)
        });
        result.unwrap_or(Poll::Ready(Err(Error::Closed)))
    }

    async fn do_read_with<R>(&self, f: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, Error> {
        let mut f = Some(f);
        poll_fn(|context| self.poll_read(context, &mut f)).await
    }

    async fn do_read(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.do_read_with(|bytes| {
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            (len, len)
        })
        .await
    }

    async fn do_write_with<R>(&self, f: impl FnOnce(&mut [u8]) -> (usize, R)) -> Result<R, Error> {
        let mut f = Some(f);
        poll_fn(|context| {
            let result = self.with(|connection| {
                let end = connection.end;
                let socket = connection.socket();
                if end.is_some() || !socket.may_send() {
                    return Found::Done(Poll::Ready(Err(end.unwrap_or(Error::Closed))));
                }
                if !socket.can_send() {
                    socket.register_send_waker(context.waker());
                    return Found::Done(Poll::Pending);
                }
                let Some(f) = f.take() else { return Found::Done(Poll::Pending) };
                let sent = socket.send(|room| {
                    let len = room.len();
                    let (used, result) = f(room);
                    (used.min(len), result)
                });
                match sent {
                    Ok(result) => Found::Send(Poll::Ready(Ok(result))),
                    Err(_) => Found::Done(Poll::Ready(Err(Error::Closed))),
                }
            });
            result.unwrap_or(Poll::Ready(Err(Error::Closed)))
        })
        .await
    }

    async fn do_write(&self, bytes: &[u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.do_write_with(|room| {
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            (len, len)
        })
        .await
    }

    async fn do_acknowledged(&self) -> Result<(), Error> {
        poll_fn(|context| {
            let result = self.with(|connection| {
                let (end, linked) = (connection.end, connection.linked);
                let socket = connection.socket();
                Found::Done(match end {
                    _ if socket.send_queue() == 0 => Poll::Ready(Ok(())),
                    Some(error) => Poll::Ready(Err(error)),
                    None if !linked => Poll::Ready(Err(Error::Closed)),
                    None => {
                        socket.register_send_waker(context.waker());
                        Poll::Pending
                    }
                })
            });
            result.unwrap_or(Poll::Ready(Err(Error::Closed)))
        })
        .await
    }

    fn do_shutdown(&self) {
        self.with(|connection| {
            connection.socket().close();
            Found::Send(())
        });
    }

    fn can_read(&self) -> Result<bool, Error> {
        let ready = self.with(|connection| {
            let end = connection.end;
            let socket = connection.socket();
            Found::Done(match end {
                _ if socket.can_recv() => Ok(true),
                Some(error) => Err(error),
                None => Ok(!socket.may_recv()),
            })
        });
        ready.unwrap_or(Err(Error::Closed))
    }

    fn can_write(&self) -> Result<bool, Error> {
        let ready = self.with(|connection| {
            let end = connection.end;
            let socket = connection.socket();
            Found::Done(match end {
                Some(error) => Err(error),
                None if !socket.may_send() => Err(Error::Closed),
                None => Ok(socket.can_send()),
            })
        });
        ready.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let deadline = self.with(|connection| {
            connection.phase = Phase::Orphan;
            connection.socket().close();
            if !connection.linked {
                return Found::Done(None);
            }
            let deadline =
                *connection.deadline.get_or_insert_with(|| now() + connection.close_limit);
            Found::Send(Some(deadline))
        });
        match deadline {
            Some(Some(deadline)) => self.arm(deadline),
            Some(None) => self.net.engine.borrow_mut().remove(self.key),
            None => {}
        }
    }
}

fn now() -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(Instant::now().as_micros() as i64) // 290,000 years
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl ErrorType for TcpStream {
    type Error = Error;
}

impl Read for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.do_read(buffer).await
    }
}

impl ReadReady for TcpStream {
    fn read_ready(&mut self) -> Result<bool, Error> {
        self.can_read()
    }
}

impl Write for TcpStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.do_write(bytes).await
    }

    /// Returns at once: what was written is on its way. [`TcpStream::acknowledged`] waits for the peer, which may take its
    /// time to acknowledge (40 ms is usual), so that an answer which is flushed in two parts would be slow.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl WriteReady for TcpStream {
    fn write_ready(&mut self) -> Result<bool, Error> {
        self.can_write()
    }
}
