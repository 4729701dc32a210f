//! TLS over any stream of `embedded-io-async`: [`TlsStream`] drives rustls by its unbuffered API, which needs no `std`.
//!
//! The cryptography is `rustls-rustcrypto`'s, the time of day the caller's, the random numbers those of `getrandom`.
//! Nothing here knows a kernel: the tests run it on the host.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod error;
mod identity;
mod record;
mod side;
mod stream;

pub use rustls;

pub use self::config::{Clock, ConfigError, client, server, server_name};
pub use self::error::Error;
pub use self::side::{Client, Server, Side};
pub use self::stream::TlsStream;
