//! `--forward`: ports of the host's 127.0.0.1 that lead to ports of the guest's, and the choice of free ones.
//!
//! A port is looked for before QEMU starts, as QEMU only says that a rule could not be set up. All ports of a machine are held
//! until the last is found, so they differ. Between that and QEMU another program may take one: `run` then chooses again.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};

use freestone_inspect::wants::Port;
use serde_json::{Value, json};

use crate::status::Failure;

/// How many ports behind the one that is asked for are tried before any free one is taken.
const NEARBY: u16 = 100;

/// A guest's port below this is offered [`ABOVE`] higher: on most systems only root may listen there.
const PRIVILEGED: u16 = 1024;
const ABOVE: u16 = 8000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What comes to a port of the host's goes to one of the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub protocol: Protocol,
    /// 0 is any.
    pub host: u16,
    pub guest: u16,
}

impl Forward {
    /// `HOST:GUEST`, with `tcp:` or `udp:` in front or not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (protocol, ports) = match text.split_once(':') {
            Some(("tcp", rest)) => (Protocol::Tcp, rest),
            Some(("udp", rest)) => (Protocol::Udp, rest),
            _ => (Protocol::Tcp, text),
        };
        let form = "it may be HOST:GUEST, two ports, with tcp: or udp: in front; the host's is on 127.0.0.1";
        let (host, guest) = ports.split_once(':').ok_or(form)?;
        let number = |text: &str, least: u16, what: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match text.parse().ok().filter(|port| *port >= least) {
                Some(port) if is_number => Ok(port),
                _ if is_number => Err(format!("{what} may be from {least} to 65535")),
                _ => Err(form.to_owned()),
            }
        };
        let host = number(host, 0, "the host's port (0: any free one)")?;
        Ok(Self { protocol, host, guest: number(guest, 1, "the guest's port")? })
    }

    /// What an image asks for that serves this port: one near it.
    pub fn to(port: Port) -> Self {
        let protocol = if port.is_udp { Protocol::Udp } else { Protocol::Tcp };
        let guest = port.number;
        Self { protocol, host: if guest < PRIVILEGED { guest + ABOVE } else { guest }, guest }
    }

    /// Whether a browser can look at what is there.
    pub fn is_page(&self) -> bool {
        (self.protocol, self.guest) == (Protocol::Tcp, 80)
    }

    /// Whether both ask for the same port of the host's, or are the same.
    fn contradicts(&self, other: &Self) -> bool {
        self == other
            || self.protocol == other.protocol && self.host == other.host && self.host != 0
    }

    /// As an option of QEMU's user network.
    pub fn rule(&self) -> String {
        let Self { protocol, host, guest } = self;
        format!("hostfwd={}:127.0.0.1:{host}-:{guest}", protocol.word())
    }

    pub fn json(&self) -> Value {
        let Self { protocol, host, guest } = self;
        json!({ "protocol": protocol.word(), "host": host, "guest": guest })
    }
}

/// As `--forward` takes it.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.protocol.word(), self.host, self.guest)
    }
}

impl Protocol {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Refuses what QEMU could not do.
pub fn must_differ(all: &[Forward]) -> Result<(), Failure> {
    let is_double = |(at, one): (usize, &Forward)| all[..at].iter().any(|o| o.contradicts(one));
    match all.iter().enumerate().find(|(at, one)| is_double((*at, one))) {
        Some((_, one)) if one.host == 0 => {
            Err(Failure::usage(format!("--forward {one} is given twice")))
        }
        Some((_, one)) => Err(Failure::usage(format!(
            "--forward: port {} of the host's is given twice; one of them may be 0, for any free port",
            one.host
        ))),
        None => Ok(()),
    }
}

/// The same with ports that are free now, those that are named first.
pub fn choose(asked: &[Forward]) -> Result<Vec<Forward>, Failure> {
    let mut sorted = asked.to_vec();
    sorted.sort_by_key(|forward| forward.host == 0);
    let mut held = Vec::new();
    for forward in &mut sorted {
        let (host, holder) = free(forward.protocol, forward.host).map_err(|error| {
            let cure = "choose one above 1023, or 0 for any free port";
            Failure::tool(format!("--forward {forward}: port {}: {error}; {cure}", forward.host))
        })?;
        forward.host = host;
        held.push(holder);
    }
    Ok(sorted)
}

/// Whoever has it has the port.
enum Holder {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Holder {
    fn new(protocol: Protocol, port: u16) -> io::Result<Self> {
        let address = ("127.0.0.1", port);
        match protocol {
            Protocol::Tcp => TcpListener::bind(address).map(Self::Tcp),
            Protocol::Udp => UdpSocket::bind(address).map(Self::Udp),
        }
    }

