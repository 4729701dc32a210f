//! A question to a DNS server (RFC 1035), by the crate `simple-dns`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use embedded_nal_async::ConnectedUdp;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};

/// An answer without extensions (EDNS) fits into so many bytes: RFC 1035, section 4.2.1.
const MOST_BYTES: usize = 512;

/// Why there is no answer. `E` is the socket's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// This is no name.
    Name,
    /// The socket failed.
    Socket(E),
    /// The server refuses or has failed: its code.
    Refused(RCODE),
    /// The answer is too long for a datagram.
    Truncated,
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Name => f.write_str("this is no name"),
            Error::Socket(error) => write!(f, "{error:?}"),
            Error::Refused(code) => write!(f, "the server answers {code:?}"),
            Error::Truncated => f.write_str("the answer is too long for a datagram"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// Asks for the addresses of `name`, IPv6 or IPv4, by a question with the number `id`, which nobody should guess. Datagrams
/// that are no answer to it are passed over; it waits for one as long as its caller lets it.
///
/// # Errors
///
/// As [`Error`] says. A name without such addresses is none.
pub async fn addresses<S: ConnectedUdp>(
    socket: &mut S,
    id: u16,
    name: &str,
    ipv6: bool,
) -> Result<Vec<IpAddr>, Error<S::Error>> {
    let kind = QTYPE::TYPE(if ipv6 { TYPE::AAAA } else { TYPE::A });
    let name = Name::new(name).map_err(|_| Error::Name)?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name.clone(), kind, CLASS::IN.into(), false));
    let question = packet.build_bytes_vec().map_err(|_| Error::Name)?;
    socket.send(&question).await.map_err(Error::Socket)?;
    let mut bytes = vec![0; MOST_BYTES];
    loop {
        let count = socket.receive_into(&mut bytes).await.map_err(Error::Socket)?;
        let Ok(answer) = Packet::parse(&bytes[..count]) else { continue };
        let is_asked = |asked: &Question| asked.qname == name && asked.qtype == kind;
        if answer.id() != id
            || !answer.has_flags(PacketFlag::RESPONSE)
            || !answer.questions.iter().all(is_asked)
            || answer.questions.len() != 1
        {
            continue;
        }
        if answer.rcode() != RCODE::NoError {
            return Err(Error::Refused(answer.rcode()));
        }
        if answer.has_flags(PacketFlag::TRUNCATION) {
            return Err(Error::Truncated);
        }
        // Other records lead from the name to another one, whose addresses these are.
        return Ok(answer.answers.iter().filter_map(|record| address(&record.rdata)).collect());
    }
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(record) => Some(Ipv4Addr::from(record.address).into()),
        RData::AAAA(record) => Some(Ipv6Addr::from(record.address).into()),
        _ => None,
    }
}
