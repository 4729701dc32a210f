//! Debian's Xen, in the user's cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{check, unpack};
use crate::boot::packages::{Product, Wanted, cannot};
use crate::status::Failure;

/// What QEMU starts.
pub const XEN: Product = Product {
    name: "Xen",
    packages: &[Wanted::Newest("xen-hypervisor-", "-amd64")],
    size: "2 MB",
    image: "xen.elf",
    instead: "name a Xen with --xen PATH or FREESTONE_XEN: an ELF file or xen-*.gz, as in /boot of a system with Xen \
              (packages xen-hypervisor of Fedora and Alpine, xen of openSUSE)",
    make,
};

/// Unpacks the image out of the package's files.
fn make(new: &Path, unpacked: &Path) -> Result<Vec<PathBuf>, Failure> {
    let boot = unpacked.join("boot");
    let files = fs::read_dir(&boot).map_err(|error| cannot(&boot, &error))?.flatten();
    let mut packed =
        files.map(|entry| entry.path()).filter(|path| path.extension() == Some("gz".as_ref()));
    let useless = || Failure::tool("there is no Xen that can be started in Debian's package");
    let packed = packed.next().ok_or_else(useless)?;
    let bytes = unpack(&packed)?.ok_or_else(useless)?;
    check(&bytes).map_err(|_| useless())?;
    let image = new.join(XEN.image);
    fs::write(&image, bytes).map_err(|error| cannot(&image, &error))?;
    Ok(Vec::new())
}
