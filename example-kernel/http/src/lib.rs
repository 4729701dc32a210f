//! HTTP/1.1 (RFC 9110, 9112) on one connection: requests in, answers out, strictly and with a limit on everything.
//!
//! [`serve`] takes a connection by the traits of `embedded-io-async` and a [`Server`], whose [`answer`](Server::answer) is a
//! plain async function. Connections are kept; requests that come together are answered together; bodies may be chunked;
//! an answer may be a stream of [`Events`].
//!
//! | limit | |
//! |---|---|
//! | [`REQUEST_LIMIT`] | from one answer to the end of the next request |
//! | [`MOST_HEAD`] | bytes of a head; 64 fields, 2 KiB of target |
//! | [`MOST_BODY`] | bytes of a body |
//! | [`Shared::new`] | connections: the one that has waited longest for its client gives up its place; bytes of long bodies and answers |
//!
//! Bytes in which two programs may see different requests are refused, and the connection is closed: bare line feeds, two
//! lengths, a length beside a coding, codings but `chunked`, two hosts or none, chunks without their line ends.
//!
//! Why our own: picoserve 0.20 does not look at the `Transfer-Encoding` of requests, so that requests can be smuggled past
//! a proxy, and edge-http 0.8 reads a head byte by byte. With `httparse` to take heads apart, little is left.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod connection;
mod events;
mod head;
pub mod json;
mod line;
mod memory;
mod response;
mod shared;
mod wire;

pub use connection::{Answer, MOST_BODY, REQUEST_LIMIT, Request, Server, serve};
pub use events::Events;
pub use head::{MOST_HEAD, Method};
pub use response::{Code, Response};
pub use shared::Shared;
