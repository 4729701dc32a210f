//! The texts of `ip=`: what each field may hold, and what is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use embassy_net::{ConfigV4, ConfigV6};
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::from_ip_parameter(text)
}

fn is_static(config: &Config, address: &str, gateway: Option<&str>, dns: &[&str]) -> bool {
    let ConfigV4::Static(ipv4) = &config.ipv4 else { return false };
    ipv4.address.to_string() == address
        && ipv4.gateway.map(|gateway| gateway.to_string()).as_deref() == gateway
        && ipv4.dns_servers.iter().map(|server| server.to_string()).eq(dns.iter().copied())
}

fn is_dhcp(config: &Config) -> bool {
    matches!(config.ipv4, ConfigV4::Dhcp(_))
}

#[test]
fn single_words_choose_dhcp_or_nothing() {
    for word in ["dhcp", "on", "any", "both"] {
        assert!(is_dhcp(&parse(word).unwrap()), "{word}");
    }
    for word in ["off", "none", ""] {
        assert_eq!(parse(word).unwrap().ipv4, ConfigV4::None, "{word}");
    }
    for word in ["bootp", "rarp"] {
        assert_eq!(parse(word), Err(ConfigError::Unsupported), "{word}");
    }
    for word in ["DHCP", "dhcp6", "auto", "eth0", " dhcp"] {
        assert_eq!(parse(word), Err(ConfigError::NotAnAddress(Field::Client)), "{word}");
    }
}

#[test]
fn every_field_arrives_where_it_belongs() {
    let config = parse(
        "10.0.2.15:10.0.2.1:10.0.2.2:255.255.255.0:cellar:eth0:off:10.0.2.3:10.0.2.4:10.0.2.5",
    )
    .unwrap();
    assert!(
        is_static(&config, "10.0.2.15/24", Some("10.0.2.2"), &["10.0.2.3", "10.0.2.4"]),
        "{config:?}"
    );
    assert_eq!(config.server, Some(Ipv4Addr::new(10, 0, 2, 1)));
    assert_eq!(config.hostname.as_deref(), Some("cellar"));
    assert_eq!(config.device.as_deref(), Some("eth0"));
    assert_eq!(config.ntp, Some(Ipv4Addr::new(10, 0, 2, 5)));
    assert_eq!(config.ipv6, ConfigV6::Slaac);
}

#[test]
fn fields_may_be_empty_or_left_out() {
    assert!(is_static(
        &parse("10.0.2.15::10.0.2.2:255.255.0.0").unwrap(),
        "10.0.2.15/16",
        Some("10.0.2.2"),
        &[]
    ));
    assert!(is_static(&parse("10.0.2.15:::::::").unwrap(), "10.0.2.15/8", None, &[]));
    assert!(is_static(&parse("10.0.2.15").unwrap(), "10.0.2.15/8", None, &[]));
    assert!(is_static(&parse("10.0.2.15:::255.255.255.255").unwrap(), "10.0.2.15/32", None, &[]));
    let config = parse("::::cellar:eth0:dhcp").unwrap();
    assert!(is_dhcp(&config) && config.hostname.as_deref() == Some("cellar"));
    let net = embassy_net::Config::from(config);
    assert!(matches!(net.ipv4, ConfigV4::Dhcp(dhcp) if dhcp.hostname.as_deref() == Some("cellar")));
    assert!(is_dhcp(&parse(":::::eth0").unwrap()), "without an autoconf, any protocol");
    assert_eq!(parse("::::::off").unwrap().ipv4, ConfigV4::None);
    assert!(is_dhcp(&parse("0.0.0.0:0.0.0.0:0.0.0.0:0.0.0.0::eth0").unwrap()), "0.0.0.0 is none");
    // A client's address decides, whatever stands in the field autoconf: Linux asks nobody then.
    assert!(is_static(&parse("192.0.2.1::::::dhcp").unwrap(), "192.0.2.1/24", None, &[]));
    // The second server alone.
    assert!(is_static(
        &parse("192.0.2.1::::::::192.0.2.9").unwrap(),
        "192.0.2.1/24",
        None,
        &["192.0.2.9"]
    ));
}

#[test]
fn a_missing_netmask_is_that_of_the_class() {
    for (address, prefix) in [
        ("1.0.0.1", 8),
        ("126.1.1.1", 8),
        ("128.0.0.1", 16),
        ("191.255.1.1", 16),
        ("223.1.1.1", 24),
    ] {
        assert!(
            is_static(&parse(address).unwrap(), &format!("{address}/{prefix}"), None, &[]),
            "{address}"
        );
    }
    for address in ["224.0.0.1", "240.0.0.1", "255.255.255.255"] {
        assert_eq!(parse(address), Err(ConfigError::NoNetmask), "{address}");
    }
}

