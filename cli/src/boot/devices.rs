//! The devices that a machine of QEMU's gets beside those that every boot has: a network and disks. What is asked for on the
//! command line comes first, then what the image asks for by its notes. And the file that is loaded beside the kernel.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{self, Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use freestone_inspect::File;
use freestone_inspect::wants::Wants;
use serde_json::json;

use crate::args::{all, one};
use crate::boot::disk::{self, Disk};
use crate::boot::forward::{self, Forward};
use crate::boot::module;
use crate::boot::network::{self, Mac, Net, Network};
use crate::foreign::Shown as _;
use crate::say;
use crate::status::Failure;

/// More ports than kernels serve: an image cannot make a command line too long.
const MOST_FORWARDS: usize = 64;

/// The network of kernel tests: what `--net` takes.
const NET_VARIABLE: &str = "FREESTONE_TEST_NET";
/// Their disks: a list in JSON of what `--disk` takes.
const DISKS_VARIABLE: &str = "FREESTONE_TEST_DISKS";
/// The file beside them: what `--module` takes.
const MODULE_VARIABLE: &str = "FREESTONE_TEST_MODULE";

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceArgs {
    pub net: Option<Net>,
    pub forwards: Vec<Forward>,
    pub mac: Option<Mac>,
    pub pcap: Option<PathBuf>,
    pub disks: Vec<Disk>,
    /// No device, and so there in every place.
    pub module: Option<PathBuf>,
}

impl DeviceArgs {
    pub fn from(matches: &ArgMatches) -> Self {
        Self {
            net: one(matches, "net"),
            forwards: all(matches, "forward").unwrap_or_default(),
            mac: one(matches, "mac"),
            pcap: one(matches, "pcap"),
            disks: all(matches, "disk").unwrap_or_default(),
            module: one(matches, "module"),
        }
    }

    /// What `cargo freestone test` was given, for the runner that it has cargo call.
    pub fn from_environment() -> Result<Self, Failure> {
        Self::from_values(env::var_os)
    }

