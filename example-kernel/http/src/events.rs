//! Server-sent events (HTML Living Standard 9.2): an answer that goes on until either side ends it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use embassy_futures::select::{Either4, select4};
use embedded_io_async::{Read, Write};

use crate::connection::{Server, patiently};
use crate::head::After;
use crate::memory::ANSWER;
use crate::response::{Code, start};
use crate::wire::{Wire, Wrong};

/// How long nothing happens before a comment says that the connection lives.
const QUIET: Duration = Duration::from_secs(15);

/// Where events come from.
pub trait Events {
    /// What has happened, in short.
    type Event;

    /// The next one; none if there are no more. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Self::Event>>;

    /// How it goes over the wire, with its empty line; nothing if it has been overtaken. None if there will be no more.
    fn text(&self, event: Self::Event) -> impl Future<Output = Option<String>>;
}

/// For servers without events.
impl Events for core::convert::Infallible {
    type Event = core::convert::Infallible;

    async fn next(&mut self) -> Option<Self::Event> {
        match *self {}
    }

    async fn text(&self, _: Self::Event) -> Option<String> {
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
                let mut loan = server.shared().long.lend(server, ANSWER).await?;
                let Some(text) = events.text(event).await else { return Ok(()) };
                loan.resize(text.len())?;
                let sending = async {
                    wire.send(|_| {}, text.as_bytes()).await?;
                    wire.flush().await
                };
                // Who reads them slowly goes when others want the memory.
                server
                    .shared()
                    .long
                    .unless_wanted(patiently(server, sending))
                    .await
                    .unwrap_or(Err(Wrong::Gone))?;
            }
            Either4::Second(Ok(())) => {}
            Either4::Third(()) => wire.send(|_| {}, b":\n\n").await?,
            _ => return Ok(()),
        }
    }
}