#[test]
fn every_netmask_is_taken_or_refused() {
    for prefix in 0..=32_u32 {
        let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - prefix).unwrap_or(0));
        let text = format!("10.1.2.5:::{mask}");
        if prefix == 0 {
            // 0.0.0.0 is none, and so that of the class.
            assert!(is_static(&parse(&text).unwrap(), "10.1.2.5/8", None, &[]));
        } else {
            assert!(
                is_static(&parse(&text).unwrap(), &format!("10.1.2.5/{prefix}"), None, &[]),
                "{text}"
            );
        }
    }
    for mask in ["255.0.255.0", "0.0.0.255", "255.255.255.1", "127.0.0.0"] {
        assert_eq!(parse(&format!("10.1.2.5:::{mask}")), Err(ConfigError::BadNetmask), "{mask}");
    }
}

#[test]
fn what_linux_would_ignore_is_an_error() {
    use ConfigError::*;
    let long = "h".repeat(HOSTNAME + 1);
    let cases = [
        ("10.0.2.15/24,10.0.2.2", PrefixLength),
        ("10.0.2.15/24", PrefixLength),
        ("10.0.2.15::10.0.2.2/24", NotAnAddress(Field::Gateway)),
        ("10.0.2", NotAnAddress(Field::Client)),
        ("10.0.2.256", NotAnAddress(Field::Client)),
        ("10.0.2.15:boot", NotAnAddress(Field::Server)),
        ("10.0.2.15:::24", NotAnAddress(Field::Netmask)),
        ("10.0.2.15:::::::dns", NotAnAddress(Field::Dns0)),
        ("10.0.2.15::::::::dns", NotAnAddress(Field::Dns1)),
        ("10.0.2.15:::::::::ntp", NotAnAddress(Field::Ntp0)),
        ("10.0.2.15::::::::::", TooManyFields),
        ("fe80::1", NotAnAddress(Field::Client)),
        ("2001:db8:0:0:0:0:0:0:0:0:1", TooManyFields),
        ("10.0.2.15::::bad host", BadName(Field::Hostname)),
        ("10.0.2.15:::::eth/0", BadName(Field::Device)),
        ("10.0.2.15::::::static", BadAutoconf),
        ("::::::bootp", Unsupported),
        ("::10.0.2.2:255.255.255.0", NoClient(Field::Gateway)),
        (":::255.255.255.0", NoClient(Field::Netmask)),
        ("127.0.0.1", NotAHost(Field::Client)),
        ("224.0.0.1:::255.255.255.0", NotAHost(Field::Client)),
        ("10.0.2.0:::255.255.255.0", NotAHost(Field::Client)),
        ("10.0.2.255:::255.255.255.0", NotAHost(Field::Client)),
        ("10.0.2.15::255.255.255.255:255.255.255.0", NotAHost(Field::Gateway)),
        ("10.0.2.15::10.0.2.255:255.255.255.0", NotAHost(Field::Gateway)),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
        assert!(error.to_string().starts_with("ip= "), "{error}");
    }
    assert_eq!(parse(&format!("10.0.2.15::::{long}")), Err(BadName(Field::Hostname)));
    assert_eq!(
        parse(&format!("10.0.2.15::::{}", &long[1..])).unwrap().hostname.as_deref(),
        Some(&long[1..])
    );
    // Two addresses are a network of their own, without reserved ones.
    assert!(is_static(&parse("10.0.2.0:::255.255.255.254").unwrap(), "10.0.2.0/31", None, &[]));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[0-9a-z:./, ]{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn nor_does_any_other(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_written_is_read(client in 0x0101_0101_u32..0x7eff_fffe, prefix in 1..=30_u8, servers in proptest::collection::vec(1..u32::MAX, 0..=2)) {
        let mask = u32::MAX << (32 - prefix);
        prop_assume!(client & !mask != 0 && client & !mask != !mask);
        let client = Ipv4Addr::from_bits(client);
        let servers: Vec<String> = servers.into_iter().map(|server| Ipv4Addr::from_bits(server).to_string()).collect();
        let text = format!("{client}:::{}:h:d:off:{}", Ipv4Addr::from_bits(mask), servers.join(":"));
        let config = parse(&text).unwrap();
        let expected: Vec<&str> = servers.iter().map(String::as_str).collect();
        prop_assert!(is_static(&config, &format!("{client}/{prefix}"), None, &expected), "{} {:?}", text, config);
    }
}
