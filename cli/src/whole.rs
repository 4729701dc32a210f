//! Writes files so that each is complete or absent; a file that it replaces stays until the new one is complete.
//!
//! | what is at the path | what happens |
//! |---|---|
//! | nothing | a file is written beside it and renamed |
//! | a file | the same; permissions stay, and the owner if the system lets us. Hard links keep the old file |
//! | a link | the same with what it leads to; the link stays |
//! | a device, a FIFO, `/dev/stdout` and the like | it is written as it is, and nothing else about it changes |
//!
//! A file that may not be written is not replaced either, though its folder would allow that.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::unfinished::Unfinished;

/// As many links one after the other as Linux follows.
const MOST_LINKS: usize = 40;

/// What of a file's mode another one may have: not to run as its owner.
const PERMISSIONS: u32 = 0o777;

/// Where a file is to be.
pub struct Destination {
    path: PathBuf,
    /// What is there.
    old: Option<Metadata>,
    /// What is to have its name. Without that it is written as it is.
    new: Option<(Unfinished, File)>,
}

/// Writes a file.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    Destination::new(path)?.write(bytes.as_ref(), None)
}

impl Destination {
    /// Looks whether a file can be written there, and leaves nothing behind if it then is not.
    pub fn new(path: &Path) -> io::Result<Self> {
        let (path, is_open_file) = followed(path)?;
        let old = match fs::metadata(&path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if old.as_ref().is_some_and(Metadata::is_dir) {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let is_file = old.as_ref().is_none_or(Metadata::is_file);
        if is_open_file || !is_file {
            return Ok(Self { path, old, new: None });
        }
        if old.is_some() {
            match File::options().write(true).open(&path) {
                // A program that runs keeps the file that it runs from.
                Err(error) if error.kind() != io::ErrorKind::ExecutableFileBusy => {
                    return Err(error);
                }
                _ => {}
            }
        }
        // Nobody is to read in between what the old one's mode keeps from them.
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        let folder = path.parent().unwrap_or(&path);
        let new = Unfinished::file_in(folder, mode).map_err(beside)?;
        Ok(Self { path, old, new: Some(new) })
    }

    /// Writes it. A file that was not there gets `permissions`, if they are given.
    pub fn write(self, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
        let Some((new, mut file)) = self.new else {
            // What is open has an end, to which somebody else may have written.
            let append = self.old.is_some_and(|old| old.is_file());
            let mut file = File::options().write(true).append(append).open(&self.path)?;
            return file.write_all(bytes);
        };
        file.write_all(bytes)?;
        let permissions = self.old.as_ref().map(Metadata::permissions).or(permissions);
        if let Some(old) = &self.old {
            // Root alone can give files away; who cannot has a file of their own.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        if let Some(permissions) = permissions {
            file.set_permissions(Permissions::from_mode(permissions.mode() & PERMISSIONS))?;
        }
        new.rename(&self.path)
    }
}

fn beside(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("no file can be made beside it: {error}"))
}

/// Where links lead, and whether that is a file which is open already: those in /proc lead to the file itself, whatever
/// its name is now.
fn followed(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|about| about.is_symlink()) {
            return Ok((path, false));
        }
        let folder = fs::canonicalize(path.parent().unwrap_or(&path))?;
        if folder.starts_with("/proc") {
            return Ok((path, true));
        }
        path = folder.join(fs::read_link(&path)?);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("freestone-whole-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn permissions_stay_and_new_files_get_those_asked_for() {
        let folder = Folder::new("mode");
        let path = folder.0.join("f");
        let new = Destination::new(&path).unwrap();
        new.write(b"one", Some(Permissions::from_mode(0o751))).unwrap();
        assert_eq!(mode(&path), 0o751);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let other = Destination::new(&path).unwrap();
        other.write(b"two", Some(Permissions::from_mode(0o777))).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap().as_slice()), (0o640, &b"two"[..]));
        assert_eq!(folder.names(), ["f"]);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = Folder::new("link");
        let at = |name| folder.0.join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/real"), "old").unwrap();
        symlink("d/real", at("second")).unwrap();
        symlink("second", at("first")).unwrap();
        symlink("d/made", at("dangling")).unwrap();
        symlink("round", at("round")).unwrap();
        write(&at("first"), "new").unwrap();
        write(&at("dangling"), "made").unwrap();
        assert_eq!(fs::read_to_string(at("d/real")).unwrap(), "new");
        assert_eq!(fs::read_to_string(at("d/made")).unwrap(), "made");
        for link in ["first", "second", "dangling"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        }
        assert!(write(&at("round"), "").is_err());
        assert_eq!(folder.names(), ["d", "dangling", "first", "round", "second"]);
    }

    #[test]
    fn a_destination_that_is_not_used_leaves_what_was() {
        let folder = Folder::new("unused");
        let (old, new) = (folder.0.join("old"), folder.0.join("new"));
        fs::write(&old, "kept").unwrap();
        drop((Destination::new(&old).unwrap(), Destination::new(&new).unwrap()));
        assert_eq!(fs::read_to_string(&old).unwrap(), "kept");
        assert_eq!(folder.names(), ["old"]);
        assert!(write(&folder.0, "").is_err());
    }

    #[test]
    fn names_as_long_as_they_can_be_are_written() {
        let folder = Folder::new("long");
        let name = "n".repeat(255);
        write(&folder.0.join(&name), "x").unwrap();
        assert_eq!(folder.names(), [name]);
        assert!(write(&folder.0.join("n".repeat(256)), "x").is_err());
        assert_eq!(folder.names().len(), 1);
    }

    #[test]
    fn what_is_no_file_is_written_as_it_is() {
        write(Path::new("/dev/null"), "x").unwrap();
        let error = write(Path::new("/dev/full"), "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // A file that is open already, by a link in /proc: behind what is in it.
        let folder = Folder::new("open");
        let path = folder.0.join("f");
        fs::write(&path, "before ").unwrap();
        let open = File::options().append(true).open(&path).unwrap();
        use std::os::fd::AsRawFd;
        write(Path::new(&format!("/dev/fd/{}", open.as_raw_fd())), "behind").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before behind");
    }
}
