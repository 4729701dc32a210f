//! How the network gets its addresses: as typed values, or as the text that Linux takes on its command line.
//!
//! The text is that of the parameter `ip=` (Linux, Documentation/admin-guide/nfs/nfsroot.rst):
//!
//! ```text
//! ip=<client>:<server>:<gateway>:<netmask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>
//! ip=dhcp   ip=on   ip=any   ip=off   ip=none
//! ```
//!
//! Fields at the end may be left out, and any may be empty. An address of `0.0.0.0` is none. With a client address the
//! network is a static one; without a netmask it has that of the address's class, as in Linux. What Linux would ignore in
//! silence is an error here.

use core::fmt;
use core::net::Ipv4Addr;

use embassy_net::{ConfigV4, ConfigV6, DhcpConfig, Ipv4Cidr, StaticConfigV4};
use heapless::{String, Vec};

/// Bytes of a host's name at most: what embassy-net tells the DHCP server.
pub const HOSTNAME: usize = 32;

/// How the network gets its addresses. By default: DHCP, and what IPv6 routers advertise (SLAAC, RFC 4862).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// IPv4: none, by DHCP, or static.
    pub ipv4: ConfigV4,
    /// IPv6: none, by SLAAC, or static. The link-local address is there in any case.
    pub ipv6: ConfigV6,
    /// The name that the DHCP server is told.
    pub hostname: Option<String<HOSTNAME>>,
    /// Which device is meant, `eth0` for instance; for who has several. Nothing here looks at it.
    pub device: Option<String<HOSTNAME>>,
    /// The boot server. Nothing here looks at it.
    pub server: Option<Ipv4Addr>,
    /// A time server. Nothing here looks at it.
    pub ntp: Option<Ipv4Addr>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            ipv4: ConfigV4::Dhcp(DhcpConfig::default()),
            ipv6: ConfigV6::Slaac,
            hostname: None,
            device: None,
            server: None,
            ntp: None,
        }
    }
}

impl From<Config> for embassy_net::Config {
    fn from(config: Config) -> embassy_net::Config {
        let mut result = embassy_net::Config::default();
        result.ipv4 = config.ipv4;
        result.ipv6 = config.ipv6;
        if let ConfigV4::Dhcp(dhcp) = &mut result.ipv4
            && dhcp.hostname.is_none()
        {
            dhcp.hostname = config.hostname;
        }
        result
    }
}

/// A field of `ip=`, as Linux names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field {
    Client,
    Server,
    Gateway,
    Netmask,
    Hostname,
    Device,
    Autoconf,
    Dns0,
    Dns1,
    Ntp0,
}

const FIELDS: [Field; 10] = [
    Field::Client,
    Field::Server,
    Field::Gateway,
    Field::Netmask,
    Field::Hostname,
    Field::Device,
    Field::Autoconf,
    Field::Dns0,
    Field::Dns1,
    Field::Ntp0,
];

/// What is wrong with the text of `ip=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// There are more than ten fields. An IPv6 address has too many colons: `ip=` knows IPv4 only.
    TooManyFields,
    /// The field has no IPv4 address, four numbers with dots.
    NotAnAddress(Field),
    /// `ADDRESS/BITS`: Linux has the netmask in the fourth field, `ip=10.0.2.15::10.0.2.2:255.255.255.0`.
    PrefixLength,
    /// The client's or gateway's address is none that a machine can have: multicast, broadcast, loopback, or the network's
    /// own.
    NotAHost(Field),
    /// The netmask's ones are not all in front.
    BadNetmask,
    /// The netmask was left out, and the client's address is in none of the classes A, B, C.
    NoNetmask,
    /// The field has more bytes than [`HOSTNAME`], or one that no name has.
    BadName(Field),
    /// `bootp`, `rarp`: protocols that this stack does not have.
    Unsupported,
    /// The field `autoconf` has a word that Linux does not know.
    BadAutoconf,
    /// There is a netmask or a gateway, and no client to use them. DHCP brings its own.
    NoClient(Field),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::TooManyFields => f.write_str("ip= has more than ten fields (IPv6 addresses have no place in it)"),
            ConfigError::NotAnAddress(field) => write!(f, "ip= has no IPv4 address as its {field}"),
            ConfigError::PrefixLength => {
                f.write_str("ip= takes no prefix length: the netmask is its fourth field, ip=10.0.2.15::10.0.2.2:255.255.255.0")
            }
            ConfigError::NotAHost(field) => write!(f, "ip= has an address as its {field} that no machine can have"),
            ConfigError::BadNetmask => f.write_str("ip= has a netmask whose ones are not all in front"),
            ConfigError::NoNetmask => f.write_str("ip= has no netmask, and its client's address implies none"),
            ConfigError::BadName(field) => write!(f, "ip= has a {field} that is too long or no name"),
            ConfigError::Unsupported => f.write_str("ip= asks for BOOTP or RARP, which are not there"),
            ConfigError::BadAutoconf => f.write_str("ip= has an autoconf that is none of dhcp, on, any, both, off, none"),
            ConfigError::NoClient(field) => write!(f, "ip= has a {field} but no client address"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Client => "client",
            Field::Server => "server",
            Field::Gateway => "gateway",
            Field::Netmask => "netmask",
            Field::Hostname => "hostname",
            Field::Device => "device",
            Field::Autoconf => "autoconf",
            Field::Dns0 => "dns0",
            Field::Dns1 => "dns1",
            Field::Ntp0 => "ntp0",
        })
    }
}

