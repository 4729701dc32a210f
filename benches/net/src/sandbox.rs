//! Where everything runs: namespaces of its own for network, processes and mounts.
//!
//! Nothing is left behind, however this program ends. The kernel kills all processes of a process namespace with its
//! first one, and removes the tap, the addresses and the memory file system with their namespaces when no process is left
//! in them. So there is no cleaning up that a signal could prevent: when the process outside dies, `setpriv` has told
//! the kernel to kill `unshare`, and `unshare` has told it to kill the first process inside.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, packages};

/// The guest's Ethernet address.
pub const GUEST_MAC: &str = "52:54:00:12:34:56";
/// The tap's name.
pub const TAP: &str = "tap0";

/// Files that live as long as the namespaces, in memory.
pub fn scratch() -> PathBuf {
    packages::cache().join("scratch")
}

/// Runs this program again, inside, with the same arguments but the verb; ends with its status.
pub fn enter() -> Result<()> {
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--pid", "--mount", "--fork"])
        .args(["--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .arg("inside")
        .args(std::env::args_os().skip(2))
        .status()
        .map_err(|error| format!("setpriv: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the part inside the namespaces ended with {status}").into())
    }
}

/// Makes the tap and the memory file system, inside.
pub fn set_up() -> Result<()> {
    std::fs::create_dir_all(scratch())?;
    tool("mount", &["-t", "tmpfs", "net-bench", &scratch().to_string_lossy()])?;
    tool("ip", &["link", "set", "lo", "up"])?;
    tool("ip", &["tuntap", "add", "dev", TAP, "mode", "tap"])?;
    tool("ip", &["address", "add", "10.0.2.2/24", "dev", TAP])?;
    tool("ip", &["link", "set", TAP, "up"])?;
    // An ARP request that is lost costs a second, which is not what is measured.
    tool(
        "ip",
        &["neighbour", "add", "10.0.2.15", "lladdr", GUEST_MAC, "dev", TAP, "nud", "permanent"],
    )?;
    // 100,000 connections in a row shall not meet the port of one that is not over.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000")?;
    Ok(())
}

fn tool(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} {} failed; are you root?", arguments.join(" ")).into())
    }
}
