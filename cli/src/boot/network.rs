//! The network of a machine: what `--net`, `--forward`, `--mac` and `--pcap` say, and what QEMU is told.
//!
//! The user network is QEMU's own (SLIRP), which needs no rights: the guest is 10.0.2.15, the host 10.0.2.2, and nothing comes
//! in but by forwards. A tap is a network device of Linux's, made beforehand.
//!
//! Sources: QEMU's manual, qemu(1), `-netdev` and `-object filter-dump`; Linux, `include/uapi/linux/if_tun.h`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::boot::disk::value;
use crate::boot::forward::{self, Forward};
use crate::foreign::{self, Shown as _};
use crate::say;
use crate::status::Failure;

/// The longest name of a network device, in bytes (`IFNAMSIZ` less the zero).
const LONGEST_NAME: usize = 15;

/// Of a device's `tun_flags`: it is a tap (`IFF_TAP`).
const TAP: u64 = 2;

/// What `--net` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// There is none, even if the image asks for one.
    None,
    /// QEMU's own.
    User,
    /// A device of the host's, by its name.
    Tap(String),
}

impl Net {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "none" => Ok(Self::None),
            None if text == "user" => Ok(Self::User),
            Some(("tap", name)) => match is_device_name(name) {
                true => Ok(Self::Tap(name.to_owned())),
                false => Err(format!(
                    "no network device can have the name `{}`",
                    foreign::line(name.as_bytes())
                )),
            },
            _ if text == "tap" => Err("which one: tap=NAME".into()),
            _ => Err("it may be none, user, tap=NAME".into()),
        }
    }

    /// As `--net` takes it.
    pub fn word(&self) -> String {
        match self {
            Self::None => "none".into(),
            Self::User => "user".into(),
            Self::Tap(name) => format!("tap={name}"),
        }
    }

    /// Refuses a tap that is not there: QEMU would make another, which nothing is connected to, or be denied it.
    pub fn check(&self) -> Result<(), Failure> {
        let Self::Tap(name) = self else { return Ok(()) };
        let folder = Path::new("/sys/class/net").join(name);
        if !folder.exists() {
            return Err(Failure::usage(format!(
                "--net tap={name}: no network device has this name; `sudo ip tuntap add {name} mode tap user $USER` \
                 makes it and `sudo ip link set {name} up` starts it"
            )));
        }
        let flags = fs::read_to_string(folder.join("tun_flags")).unwrap_or_default();
        let digits = flags.trim().trim_start_matches("0x");
        let is_tap = u64::from_str_radix(digits, 16).is_ok_and(|flags| flags & TAP != 0);
        if is_tap {
            Ok(())
        } else {
            Err(Failure::usage(format!("--net tap={name}: this network device is not a tap")))
        }
    }
}

/// Whether a network device of Linux's can have this name (`net/core/dev.c`, `dev_valid_name`).
pub fn is_device_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
        && name != "."
        && name != ".."
}

/// The address of the guest's network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

impl Mac {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let digits = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            *byte = digits
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or("it may be six numbers of two hexadecimal digits, as 52:54:00:12:34:56")?;
        }
        if parts.next().is_some() {
            return Err("it has more than six numbers".into());
        }
        // The lowest bit of the first byte marks a group (IEEE 802).
        if bytes[0] & 1 != 0 || bytes == [0; 6] {
            return Err("this is the address of no single device: the first number must be even, and not all are 0".into());
        }
        Ok(Self(bytes))
    }

    pub fn word(self) -> String {
        self.0.map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// A machine's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Not [`Net::None`].
    pub net: Net,
    /// As asked for, until [`choose_ports`](Network::choose_ports) has found free ones.
    pub forwards: Vec<Forward>,
    pub mac: Option<Mac>,
    /// Where all packets are written to.
    pub pcap: Option<PathBuf>,
}

impl Network {
    /// Replaces the ports that are asked for by ones that are free, and says where the guest can be reached.
    pub fn choose_ports(&mut self, asked: &[Forward]) -> Result<(), Failure> {
        self.forwards = forward::choose(asked)?;
        for forward @ Forward { protocol, host, guest } in &self.forwards {
            let about = match protocol {
                forward::Protocol::Tcp => "",
                forward::Protocol::Udp => ", UDP",
            };
            let same = |one: &&Forward| one.protocol == *protocol && one.guest == *guest;
            let is_as_asked = |one: &Forward| one.host == *host || one.host == 0;
            let taken = match asked.iter().filter(same).any(is_as_asked) {
                true => None,
                false => asked.iter().find(same),
            };
            let why = taken.map(|one| format!(", as {} is taken", one.host)).unwrap_or_default();
            say!("forward 127.0.0.1:{host} to the guest's {guest}{about}{why}");
            if forward.is_page() {
                say!("the page: http://127.0.0.1:{host}/");
            }
        }
        Ok(())
    }

