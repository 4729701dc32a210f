//! A file in memory: an archive, an object or an image, not yet parsed.
//!
//! It never takes more memory than the file's size. Debug information, nine bytes in ten of a large kernel, is not used here
//! and not read: its place in the buffer stays untouched zero pages.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use object::read::{ReadCache, ReadRef};
use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use crate::archive::{Archive, Objects};
use crate::elf::Object;
use crate::error::{Error, Problem};
use crate::image::Image;
use crate::names;

/// From this size on it pays to look for what need not be read.
const SKIP_FROM: u64 = 32 << 20;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ar`, which `.a` and `.rlib` files are.
    Archive,
    /// ELF: an object, a library or an executable.
    Elf,
}

/// A file's name and content. Everything else borrows from it.
pub struct File {
    name: String,
    bytes: Vec<u8>,
}

impl File {
    /// Larger files are refused.
    pub const LARGEST: u64 = 2 << 30;

    /// Reads a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name = names::text(path.as_os_str().as_encoded_bytes()).into_owned();
        let fail = |problem| Error { file: name.clone(), member: None, offset: None, problem };
        let io = |error: io::Error| fail(Problem::Io(error.kind()));
        // Looked at before it is opened: opening a FIFO would wait for its writer.
        let about = fs::metadata(path).map_err(io)?;
        if !about.is_file() {
            return Err(fail(Problem::NotAFile));
        }
        if about.len() > Self::LARGEST {
            return Err(fail(Problem::TooLarge));
        }
        let mut file = fs::File::open(path).map_err(io)?;
        let bytes = if about.len() < SKIP_FROM {
            let mut bytes = Vec::new();
            file.take(SKIP_FROM).read_to_end(&mut bytes).map_err(io)?;
            bytes
        } else {
            let skipped = debugging_information(&file);
            read_except(&mut file, about.len(), &skipped).map_err(io)?
        };
        Self::from_bytes(name.clone(), bytes)
    }

    /// Takes bytes for a file; `name` is what errors call it.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Error> {
        let file = Self { name: name.into(), bytes };
        if file.bytes.is_empty() {
            return Err(file.error(Problem::Empty));
        }
        Ok(file)
    }

    /// The name it was opened with, as it can be shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its content. Large files have zeroes where debugging information was.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is, by its first bytes.
    pub fn kind(&self) -> Result<Kind, Error> {
        match self.bytes.as_slice() {
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', ..] => Ok(Kind::Archive),
            [b'!', b'<', b't', b'h', b'i', b'n', b'>', b'\n', ..] => {
                Err(self.error(Problem::ThinArchive))
            }
            [0x7f, b'E', b'L', b'F', ..] => Ok(Kind::Elf),
            _ => Err(self.error(Problem::NotElf)),
        }
    }

    /// The archive that it is.
    pub fn archive(&self) -> Result<Archive<'_>, Error> {
        match self.kind()? {
            Kind::Archive => Archive::parse(&self.name, &self.bytes),
            Kind::Elf => Err(self.error(Problem::NotArchive)),
        }
    }

    /// The one ELF file that it is, linked or not.
    pub fn object(&self) -> Result<Object<'_>, Error> {
        match self.kind()? {
            Kind::Archive => Err(self.error(Problem::IsArchive)),
            Kind::Elf => Object::parse(&self.name, None, &self.bytes),
        }
    }

    /// The linked executable that it is.
    pub fn image(&self) -> Result<Image<'_>, Error> {
        Image::new(self.object()?)
    }

    /// Every object in it: an archive's members one by one, or the one that it is. Objects are read
    /// when the iterator gets to them.
    pub fn objects(&self) -> Result<Objects<'_>, Error> {
        Ok(match self.kind()? {
            Kind::Archive => self.archive()?.objects(),
            Kind::Elf => Objects::one(self.object()),
        })
    }

    fn error(&self, problem: Problem) -> Error {
        Error { file: self.name.clone(), member: None, offset: None, problem }
    }
}

/// Where a linked ELF file has sections that are not loaded and whose names say that they are for
/// debuggers, in order. Nothing, if it is anything else: then all of it is read, and errors show.
fn debugging_information(file: &fs::File) -> Vec<Range<u64>> {
    let Ok(copy) = file.try_clone() else { return Vec::new() };
    let cache = ReadCache::new(copy);
    let mut header = [0; 4];
    if let Ok(bytes) = (&cache).read_bytes_at(0, 4) {
        header.copy_from_slice(bytes);
    }
    if header != *b"\x7fELF" {
        return Vec::new();
    }
    let Ok(elf) = object::File::parse(&cache) else { return Vec::new() };
    let is_for_debuggers = |flags, name: &str| {
        let SectionFlags::Elf { sh_flags, .. } = flags else { return false };
        sh_flags.0 & elf::SHF_ALLOC.0 == 0
            && [".debug", ".zdebug", ".rela.debug", ".rel.debug", ".BTF"]
                .iter()
                .any(|start| name.starts_with(start))
    };
    let mut ranges: Vec<_> = elf
        .sections()
        .filter(|section| is_for_debuggers(section.flags(), section.name().unwrap_or("")))
        .filter_map(|section| section.file_range())
        .filter_map(|(start, len)| Some(start..start.checked_add(len)?))
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// Reads `len` bytes but for the `skipped` ranges, which come in order and may overlap. A file that
/// shrinks meanwhile ends in zeroes.
fn read_except(file: &mut fs::File, len: u64, skipped: &[Range<u64>]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let mut at = 0;
    for gap in skipped.iter().cloned().chain(std::iter::once(len..len)) {
        let until = gap.start.clamp(at, len);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes[at as usize..until as usize])?;
        at = gap.end.clamp(until, len);
    }
    Ok(bytes)
}
