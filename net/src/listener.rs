//! Takes connections: `Net::listen`, `Listener::accept`.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use embassy_net::IpListenEndpoint;

use crate::backlog::Ticket;
use crate::connection::Phase;
use crate::pool::Key;
use crate::shared::Shared;
use crate::stream::TcpStream;

/// Takes connections to a port.
///
/// Dropped, it resets those that nobody has accepted. Accepted ones stay.
pub struct Listener {
    net: &'static Shared,
    key: Key,
    endpoint: IpListenEndpoint,
}

impl Listener {
    pub(crate) fn new(net: &'static Shared, key: Key, endpoint: IpListenEndpoint) -> Listener {
        Listener { net, key, endpoint }
    }

    /// Waits for the next connection, in the order in which handshakes were completed.
    ///
    /// Several tasks may wait: the one that has waited longest gets the first. Cancelled, it loses no connection.
    pub fn accept(&self) -> impl Future<Output = TcpStream> + use<'_> {
        Accept { listener: self, ticket: None }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> IpListenEndpoint {
        self.endpoint
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.net.engine.borrow_mut().unlisten(self.key);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

struct Accept<'a> {
    listener: &'a Listener,
    ticket: Option<Ticket>,
}

impl Future for Accept<'_> {
    type Output = TcpStream;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TcpStream> {
        let listener = self.listener;
        let mut engine = listener.net.engine.borrow_mut();
        let Some(backlog) = engine.listeners.get_mut(listener.key) else { return Poll::Pending };
        let Some(key) = backlog.accept(&mut self.ticket, context.waker()) else {
            return Poll::Pending;
        };
        let Some(connection) = engine.connections.get_mut(key) else { return Poll::Pending };
        connection.phase = Phase::Held;
        Poll::Ready(TcpStream::new(listener.net, key, &connection.tuple))
    }
}

impl Drop for Accept<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && let Some(backlog) =
                self.listener.net.engine.borrow_mut().listeners.get_mut(self.listener.key)
        {
            backlog.cancel(ticket);
        }
    }
}