    fn port(&self) -> io::Result<u16> {
        let address = match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        };
        Ok(address?.port())
    }
}

/// The port that is asked for, else one behind it, else any.
fn free(protocol: Protocol, asked: u16) -> io::Result<(u16, Holder)> {
    let count = if asked == 0 { 0 } else { usize::from(NEARBY) + 1 };
    for port in (asked..=u16::MAX).take(count).chain([0]) {
        match Holder::new(protocol, port) {
            Ok(holder) => return Ok((holder.port()?, holder)),
            Err(error) if error.kind() == ErrorKind::AddrInUse && port != 0 => {}
            // A neighbour may be a port that one may not have.
            Err(_) if port != asked && port != 0 => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Forward {
        Forward::parse(text).expect("good")
    }

    #[test]
    fn forwards_are_read() {
        let forward = |protocol, host, guest| Forward { protocol, host, guest };
        assert_eq!(parsed("8080:80"), forward(Protocol::Tcp, 8080, 80));
        assert_eq!(parsed("tcp:0:65535"), forward(Protocol::Tcp, 0, 65535));
        assert_eq!(parsed("udp:65535:1"), forward(Protocol::Udp, 65535, 1));
        assert_eq!(parsed("udp:65535:1").to_string(), "udp:65535:1");
        assert_eq!(parsed("udp:53:5").rule(), "hostfwd=udp:127.0.0.1:53-:5");
    }

    #[test]
    fn what_is_no_forward_is_refused_with_what_it_may_be() {
        for (text, says) in [
            ("80", "HOST:GUEST"),
            ("", "HOST:GUEST"),
            (":", "HOST:GUEST"),
            ("80:", "HOST:GUEST"),
            (":80", "HOST:GUEST"),
            ("http:80", "HOST:GUEST"),
            ("+80:80", "HOST:GUEST"),
            ("-1:80", "HOST:GUEST"),
            ("80:80:80", "HOST:GUEST"),
            ("127.0.0.1:80:80", "HOST:GUEST"),
            ("sctp:80:80", "HOST:GUEST"),
            ("TCP:80:80", "HOST:GUEST"),
            ("80:80,x=y", "HOST:GUEST"),
            ("8080:0", "the guest's port may be from 1 to 65535"),
            ("8080:65536", "the guest's port may be from 1 to 65535"),
            ("65536:80", "(0: any free one) may be from 0 to 65535"),
            ("99999999999999999999:80", "may be from 0 to 65535"),
        ] {
            let why = Forward::parse(text).expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
        }
    }

    #[test]
    fn a_port_of_the_hosts_is_asked_for_once() {
        let check = |texts: &[&str]| {
            let all: Vec<_> = texts.iter().map(|text| parsed(text)).collect();
            must_differ(&all).err().map(|failure| failure.message)
        };
        assert_eq!(check(&["8080:80", "8081:80", "udp:8080:80", "0:80", "0:81"]), None);
        assert!(check(&["8080:80", "8080:81"]).unwrap().contains("port 8080 of the host's"));
        assert!(check(&["8080:80", "8080:80"]).unwrap().contains("port 8080 of the host's"));
        assert!(check(&["0:80", "tcp:0:80"]).unwrap().contains("tcp:0:80 is given twice"));
    }

    #[test]
    fn a_taken_port_is_stepped_over_and_all_differ() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = taken.local_addr().expect("bound").port();
        let asked = [
            format!("0:{port}"),
            format!("{port}:80"),
            format!("{port}:81"),
            format!("udp:{port}:9"),
        ];
        let chosen = choose(&asked.map(|text| parsed(&text))).expect("many are free");
        assert_eq!(chosen.iter().map(|f| f.guest).collect::<Vec<_>>(), [80, 81, 9, port]);
        let tcp = |at: usize| chosen[at].host;
        assert!(tcp(0) > port && tcp(1) > tcp(0), "{port}: {chosen:?}");
        assert!(chosen.iter().all(|forward| forward.host >= PRIVILEGED), "{chosen:?}");
        assert!(tcp(3) != tcp(0) && tcp(3) != tcp(1) && tcp(3) != port, "{chosen:?}");
        // The two protocols have ports of their own.
        assert!(chosen[2].protocol == Protocol::Udp);
        // At the end of all ports any other will do.
        let (last, _held) = free(Protocol::Tcp, 65535).expect("some port is free");
        let (other, _) = free(Protocol::Tcp, 65535).expect("some port is free");
        assert_ne!(last, other);
    }

    #[test]
    fn an_image_is_offered_ports_that_anyone_may_have() {
        let to = |number, is_udp| Forward::to(Port { number, is_udp }).to_string();
        assert_eq!(to(80, false), "tcp:8080:80");
        assert_eq!(to(1023, true), "udp:9023:1023");
        assert_eq!(to(1024, false), "tcp:1024:1024");
        assert_eq!(to(65535, false), "tcp:65535:65535");
    }
}
