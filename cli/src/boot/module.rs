//! A file that the loader puts into memory beside the kernel, which finds it by `BootInfo::modules`.
//!
//! There is one: QEMU's PVH loader and Xen's first guest take no more. Several files go into an archive, whose form is a matter
//! of the kernel's.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Arg, value_parser};

use crate::foreign::Shown as _;
use crate::status::Failure;

pub fn module() -> Arg {
    Arg::new("module")
        .long("module")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Load this file beside the kernel, which finds it by BootInfo::modules")
}

/// Refuses what cannot be loaded, with what to do.
pub fn check(path: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::usage(format!("--module {}: {why}", path.shown()));
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    let about = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("there is no such file"),
        _ => refuse(&error.to_string()),
    })?;
    if about.is_dir() {
        return Err(refuse(
            "this is a directory; put its files into an archive that the kernel reads",
        ));
    }
    if !about.is_file() {
        return Err(refuse("this is not a regular file; a module is one"));
    }
    if about.len() == 0 {
        return Err(refuse("this file is empty, and loaders leave out what is"));
    }
    let opened = File::open(path);
    opened.map(drop).map_err(|error| refuse(&format!("it cannot be read: {error}")))
}

/// Refuses a module that the machine has no room for.
pub fn must_fit(path: Option<&Path>, memory_mib: u32) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let bytes = fs::metadata(path).map_or(0, |about| about.len());
    // The kernel needs some, too, and says itself if that is not enough.
    if bytes < u64::from(memory_mib) << 20 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--module {}: this file has {bytes} bytes, and the machine {memory_mib} MiB of memory; -m gives it more",
        path.shown()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_loaded_is_refused() {
        let refused = |path: &Path| check(path).expect_err("refused").message;
        assert!(refused(Path::new("/nonexistent")).ends_with("there is no such file"));
        assert!(refused(Path::new("/")).contains("this is a directory"));
        assert!(refused(Path::new("/dev/null")).contains("not a regular file"));
        let path = std::env::temp_dir().join(format!("freestone-module-{}", std::process::id()));
        fs::write(&path, "").expect("a file");
        assert!(refused(&path).contains("this file is empty"));
        fs::write(&path, vec![0; 1 << 20]).expect("a file");
        let small = must_fit(Some(&path), 1).map_err(|failure| failure.message);
        let good = (check(&path).is_ok(), must_fit(Some(&path), 2).is_ok());
        fs::remove_file(&path).expect("it is there");
        assert_eq!(good, (true, true));
        assert!(
            small.is_err_and(|why| why.ends_with("the machine 1 MiB of memory; -m gives it more"))
        );
    }
}
