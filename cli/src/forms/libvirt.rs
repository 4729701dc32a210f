//! A domain of libvirt's: `virsh define NAME.xml` and `virsh start NAME` run the kernel in QEMU, by KVM.
//!
//! The domain ends with its kernel. It has no exit device: the kernel's verdict is the last line of its serial console. The
//! devices are virtio's, on a machine q35: what the kernel is given, and a source of random numbers.
//!
//! Source: libvirt, "Domain XML format"; XML 1.0, 2.4 (which characters are escaped).

use crate::forms::guest::{Guest, Net, path};
use crate::status::Failure;

/// The file.
pub fn of(guest: &Guest) -> Result<String, Failure> {
    let Guest { name, kernel, command_line, memory_mib, cores, .. } = guest;
    let line = match command_line.as_str() {
        "" => String::new(),
        line => format!("\n    <cmdline>{}</cmdline>", escaped(line)),
    };
    let (disks, network) = (disks(guest)?, network(guest));
    Ok(format!(
        "<domain type='kvm'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{cores}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>{line}
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-passthrough'/>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>{disks}{network}
    <serial type='pty'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
    <memballoon model='none'/>
  </devices>
</domain>
",
        name = escaped(name),
        kernel = escaped(kernel),
    ))
}

fn disks(guest: &Guest) -> Result<String, Failure> {
    let mut all = String::new();
    for (disk, letter) in guest.disks.iter().zip('a'..='z') {
        let source = path(&disk.file, "--disk")?;
        // What is a device there may not even be here.
        let (kind, place) =
            if source.starts_with("/dev/") { ("block", "dev") } else { ("file", "file") };
        let access = if disk.is_read_only { "\n      <readonly/>" } else { "" };
        all += &format!(
            "
    <disk type='{kind}' device='disk'>
      <driver name='qemu' type='raw'/>
      <source {place}='{source}'/>
      <target dev='vd{letter}' bus='virtio'/>{access}
    </disk>",
            source = escaped(source),
        );
    }
    Ok(all)
}

fn network(guest: &Guest) -> String {
    let (kind, source) = match &guest.net {
        Some(Net::User) => ("user", String::new()),
        Some(Net::Bridge(name)) => {
            ("bridge", format!("\n      <source bridge='{}'/>", escaped(name)))
        }
        Some(Net::Network(name)) => {
            ("network", format!("\n      <source network='{}'/>", escaped(name)))
        }
        Some(Net::None) | None => return String::new(),
    };
    let mac =
        guest.mac.map_or(String::new(), |mac| format!("\n      <mac address='{}'/>", mac.word()));
    format!(
        "
    <interface type='{kind}'>{source}{mac}
      <model type='virtio'/>
    </interface>"
    )
}

/// Text as XML has it, between tags and in quotes of either kind.
fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => all += "&amp;",
            '<' => all += "&lt;",
            '>' => all += "&gt;",
            '\'' => all += "&apos;",
            '"' => all += "&quot;",
            c => all.push(c),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::disk::Disk;
    use crate::boot::network::Mac;

    #[test]
    fn a_domain_has_what_was_given_and_no_more() {
        let guest = Guest {
            name: "k".into(),
            kernel: "/srv/k & co.elf".into(),
            command_line: "a='b' <c>".into(),
            memory_mib: 64,
            cores: 2,
            net: Some(Net::Network("default".into())),
            mac: Some(Mac::parse("52:54:00:00:00:01").expect("good")),
            disks: vec![
                Disk { file: "/d.img".into(), is_read_only: true },
                Disk { file: "/dev/sd".into(), is_read_only: false },
            ],
        };
        let text = of(&guest).expect("good");
        for part in [
            "<kernel>/srv/k &amp; co.elf</kernel>\n    <cmdline>a=&apos;b&apos; &lt;c&gt;</cmdline>",
            "<memory unit='MiB'>64</memory>\n  <vcpu>2</vcpu>",
            "<source file='/d.img'/>\n      <target dev='vda' bus='virtio'/>\n      <readonly/>",
            "<disk type='block' device='disk'>",
            "<source dev='/dev/sd'/>\n      <target dev='vdb' bus='virtio'/>\n    </disk>",
            "<source network='default'/>\n      <mac address='52:54:00:00:00:01'/>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let plain = of(&Guest { name: "k".into(), kernel: "/k".into(), ..Guest::default() });
        let plain = plain.expect("good");
        assert!(
            !["disk", "interface", "cmdline"].iter().any(|word| plain.contains(word)),
            "{plain}"
        );
    }
}
