//! Debian's Linux with its KVM, a shell, and a copy of the QEMU that is installed here, in the user's cache.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::initrd::Archive;
use crate::boot::install;
use crate::boot::packages::{Product, Wanted, cannot, must, run};
use crate::foreign::Shown as _;
use crate::status::Failure;

/// Linux itself, beside the image.
pub const LINUX: &str = "vmlinuz";

/// The files that Linux starts with.
pub const KVM: Product = Product {
    name: "KVM",
    packages: &[Wanted::Behind("linux-image-cloud-amd64"), Wanted::Named("busybox-static")],
    size: "27 MB",
    image: "linux.cpio",
    instead: "boot in QEMU without KVM, or with this machine's own KVM by --accel kvm",
    make,
};

/// Modules, in the order in which they are loaded.
const MODULES: [&str; 3] = ["irqbypass", "kvm", "kvm-amd"];

/// What QEMU loads: option ROMs and the two BIOSes.
const FIRMWARE: [&str; 5] =
    ["pvh.bin", "kvmvapic.bin", "linuxboot_dma.bin", "bios-microvm.bin", "bios-256k.bin"];

const LIMIT: Duration = Duration::from_secs(60);

fn make(new: &Path, unpacked: &Path) -> Result<Vec<PathBuf>, Failure> {
    let missing = |what: &str| Failure::tool(format!("there is no {what} in Debian's packages"));
    let find = |name: &str| find_below(unpacked, &|file| file == name);
    let linux = find_below(&unpacked.join("boot"), &|file| file.starts_with("vmlinuz-"));
    copy(&linux.ok_or_else(|| missing("Linux"))?, &new.join(LINUX))?;
    let qemu = install::find_qemu(None)?
        .ok_or_else(|| Failure::tool(format!("{} is not on PATH", install::QEMU)))?;

    let image = new.join(KVM.image);
    let failed = |error: io::Error| cannot(&image, &error);
    let mut archive = Archive::new(BufWriter::new(File::create(&image).map_err(failed)?));
    for folder in ["proc", "sys", "dev", "tmp"] {
        archive.folder(Path::new(folder)).map_err(failed)?;
    }
    let mut shells = ["bin/busybox", "usr/bin/busybox"].into_iter().map(|path| unpacked.join(path));
    let busybox = shells.find(|path| path.is_file()).ok_or_else(|| missing("busybox"))?;
    let mut add = |to: &str, from: &Path| {
        let content = fs::read(from).map_err(|error| cannot(from, &error))?;
        archive.file(Path::new(to), &content).map_err(failed)
    };
    add("bin/busybox", &busybox)?;
    for (number, module) in MODULES.iter().enumerate() {
        let path = find(&format!("{module}.ko")).or_else(|| find(&format!("{module}.ko.xz")));
        let path = plain(path.ok_or_else(|| missing(module))?)?;
        // In order, so that the shell's list is the right one.
        add(&format!("modules/{number}-{module}.ko"), &path)?;
    }
    add("bin/qemu", &qemu)?;
    for library in libraries(&qemu)? {
        add(&library, Path::new(&library))?;
    }
    let folders = firmware_folders(&qemu)?;
    for name in FIRMWARE {
        let paths = folders.iter().map(|folder| Path::new(folder).join(name));
        let path = paths.into_iter().find(|path| path.exists());
        let path = path.ok_or_else(|| Failure::tool(format!("{} has no {name}", qemu.shown())))?;
        add(&format!("firmware/{name}"), &path)?;
    }
    io::Write::flush(&mut archive.finish().map_err(failed)?).map_err(failed)?;
    let qemu = fs::canonicalize(&qemu).map_err(|error| cannot(&qemu, &error))?;
    Ok(vec![LINUX.into(), qemu])
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(drop).map_err(|error| cannot(from, &error))
}

/// A file below the folder whose name is right.
fn find_below(folder: &Path, is_right: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        if kind.is_dir() {
            if let Some(found) = find_below(&path, is_right) {
                return Some(found);
            }
        } else if kind.is_file() && path.file_name().and_then(OsStr::to_str).is_some_and(is_right) {
            return Some(path);
        }
    }
    None
}

/// The module, unpacked if it was packed.
fn plain(module: PathBuf) -> Result<PathBuf, Failure> {
    if module.extension() != Some("xz".as_ref()) {
        return Ok(module);
    }
    must(&run(Command::new("xz").arg("-d").arg(&module), LIMIT)?, "xz")?;
    Ok(module.with_extension(""))
}

/// The paths of the libraries that a program is linked with, and of what loads them.
fn libraries(program: &Path) -> Result<Vec<String>, Failure> {
    let outcome = run(Command::new("ldd").arg(program), LIMIT)?;
    must(&outcome, "ldd")?;
    Ok(library_paths(&String::from_utf8_lossy(&outcome.stdout)))
}

/// Lines of ldd: `name => /path (address)` or `/path (address)`; those without a file have no path.
fn library_paths(listing: &str) -> Vec<String> {
    let path = |line: &str| {
        let found = line.split_once(" => ").map_or(line, |(_, path)| path).trim();
        found.starts_with('/').then(|| found.split(" (").next().unwrap_or(found).to_owned())
    };
    listing.lines().filter_map(path).collect()
}

/// Where QEMU looks for firmware, one folder a line.
fn firmware_folders(qemu: &Path) -> Result<Vec<String>, Failure> {
    let outcome = run(Command::new(qemu).args(["-L", "help"]), LIMIT)?;
    must(&outcome, "qemu -L help")?;
    Ok(String::from_utf8_lossy(&outcome.stdout).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_with_and_without_names() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibfdt.so.1 => /lib/x/libfdt.so.1 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibgone.so => not found\n";
        assert_eq!(library_paths(listing), ["/lib/x/libfdt.so.1", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
