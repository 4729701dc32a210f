//! Half-written files and folders, which are removed when the tool ends early.
//!
//! Until a file is complete it has a temporary name, and that name is on a list. The list lies in memory that the
//! [`guard`](crate::guard) shares: however the worker is ended, by SIGKILL too, the guard removes the files on the list. A
//! worker that loses its guard removes them itself, in a signal handler.
//!
//! No other process uses these names, so removing a file late does no harm.

use std::ffi::{OsStr, c_char};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

/// How many things can be half made at once: a folder, a file in it, and some to spare.
const SLOTS: usize = 16;

/// Linux's PATH_MAX, the zero included.
const LONGEST: usize = 4096;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const LISTED: u8 = 2;

/// A path that ends in zero. Written between `TAKEN` and `LISTED`, by who took it; read while `LISTED`.
struct Slot {
    state: AtomicU8,
    path: [AtomicU8; LONGEST],
}

type List = [Slot; SLOTS];

impl Slot {
    /// While it is listed: a path that ends in zero.
    fn path(&self) -> *const c_char {
        self.path.as_ptr().cast()
    }
}

/// Null until there is one, or if there is no memory for it: then nothing is listed.
static LIST: AtomicPtr<List> = AtomicPtr::new(ptr::null_mut());

/// Makes the list; whoever is forked from now on shares it.
pub fn share() {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANON);
    // SAFETY: new memory, of no file and at no address of ours.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size_of::<List>(), access, kind, -1, 0) };
    if memory != libc::MAP_FAILED {
        LIST.store(memory.cast(), Ordering::Release);
    }
}

fn list() -> &'static [Slot] {
    // SAFETY: null, or memory that is never given back, of the right size and aligned to a page. Its bytes begin as
    // zeros, which are `Slot`s, and are atomic, so that two processes may use them.
    unsafe { LIST.load(Ordering::Acquire).as_ref() }.map_or(&[], |list| list)
}

/// Something that is half made. Dropped, it is removed.
pub struct Unfinished {
    path: PathBuf,
    slot: Option<&'static Slot>,
}

impl Unfinished {
    /// Puts a path on the list; what is to be there is not made yet.
    fn at(path: PathBuf) -> Self {
        let bytes = path.as_os_str().as_bytes();
        // What is longer cannot be made.
        let fits = bytes.len() < LONGEST;
        let take = |slot: &&Slot| {
            let order = Ordering::Acquire;
            slot.state.compare_exchange(FREE, TAKEN, order, Ordering::Relaxed).is_ok()
        };
        let slot = fits.then(|| list().iter().find(take)).flatten();
        if let Some(slot) = slot {
            for (to, &from) in slot.path.iter().zip(bytes.iter().chain(&[0])) {
                to.store(from, Ordering::Relaxed);
            }
            slot.state.store(LISTED, Ordering::Release);
        }
        Self { path, slot }
    }

    /// A new name in a folder, listed; `make` makes what it is for. The folder's path may be relative.
    fn made<T>(
        folder: &Path,
        mut make: impl FnMut(&Path) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = std::path::absolute(folder)?;
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".freestone-{}-{number}", std::process::id());
            let new = Self::at(folder.join(name));
            match make(&new.path) {
                Ok(made) => return Ok((new, made)),
                // Of one who had our number before us and was killed with its guard: not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => new.forget(),
                Err(error) => return Err(error),
            }
        }
    }

    /// A new file in a folder, open for reading and writing, with the permissions `mode` as far as the user's mask
    /// allows them.
    pub fn file_in(folder: &Path, mode: u32) -> io::Result<(Self, File)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode);
        Self::made(folder, |path| options.open(path))
    }

    /// A new folder in a folder, which is made too if it is not there.
    pub fn folder_in(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self::made(folder, |path| fs::create_dir(path))?.0)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is whole: gives it its name.
    pub fn rename(self, name: &Path) -> io::Result<()> {
        fs::rename(&self.path, name)?;
        self.forget();
        Ok(())
    }

    fn forget(mut self) {
        self.free();
        std::mem::forget(self);
    }

    fn free(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.state.store(FREE, Ordering::Release);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        remove(&self.path);
        self.free();
    }
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}

fn listed() -> impl Iterator<Item = &'static Slot> {
    list().iter().filter(|slot| slot.state.load(Ordering::Acquire) == LISTED)
}

/// Removes the listed files. May be called from a handler of signals.
pub fn remove_files() {
    for slot in listed() {
        // A folder is for the guard.
        let _ = unlink(slot);
    }
}

/// Removes all that is listed. May be called from a handler of signals: folders are another program's work, as to look
/// through one allocates.
pub fn remove_from_handler() {
    for slot in listed().filter(|slot| unlink(slot) == Err(libc::EISDIR)) {
        let words = [c"rm".as_ptr(), c"-rf".as_ptr(), c"--".as_ptr(), slot.path(), ptr::null()];
        // SAFETY: the child does nothing but to become another program, of words that end in zero and a list of them that
        // ends in null; or it ends.
        unsafe {
            let id = libc::fork();
            if id == 0 {
                libc::execv(c"/bin/rm".as_ptr(), words.as_ptr());
                libc::_exit(127);
            }
            libc::waitpid(id, ptr::null_mut(), 0);
        }
    }
}

/// Why it cannot be, as the system's number.
fn unlink(slot: &Slot) -> Result<(), i32> {
    // SAFETY: a path that ends in zero.
    match unsafe { libc::unlink(slot.path()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// Removes all that is listed: for the guard, when the worker has ended.
pub fn remove_all() {
    for slot in listed() {
        let bytes = slot.path.iter().map(|byte| byte.load(Ordering::Relaxed));
        let path: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        remove(Path::new(OsStr::from_bytes(&path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("freestone-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_is_dropped_goes_and_what_is_renamed_stays() {
        let folder = scratch("unfinished");
        let left = || fs::read_dir(&folder).unwrap().count();
        let inner = Unfinished::folder_in(&folder).unwrap();
        fs::write(inner.path().join("f"), "").unwrap();
        let (file, _) = Unfinished::file_in(&folder, 0o600).unwrap();
        assert_eq!(left(), 2);
        drop((inner, file));
        assert_eq!(left(), 0);
        let (file, _) = Unfinished::file_in(&folder, 0o600).unwrap();
        file.rename(&folder.join("whole")).unwrap();
        assert!(folder.join("whole").exists());
        assert_eq!(left(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_ones_leftover_is_left() {
        let folder = scratch("leftover");
        let (first, _) = Unfinished::file_in(&folder, 0o600).unwrap();
        let number: u32 =
            first.path().to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
        // Of the names that come next, whatever other tests take in between.
        for next in number + 1..number + 100 {
            let name = format!(".freestone-{}-{next}", std::process::id());
            fs::write(folder.join(name), "theirs").unwrap();
        }
        let (second, _) = Unfinished::file_in(&folder, 0o600).unwrap();
        drop((first, second));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 99);
        fs::remove_dir_all(folder).unwrap();
    }
}