    /// What QEMU is told; `bus` is what devices end with there.
    pub fn arguments(&self, bus: &str) -> Vec<OsString> {
        let mut netdev = match &self.net {
            Net::Tap(name) => {
                let name = value(Path::new(name));
                let name = name.to_string_lossy();
                format!("tap,id={ID},ifname={name},script=no,downscript=no")
            }
            Net::User | Net::None => format!("user,id={ID}"),
        };
        for forward in &self.forwards {
            netdev += ",";
            netdev += &forward.rule();
        }
        let mut device = format!("virtio-net-{bus},netdev={ID}");
        if let Some(mac) = self.mac {
            device += &format!(",mac={}", mac.word());
        }
        // A boot by network is not wanted, and its program would be a file that not every QEMU has.
        if bus == "pci" {
            device += ",romfile=";
        }
        let mut all: Vec<OsString> =
            ["-netdev", &netdev, "-device", &device].map(OsString::from).into();
        if let Some(file) = &self.pcap {
            let mut object =
                OsString::from(format!("filter-dump,id=freestone-pcap,netdev={ID},file="));
            object.push(value(file));
            all.extend(["-object".into(), object]);
        }
        all
    }
}

/// What QEMU calls it.
const ID: &str = "freestone-net";

/// Refuses a file that QEMU could not write.
pub fn check_pcap(file: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::usage(format!("--pcap {}: {why}", file.shown())));
    if file.is_dir() {
        return refuse("this is a directory; name a file in it");
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return refuse("there is no such folder");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read() {
        for net in [Net::None, Net::User, Net::Tap("tap0".into()), Net::Tap("a,b=c".into())] {
            assert_eq!(Net::parse(&net.word()), Ok(net));
        }
        for (text, says) in [
            ("usr", "it may be none, user, tap=NAME"),
            ("", "it may be none, user, tap=NAME"),
            ("user=x", "it may be none, user, tap=NAME"),
            ("bridge=br0", "it may be none, user, tap=NAME"),
            ("tap", "which one"),
            ("tap=", "no network device can have the name ``"),
            ("tap=../lo", "`../lo`"),
            ("tap=..", "`..`"),
            ("tap=a b", "`a b`"),
            ("tap=abcdefghijklmnop", "`abcdefghijklmnop`"),
        ] {
            let why = Net::parse(text).expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
        }
    }

    #[test]
    fn a_tap_must_be_one() {
        let why = |name: &str| Net::Tap(name.into()).check().unwrap_err().message;
        assert!(why("nosuchtap").contains("ip tuntap add nosuchtap mode tap"));
        // Every system has this one.
        assert!(why("lo").contains("is not a tap"));
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(Mac::parse("52:54:00:aB:34:56").unwrap().word(), "52:54:00:ab:34:56");
        for (text, says) in [
            ("", "six numbers"),
            ("52:54:00:12:34", "six numbers"),
            ("52:54:00:12:34:5", "six numbers"),
            ("52:54:00:12:34:+5", "six numbers"),
            ("52:54:00:12:34:56:78", "more than six"),
            ("53:54:00:12:34:56", "no single device"),
            ("00:00:00:00:00:00", "no single device"),
        ] {
            let why = Mac::parse(text).expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
        }
    }

    #[test]
    fn qemu_is_told_all() {
        let parse = |text| Forward::parse(text).expect("good");
        let network = Network {
            net: Net::User,
            forwards: vec![parse("8080:80"), parse("udp:5353:53")],
            mac: Some(Mac::parse("52:54:00:12:34:56").expect("good")),
            pcap: Some("a,b=c.pcap".into()),
        };
        let netdev =
            "user,id=freestone-net,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:127.0.0.1:5353-:53";
        let device = "virtio-net-device,netdev=freestone-net,mac=52:54:00:12:34:56";
        let object = "filter-dump,id=freestone-pcap,netdev=freestone-net,file=a,,b=c.pcap";
        assert_eq!(
            network.arguments("device"),
            ["-netdev", netdev, "-device", device, "-object", object]
        );
        let tap = Network { net: Net::Tap("a,b".into()), forwards: vec![], mac: None, pcap: None };
        let netdev = "tap,id=freestone-net,ifname=a,,b,script=no,downscript=no";
        let device = "virtio-net-pci,netdev=freestone-net,romfile=";
        assert_eq!(tap.arguments("pci"), ["-netdev", netdev, "-device", device]);
    }
}
