//! One client's connection: requests in, answers out, until either side ends it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use embassy_futures::select::{Either3, select3};
use embedded_io_async::{Read, Write};

use crate::events::{Events, stream};
use crate::head::{After, Body, Ends, Head, Method};
use crate::memory::{ANSWER, Loan};
use crate::response::{Code, Response};
use crate::shared::Shared;
use crate::wire::{Wire, Wrong};

/// How long after an answer the whole next request may take to come.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// Bodies up to this many bytes take the memory of their connection's place.
const SHORT_BODY: usize = 1024;
/// The longest body, in bytes.
pub const MOST_BODY: usize = 64 * 1024;

/// What a client wants.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// With what: the path as it came.
    pub path: &'a str,
    /// And how: the query as it came.
    pub query: &'a str,
    /// What belongs to it.
    pub body: &'a [u8],
}

/// Where a request is read to, anew each time.
#[derive(Debug, Default)]
struct Room<'a> {
    path: String,
    query: String,
    body: Vec<u8>,
    /// The memory that the body takes, if it is long.
    loan: Option<Loan<'a>>,
}

impl Room<'_> {
    /// The body is not needed any more.
    fn forget_body(&mut self) {
        self.body.clear();
        self.body.shrink_to(SHORT_BODY);
        self.loan = None;
    }
}

/// What a head says that is needed after its bytes are gone.
#[derive(Clone, Copy, Debug)]
struct Kind {
    method: Method,
    is_head: bool,
    after: After,
}

/// What a connection needs to know of who serves.
pub trait Server {
    /// Its streams of events; [`Infallible`](core::convert::Infallible) if it has none.
    type Events: Events;

    /// Answers a request.
    fn answer(&self, request: &Request<'_>) -> impl Future<Output = Answer<Self::Events>>;

    /// What all connections share.
    fn shared(&self) -> &Shared;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// The time since 1970, where it is known: answers have a date then.
    fn time_of_day(&self) -> Option<Duration>;
}

/// What a request gets.
#[derive(Debug)]
pub enum Answer<E> {
    /// One answer.
    Response(Response),
    /// Events, until there are no more or the client goes.
    Events(E),
}

impl<E> From<Response> for Answer<E> {
    fn from(response: Response) -> Answer<E> {
        Answer::Response(response)
    }
}

/// Serves a connection to its end.
pub async fn serve(server: &impl Server, stream: impl Read + Write) {
    let _place = server.shared().take();
    let mut wire = Wire::new(stream);
    let mut room = Room::default();
    // Its end may not be told to the client, nor that what it sent last was refused.
    if let Err(Wrong::Refused(code)) = requests(server, &mut wire, &mut room).await {
        room.forget_body();
        let _ = send(server, &mut wire, &Response::refusal(code), After::Close, false).await;
    }
    let _ = patiently(server, wire.flush()).await;
}

/// Waits for a client that is to take what it is sent: no longer than [`REQUEST_LIMIT`], and not if the place is wanted for
/// others.
pub(crate) async fn patiently(
    server: &impl Server,
    sending: impl Future<Output = Result<(), Wrong>>,
) -> Result<(), Wrong> {
    // Made when it is waited for: that asks the clock.
    let limit = async { server.sleep(REQUEST_LIMIT).await };
    match select3(sending, limit, server.shared().wanted()).await {
        Either3::First(sent) => sent,
        _ => Err(Wrong::Gone),
    }
}

/// Answers requests until there is to be no other.
async fn requests<'a, S: Read + Write>(
    server: &'a impl Server,
    wire: &mut Wire<S>,
    room: &mut Room<'a>,
) -> Result<(), Wrong> {
    loop {
        let Kind { method, is_head, after } = next(server, wire, room).await?;
        // Answers to others are short.
        let mut loan = match method {
            Method::Get => Some(server.shared().long.lend(server, ANSWER).await?),
            _ => None,
        };
        let Room { path, query, body, .. } = &*room;
        let answer = server.answer(&Request { method, path, query, body }).await;
        room.forget_body();
        match answer {
            Answer::Response(response) => {
                let after = if server.shared().is_closed() { After::Close } else { after };
                if let Some(loan) = &mut loan {
                    loan.resize(match &response.body {
                        Cow::Owned(body) => body.capacity(),
                        Cow::Borrowed(_) => 0,
                    })?;
                }
                let sending = send(server, wire, &response, after, is_head);
                match loan {
                    // Short ones hinder nobody.
                    Some(_) if response.body.len() > SHORT_BODY => {
                        server
                            .shared()
                            .long
                            .unless_wanted(sending)
                            .await
                            .unwrap_or(Err(Wrong::Gone))?;
                    }
                    _ => sending.await?,
                }
                if after == After::Close {
                    return Ok(());
                }
            }
            Answer::Events(events) => {
                drop(loan);
                server.shared().count(Code::Ok);
                return stream(server, wire, events, is_head).await;
            }
        }
    }
}

async fn send<S: Read + Write>(
    server: &impl Server,
    wire: &mut Wire<S>,
    response: &Response,
    after: After,
    is_head: bool,
) -> Result<(), Wrong> {
    server.shared().count(response.code);
    let body = if is_head { &[] } else { &*response.body };
    let head = |out: &mut Vec<u8>| {
        response.write_head(out, &server.shared().date(server.time_of_day()), after);
    };
    patiently(server, wire.send(head, body)).await
}

/// Waits for the next request: no longer than [`REQUEST_LIMIT`], and not if the place is wanted for others.
async fn next<'a, S: Read + Write>(
    server: &'a impl Server,
    wire: &mut Wire<S>,
    room: &mut Room<'a>,
) -> Result<Kind, Wrong> {
    room.path.clear();
    let limit = async { server.sleep(REQUEST_LIMIT).await };
    match select3(read(server, wire, room), limit, server.shared().leave()).await {
        Either3::First(read) => read,
        // Of what has come in part the client shall know that it was not done.
        _ if !wire.is_empty() || !room.path.is_empty() => Err(Code::RequestTimeout.into()),
        _ => Err(Wrong::Gone),
    }
}

async fn read<'a, S: Read + Write>(
    server: &'a impl Server,
    wire: &mut Wire<S>,
    room: &mut Room<'a>,
) -> Result<Kind, Wrong> {
    let head = Head::parse(wire.head(&mut Ends::default()).await?)?;
    room.path.push_str(head.path);
    room.query.clear();
    room.query.push_str(head.query);
    room.body.clear();
    let Head { method, is_head, after, body, expects_continue, .. } = head;
    let waits = match body {
        Body::Length(0) => return Ok(Kind { method, is_head, after }),
        Body::Length(length) if length > MOST_BODY as u64 => {
            return Err(Code::ContentTooLarge.into());
        }
        _ => expects_continue && wire.is_empty(),
    };
    let most = match body {
        Body::Length(length) => length as usize,
        Body::Chunked => MOST_BODY,
    };
    if most > SHORT_BODY {
        room.loan = Some(server.shared().bodies.lend(server, most).await?);
    }
    if waits {
        wire.send(|out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"), &[]).await?;
    }
    let reading = wire.body(body, &mut room.body, MOST_BODY);
    if room.loan.is_some() {
        let read = server.shared().bodies.unless_wanted(reading).await;
        read.unwrap_or(Err(Code::RequestTimeout.into()))?;
    } else {
        reading.await?;
    }
    Ok(Kind { method, is_head, after })
}
