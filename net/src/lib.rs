#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod announce;
mod backlog;
mod config;
mod connection;
mod datagram;
mod device;
mod engine;
mod error;
mod icmpv6;
mod leases;
mod listener;
mod names;
mod net;
mod options;
mod pool;
mod runner;
mod secret;
mod segment;
mod shared;
mod stash;
mod statistics;
mod stream;
mod table;
mod time_wait;
mod timers;

pub use embassy_net;
pub use embassy_time;
pub use embedded_io_async;

pub use self::config::{Config, ConfigError, Field, HOSTNAME};
pub use self::error::{Error, ListenError, NotUp};
pub use self::listener::Listener;
pub use self::net::{Net, new, with_sockets};
pub use self::options::Options;
pub use self::runner::Runner;
pub use self::statistics::Statistics;
pub use self::stream::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, Reading, TcpStream, WriteHalf, Writing,
};