impl Config {
    /// Reads the value of `ip=`, without the `ip=`. IPv6 is by SLAAC, whatever it says.
    ///
    /// ```
    /// use freestone_net::{Config, embassy_net::ConfigV4};
    ///
    /// let config = Config::from_ip_parameter("10.0.2.15::10.0.2.2:255.255.255.0:cellar")?;
    /// assert!(matches!(config.ipv4, ConfigV4::Static(ipv4) if ipv4.address.prefix_len() == 24));
    /// assert_eq!(config.hostname.as_deref(), Some("cellar"));
    /// # Ok::<(), freestone_net::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn from_ip_parameter(text: &str) -> Result<Config, ConfigError> {
        if let Some(dynamic) = autoconf(text) {
            return Ok(Config {
                ipv4: if dynamic? { dhcp() } else { ConfigV4::None },
                ..Config::default()
            });
        }
        let mut values = [""; FIELDS.len()];
        let mut fields = text.split(':');
        for (value, field) in values.iter_mut().zip(&mut fields) {
            *value = field;
        }
        if fields.next().is_some() {
            return Err(ConfigError::TooManyFields);
        }
        let field = |field: Field| values[field as usize];
        let address = |wanted: Field| address(wanted, field(wanted));
        let name = |wanted: Field| name(wanted, field(wanted));

        let client = address(Field::Client)?;
        let (gateway, netmask) = (address(Field::Gateway)?, address(Field::Netmask)?);
        let dynamic = match field(Field::Autoconf) {
            // A text without any field is Linux' way of saying `off`.
            "" => !text.is_empty(),
            word => autoconf(word).ok_or(ConfigError::BadAutoconf)??,
        };
        let mut dns_servers = Vec::new();
        for server in [address(Field::Dns0)?, address(Field::Dns1)?].into_iter().flatten() {
            // Room for three, and there are two.
            let _ = dns_servers.push(server);
        }
        let ipv4 = match client {
            Some(client) => ConfigV4::Static(static_ipv4(client, gateway, netmask, dns_servers)?),
            None if gateway.is_some() => return Err(ConfigError::NoClient(Field::Gateway)),
            None if netmask.is_some() => return Err(ConfigError::NoClient(Field::Netmask)),
            None if dynamic => dhcp(),
            None => ConfigV4::None,
        };
        Ok(Config {
            ipv4,
            ipv6: ConfigV6::Slaac,
            hostname: name(Field::Hostname)?,
            device: name(Field::Device)?,
            server: address(Field::Server)?,
            ntp: address(Field::Ntp0)?,
        })
    }
}

fn dhcp() -> ConfigV4 {
    ConfigV4::Dhcp(DhcpConfig::default())
}

/// Whether the word asks for a dynamic address. `None`: it is no word of the list.
fn autoconf(word: &str) -> Option<Result<bool, ConfigError>> {
    match word {
        "dhcp" | "on" | "any" | "both" => Some(Ok(true)),
        "off" | "none" => Some(Ok(false)),
        "bootp" | "rarp" => Some(Err(ConfigError::Unsupported)),
        _ => None,
    }
}

fn address(field: Field, text: &str) -> Result<Option<Ipv4Addr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(Some(address).filter(|address| !address.is_unspecified())),
        Err(_) if field == Field::Client && text.contains('/') => Err(ConfigError::PrefixLength),
        Err(_) => Err(ConfigError::NotAnAddress(field)),
    }
}

fn name(field: Field, text: &str) -> Result<Option<String<HOSTNAME>>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !text.bytes().all(fits) {
        return Err(ConfigError::BadName(field));
    }
    String::try_from(text).map(Some).map_err(|_| ConfigError::BadName(field))
}

fn static_ipv4(
    client: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
    netmask: Option<Ipv4Addr>,
    dns_servers: Vec<Ipv4Addr, 3>,
) -> Result<StaticConfigV4, ConfigError> {
    let mask = match netmask {
        Some(mask) => mask.to_bits(),
        // The classes of RFC 791 3.2.
        None => match client.octets()[0] {
            0..=127 => 0xff00_0000,
            128..=191 => 0xffff_0000,
            192..=223 => 0xffff_ff00,
            _ => return Err(ConfigError::NoNetmask),
        },
    };
    if mask.leading_ones() + mask.trailing_zeros() != u32::BITS {
        return Err(ConfigError::BadNetmask);
    }
    for (field, address) in [(Field::Client, Some(client)), (Field::Gateway, gateway)] {
        let Some(address) = address else { continue };
        let host = address.to_bits() & !mask;
        // Networks of one or two addresses have no broadcast address (RFC 3021).
        let reserved = mask.leading_ones() < 31 && (host == 0 || host == !mask);
        if address.is_multicast() || address.is_loopback() || address.is_broadcast() || reserved {
            return Err(ConfigError::NotAHost(field));
        }
    }
    Ok(StaticConfigV4 {
        address: Ipv4Cidr::new(client, mask.leading_ones() as u8),
        gateway,
        dns_servers,
    }) // 32 at most
}

#[cfg(test)]
mod tests;
