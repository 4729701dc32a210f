//! What a configuration says of the machine: memory, processors, network, disks, and the kernel's command line.

use std::ffi::OsStr;
use std::path::Path;

use crate::boot::disk::Disk;
use crate::boot::network::{Mac, is_device_name};
use crate::foreign::{self, Shown as _};
use crate::status::Failure;

/// What the boot code of freestone-platform keeps of all command lines together.
const LONGEST_LINE: usize = 4096;

/// A machine to be described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guest {
    pub name: String,
    /// Where the kernel is on the host that runs it.
    pub kernel: String,
    pub command_line: String,
    pub memory_mib: u32,
    pub cores: u32,
    pub net: Option<Net>,
    pub mac: Option<Mac>,
    pub disks: Vec<Disk>,
}

/// What a network device is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    None,
    /// QEMU's own, which reaches out and is not reached.
    User,
    /// A bridge of the host's.
    Bridge(String),
    /// A network of libvirt's.
    Network(String),
}

impl Net {
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |name: &str| match name {
            "" => Err(format!("which one: {text}NAME")),
            // Linux would allow a comma; lists in configurations do not.
            name if is_device_name(name) && !name.contains([',', '\'', '"']) => Ok(name.to_owned()),
            name => Err(format!(
                "no network device can have the name `{}`",
                foreign::line(name.as_bytes())
            )),
        };
        match text.split_once('=') {
            None if text == "none" => Ok(Self::None),
            None if text == "user" => Ok(Self::User),
            Some(("bridge", name)) => named(name).map(Self::Bridge),
            Some(("network", "")) => Err("which one: network=NAME".into()),
            Some(("network", name)) => match name.chars().all(is_plain) {
                true => Ok(Self::Network(name.to_owned())),
                false => Err("the name of a network has no control characters".into()),
            },
            _ if text == "bridge" || text == "network" => Err(format!("which one: {text}=NAME")),
            _ => Err("it may be none, user, bridge=NAME or network=NAME".into()),
        }
    }
}

/// A kernel's file as the name of a guest: letters, digits and `._-` as they are, a dash for all else.
pub fn name_of(image: &Path) -> String {
    let name = image.file_name().unwrap_or(OsStr::new("kernel")).to_string_lossy();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    // Not hidden, and no option to those who type it.
    let name: String = name.chars().map(allowed).collect();
    let name = name.trim_start_matches(['.', '-']);
    let name = name.strip_suffix(".elf").filter(|rest| !rest.is_empty()).unwrap_or(name);
    if name.is_empty() { "kernel".into() } else { name.into() }
}

/// A command line that every form can hold.
pub fn command_line(line: &OsStr) -> Result<&str, Failure> {
    let wrong = |why: String| Failure::usage(format!("the kernel's command line {why}"));
    let text = line.to_str().filter(|text| text.chars().all(is_plain));
    let text = text.ok_or_else(|| {
        wrong("has control characters or is not UTF-8, which no configuration can hold".into())
    })?;
    match text.len() {
        len if len >= LONGEST_LINE => {
            Err(wrong(format!("has {len} bytes; kernels keep less than {LONGEST_LINE}")))
        }
        _ => Ok(text),
    }
}

/// A path as text for a configuration, absolute.
pub fn path<'a>(path: &'a Path, option: &str) -> Result<&'a str, Failure> {
    let wrong = |why| Failure::usage(format!("{option} {}: {why}", path.shown()));
    let text = path.to_str().filter(|text| text.chars().all(is_plain));
    let text = text.ok_or_else(|| {
        wrong("a configuration needs a path without control characters, in UTF-8")
    })?;
    match path.is_absolute() {
        true => Ok(text),
        false => Err(wrong("a configuration needs an absolute path")),
    }
}

/// Whether XML 1.0, JSON and xl's files can hold it in one line.
fn is_plain(c: char) -> bool {
    !c.is_control() && c != '\u{fffe}' && c != '\u{ffff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_mistakes_are_told() {
        for (text, net) in [
            ("none", Net::None),
            ("user", Net::User),
            ("bridge=br0", Net::Bridge("br0".into())),
            ("network=the default", Net::Network("the default".into())),
        ] {
            assert_eq!(Net::parse(text), Ok(net), "{text}");
        }
        for (text, says) in [
            ("", "it may be"),
            ("tap=t", "it may be"),
            ("bridge", "bridge=NAME"),
            ("bridge=", "bridge=NAME"),
            ("network=", "network=NAME"),
            ("bridge=a/b", "no network device"),
            ("bridge=a,b=c", "no network device"),
            ("network=a\nb", "control characters"),
        ] {
            let why = Net::parse(text).expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
        }
    }

    #[test]
    fn names_can_be_typed() {
        for (file, name) in [
            ("target/release/my-kernel", "my-kernel"),
            ("my kernel,2", "my-kernel-2"),
            ("k.elf", "k"),
            (".elf", "elf"),
            ("--", "kernel"),
            ("/", "kernel"),
            ("größe", "gr--e"),
        ] {
            assert_eq!(name_of(Path::new(file)), name, "{file}");
        }
    }

    #[test]
    fn lines_that_no_file_can_hold_are_refused() {
        assert_eq!(command_line("a=\"b\" <c> 'ü'".as_ref()).expect("good"), "a=\"b\" <c> 'ü'");
        let long = "x".repeat(4095);
        assert!(command_line(long.as_ref()).is_ok());
        use std::os::unix::ffi::OsStrExt;
        for wrong in [&b"a\nb"[..], b"\x1f", b"\xff", "x".repeat(4096).as_bytes(), b"\x7f"] {
            assert!(command_line(OsStr::from_bytes(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn paths_are_absolute() {
        assert_eq!(path(Path::new("/a b"), "x").expect("good"), "/a b");
        assert!(path(Path::new("a"), "x").is_err());
        assert!(path(Path::new("/a\nb"), "x").is_err());
    }
}
