//! Debian's packages that the peers are made of, fetched once by `apt-get` and unpacked below `target`, not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Where all that is fetched or built for the peers lies.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// The file system that the packages were unpacked to.
pub fn root() -> PathBuf {
    cache().join("root")
}

/// iputils' ping. busybox's has no flood.
pub fn ping() -> PathBuf {
    root().join("bin/ping")
}

/// Fetches the kernel that `linux-image-cloud-amd64` depends on, and ping, unless they are there.
pub fn fetch() -> Result<()> {
    if ping().is_file() && kernel_image().is_ok() {
        return Ok(());
    }
    let debs = cache().join("debs");
    std::fs::create_dir_all(&debs)?;
    let depends =
        Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]).output()?;
    let text = String::from_utf8_lossy(&depends.stdout).into_owned();
    let kernel = text.split_whitespace().find(|word| word.starts_with("linux-image-6.1"));
    let kernel = kernel
        .ok_or("apt knows no linux-image-cloud-amd64 6.1: run apt-get update on Debian 12")?;
    let status = Command::new("apt-get")
        .arg("download")
        .args([kernel, "iputils-ping"])
        .current_dir(&debs)
        .status()?;
    if !status.success() {
        return Err("apt-get download failed".into());
    }
    for entry in std::fs::read_dir(&debs)? {
        let status = Command::new("dpkg").arg("-x").arg(entry?.path()).arg(root()).status()?;
        if !status.success() {
            return Err("dpkg -x failed".into());
        }
    }
    Ok(())
}

/// Linux' bzImage.
///
/// # Errors
///
/// It has not been fetched.
pub fn kernel_image() -> Result<PathBuf> {
    only_entry(&root().join("boot"), "vmlinuz-")
}

/// The folder with the kernel's modules.
pub fn modules() -> Result<PathBuf> {
    Ok(only_entry(&root().join("lib/modules"), "6.1")?.join("kernel"))
}

fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let missing = || format!("nothing called {prefix}… in {}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(|_| missing())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    Err(missing().into())
}
