//! A configuration for `xl`, Xen's toolstack: `xl create NAME.cfg` starts the kernel as a guest of type PVH.
//!
//! The guest ends with its kernel: a power-off, a reboot and a crash all destroy it, for a kernel that crashed would do so
//! again; `xl` keeps the reason in its log.
//!
//! Sources: xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5); how texts are quoted: Xen,
//! `tools/libs/util/libxlu_cfg_l.l` and `xlu__cfgl_dequote`.

use crate::forms::guest::{Guest, Net, path};
use crate::status::Failure;

/// The file.
pub fn of(guest: &Guest) -> Result<String, Failure> {
    let Guest { name, kernel, command_line, memory_mib, cores, net, mac, disks } = guest;
    let mut lines = vec![
        format!("# A kernel without a system below it: xl create -c {name}.cfg"),
        format!("name = {}", quoted(name)),
        "type = \"pvh\"".into(),
        format!("kernel = {}", quoted(kernel)),
    ];
    if !command_line.is_empty() {
        lines.push(format!("cmdline = {}", quoted(command_line)));
    }
    lines.push(format!("memory = {memory_mib}"));
    lines.push(format!("vcpus = {cores}"));
    let mac = mac.map_or(String::new(), |mac| format!(",mac={}", mac.word()));
    match net {
        Some(Net::Bridge(bridge)) => {
            lines.push(format!("vif = [ {} ]", quoted(&format!("bridge={bridge}{mac}"))));
        }
        Some(Net::User | Net::Network(_)) => {
            return Err(Failure::usage("--net: Xen connects guests to bridges: --net bridge=NAME"));
        }
        Some(Net::None) | None => {}
    }
    let mut all = Vec::new();
    for (disk, letter) in disks.iter().zip('a'..='z') {
        let access = if disk.is_read_only { "ro" } else { "rw" };
        // The target comes last, for then all of the rest is its path, commas too.
        let target = path(&disk.file, "--disk")?;
        let text = format!("format=raw,vdev=xvd{letter},access={access},target={target}");
        all.push(quoted(&text));
    }
    if !all.is_empty() {
        lines.push(format!("disk = [ {} ]", all.join(", ")));
    }
    for event in ["poweroff", "reboot", "crash"] {
        lines.push(format!("on_{event} = \"destroy\""));
    }
    Ok(lines.join("\n") + "\n")
}

/// A text as `xl` reads it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::disk::Disk;
    use crate::boot::network::Mac;

    #[test]
    fn a_whole_machine_is_described() {
        let guest = Guest {
            name: "k".into(),
            kernel: "/srv/k.elf".into(),
            command_line: r#"a="b\c" d"#.into(),
            memory_mib: 64,
            cores: 2,
            net: Some(Net::Bridge("br0".into())),
            mac: Some(Mac::parse("00:16:3e:00:00:01").expect("good")),
            disks: vec![
                Disk { file: "/d,1.img".into(), is_read_only: false },
                Disk { file: "/dev/sd".into(), is_read_only: true },
            ],
        };
        let expected = r#"# A kernel without a system below it: xl create -c k.cfg
name = "k"
type = "pvh"
kernel = "/srv/k.elf"
cmdline = "a=\"b\\c\" d"
memory = 64
vcpus = 2
vif = [ "bridge=br0,mac=00:16:3e:00:00:01" ]
disk = [ "format=raw,vdev=xvda,access=rw,target=/d,1.img", "format=raw,vdev=xvdb,access=ro,target=/dev/sd" ]
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
"#;
        assert_eq!(of(&guest).expect("good"), expected);
        let user = Guest { net: Some(Net::User), ..guest };
        assert!(of(&user).expect_err("no such network").message.contains("bridge=NAME"));
    }
}