    fn from_values(value: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, Failure> {
        let variable = |name| value(name).filter(|value| !value.is_empty());
        let wrong = |name: &str, why: &dyn fmt::Display| Failure::usage(format!("{name}: {why}"));
        let mut all = Self::default();
        if let Some(net) = variable(NET_VARIABLE) {
            let net = Net::parse(&net.to_string_lossy());
            all.net = Some(net.map_err(|why| wrong(NET_VARIABLE, &why))?);
        }
        if let Some(disks) = variable(DISKS_VARIABLE) {
            let words: Vec<String> =
                serde_json::from_slice(disks.as_encoded_bytes()).map_err(|why| {
                    wrong(DISKS_VARIABLE, &format_args!("it wants a list of texts in JSON: {why}"))
                })?;
            all.disks = words.iter().map(|word| Disk::parse(word.as_ref())).collect();
        }
        all.module = variable(MODULE_VARIABLE).map(PathBuf::from);
        all.check()?;
        Ok(all)
    }

    /// The variables and values that say it; paths become absolute, for cargo runs tests elsewhere.
    pub fn environment(&self) -> Result<[(&'static str, Option<OsString>); 3], Failure> {
        let word = |disk: &Disk| {
            let file = path::absolute(&disk.file).ok();
            let word = file.map(|file| Disk { file, ..disk.clone() }.word());
            word.and_then(|word| word.into_string().ok()).ok_or_else(|| {
                Failure::usage(format!(
                    "--disk {}: for kernel tests its path must be UTF-8",
                    disk.file.shown()
                ))
            })
        };
        let disks = self.disks.iter().map(word).collect::<Result<Vec<_>, _>>()?;
        let absolute = |file: &PathBuf| path::absolute(file).ok().map(OsString::from);
        Ok([
            (NET_VARIABLE, self.net.as_ref().map(|net| net.word().into())),
            (DISKS_VARIABLE, (!disks.is_empty()).then(|| json!(disks).to_string().into())),
            (MODULE_VARIABLE, self.module.as_ref().and_then(absolute)),
        ])
    }

    /// The name of one that was given.
    pub fn any(&self) -> Option<&'static str> {
        let Self { net, forwards, mac, pcap, disks, module: _ } = self;
        let given = [
            (net.as_ref().is_some_and(|net| *net != Net::None), "net"),
            (!forwards.is_empty(), "forward"),
            (mac.is_some(), "mac"),
            (pcap.is_some(), "pcap"),
            (!disks.is_empty(), "disk"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// Refuses what contradicts itself or names what is not there: cheap questions, before anything is built.
    pub fn check(&self) -> Result<(), Failure> {
        let Self { net, forwards, mac, pcap, disks, module } = self;
        let without = |option: &str, needs: &str, net: &Net| {
            Err(Failure::usage(format!(
                "--{option} needs {needs}, and there is --net {}",
                net.word()
            )))
        };
        match net {
            Some(net @ (Net::None | Net::Tap(_))) if !forwards.is_empty() => {
                return without("forward", "the user network", net);
            }
            Some(Net::None) if mac.is_some() => return without("mac", "a network", &Net::None),
            Some(Net::None) if pcap.is_some() => return without("pcap", "a network", &Net::None),
            Some(net) => net.check()?,
            None => {}
        }
        forward::must_differ(forwards)?;
        disk::check(disks)?;
        module.as_deref().map_or(Ok(()), module::check)?;
        let Some(pcap) = pcap else { return Ok(()) };
        network::check_pcap(pcap)?;
        let place = pcap.canonicalize().ok();
        match disks.iter().find(|disk| place.is_some() && disk.file.canonicalize().ok() == place) {
            Some(_) => Err(Failure::usage(format!("--pcap {}: this is a disk", pcap.shown()))),
            None => Ok(()),
        }
    }
}

pub fn net() -> Arg {
    Arg::new("net").long("net").value_name("NET").value_parser(Net::parse).help(
        "The network: none, user or tap=NAME [default: user if the image asks for one, else none]",
    )
}

pub fn forward() -> Arg {
    Arg::new("forward")
        .long("forward")
        .value_name("HOST:GUEST")
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .value_parser(Forward::parse)
        .help(
            "Connect this TCP port of 127.0.0.1 (udp:HOST:GUEST: UDP; 0: any free one) with the guest's; may be \
             repeated [default: a port for each that the image serves]",
        )
}

pub fn mac() -> Arg {
    Arg::new("mac")
        .long("mac")
        .value_name("ADDRESS")
        .value_parser(Mac::parse)
        .help("The address of the guest's network device [default: 52:54:00:12:34:56]")
}

pub fn pcap() -> Arg {
    Arg::new("pcap")
        .long("pcap")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write all packets of the network there, for Wireshark and tcpdump")
}

pub fn disk() -> Arg {
    Arg::new("disk")
        .long("disk")
        .value_name("FILE[,ro]")
        .action(ArgAction::Append)
        .value_parser(OsStringValueParser::new().map(|text| Disk::parse(&text)))
        .help("A raw file as a disk; ,ro: to be read only; may be repeated")
}

/// A machine's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    pub network: Option<Network>,
    pub disks: Vec<Disk>,
}

impl Devices {
    /// What was given, and what the image asks for and nobody gave it; `extra` are more arguments for QEMU, which may have
    /// a network in them.
    pub fn new(given: &DeviceArgs, wants: &Wants, extra: &[OsString]) -> Result<Self, Failure> {
        let DeviceArgs { net, forwards, mac, pcap, disks, module: _ } = given;
        let is_asked = !forwards.is_empty() || mac.is_some() || pcap.is_some();
        let net = match net {
            Some(Net::None) => None,
            Some(net) => Some(net.clone()),
            None if !forwards.is_empty() => Some(Net::User),
            None if wants.network && (is_asked || !has_network(extra)) => Some(Net::User),
            None => None,
        };
        if net.is_none() && is_asked {
            let option = if pcap.is_some() { "pcap" } else { "mac" };
            return Err(Failure::usage(format!(
                "--{option} needs a network, and this image asks for none; --net user gives it one"
            )));
        }
        let network = net.map(|net| {
            let forwards =
                if net == Net::User { all_forwards(forwards, wants) } else { Vec::new() };
            Network { net, forwards, mac: *mac, pcap: pcap.clone() }
        });
        Ok(Self { network, disks: disks.clone() })
    }

    /// What QEMU is told for this machine. Those without PCI reach virtio devices by registers.
    pub fn arguments(&self, machine: &str) -> Vec<OsString> {
        let bus = if machine == "microvm" { "device" } else { "pci" };
        let mut words = disk::arguments(&self.disks, bus);
        words.extend(self.network.iter().flat_map(|network| network.arguments(bus)));
        words
    }

    /// The options of `run` that ask for them.
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
        let net = self.network.as_ref().map_or(&Net::None, |network| &network.net);
        option("--net", net.word().into());
        if let Some(Network { forwards, mac, pcap, .. }) = &self.network {
            forwards.iter().for_each(|forward| option("--forward", forward.to_string().into()));
            mac.iter().for_each(|mac| option("--mac", mac.word().into()));
            pcap.iter().for_each(|file| option("--pcap", file.into()));
        }
        self.disks.iter().for_each(|disk| option("--disk", disk.word()));
        words
    }
}

/// What the image at this path asks for; nothing if it cannot be read.
pub fn wanted(image: &Path) -> Wants {
    let file = File::open(image).ok();
    file.and_then(|file| Some(file.image().ok()?.wants())).unwrap_or_default()
}

/// Says what the image asks for and does not get.
pub fn tell_missing(wants: &Wants, devices: &Devices, extra: &[OsString]) {
    if wants.disk && devices.disks.is_empty() && !has_disk(extra) {
        say!("this kernel asks for a disk and gets none; --disk FILE gives it one");
    }
}

/// Those that are given, and one for each port that is served and that none of them leads to.
fn all_forwards(given: &[Forward], wants: &Wants) -> Vec<Forward> {
    let mut all = given.to_vec();
    let served = wants.ports.iter().map(|port| Forward::to(*port));
    let is_given = |served: &Forward| {
        given.iter().any(|one| one.protocol == served.protocol && one.guest == served.guest)
    };
    all.extend(served.filter(|served| !is_given(served)).take(MOST_FORWARDS));
    all
}

fn has_network(extra: &[OsString]) -> bool {
    has_any(extra, &["-netdev", "-nic", "-net"])
}

fn has_disk(extra: &[OsString]) -> bool {
    has_any(extra, &["-drive", "-blockdev", "-hda"])
}

/// Options of QEMU's may begin with two dashes, too.
fn has_any(extra: &[OsString], options: &[&str]) -> bool {
    let is_one = |word: &OsString| {
        word.to_str().is_some_and(|word| {
            options.iter().any(|option| word == *option || word.strip_prefix('-') == Some(option))
        })
    };
    extra.iter().any(is_one)
}

#[cfg(test)]
mod tests;
