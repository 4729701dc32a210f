//! Server-sent events (HTML Living Standard 9.2): an answer that goes on until either side ends it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use embassy_futures::select::{Either4, select4};
use embedded_io_async::{Read, Write};

use crate::connection::{Server, patiently};
use crate::head::After;
use crate::response::{Code, start};
use crate::wire::{Wire, Wrong};

/// How long nothing happens before a comment says that the connection lives.
const QUIET: Duration = Duration::from_secs(15);

/// Where events come from.
pub trait Events {
    /// The next one, as it goes over the wire, with its empty line; none if there are no more. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<String>>;
}

/// For servers without events.
impl Events for core::convert::Infallible {
    async fn next(&mut self) -> Option<String> {
        match *self {}
    }
}

/// Sends them to a client.
pub async fn stream<S: Read + Write>(
    server: &impl Server,
    wire: &mut Wire<S>,
    mut events: impl Events,
    is_head: bool,
) -> Result<(), Wrong> {
    let head = |out: &mut Vec<u8>| {
        start(out, Code::Ok, &server.shared().date(server.time_of_day()), After::Close);
        out.extend_from_slice(
            b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n",
        );
    };
    patiently(server, wire.send(head, &[])).await?;
    if is_head {
        return Ok(());
    }
    loop {
        patiently(server, wire.flush()).await?;
        let (quiet, leave) = (server.sleep(QUIET), server.shared().leave());
        // What the client sends now means nothing; that it has gone does.
        match select4(events.next(), wire.ignore(), quiet, leave).await {
            Either4::First(Some(event)) => {
                patiently(server, wire.send(|_| {}, event.as_bytes())).await?;
            }
            Either4::Second(Ok(())) => {}
            Either4::Third(()) => wire.send(|_| {}, b":\n\n").await?,
            _ => return Ok(()),
        }
    }
}
