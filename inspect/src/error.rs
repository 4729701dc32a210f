//! The one error type of this crate: file, member, offset, and what is wrong.

use std::fmt;
use std::io;

/// Why a file, or a part of it, could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file's name, as it was given.
    pub file: String,
    /// The archive member, if it is about one.
    pub member: Option<String>,
    /// Where in the file (in the member, if there is one) the broken part is said to be.
    pub offset: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The operating system could not read it.
    Io(io::ErrorKind),
    /// Not a regular file.
    NotAFile,
    /// Nothing is in it.
    Empty,
    /// More than [`File::LARGEST`](crate::File::LARGEST) bytes.
    TooLarge,
    /// Neither ELF nor an archive.
    NotElf,
    /// An archive where one object or image was expected.
    IsArchive,
    /// One object or image where an archive was expected.
    NotArchive,
    /// An archive that names its members instead of holding them.
    ThinArchive,
    /// An object file that was not linked, or a library, where an executable was expected.
    NotLinked,
    /// The part named here is cut off, contradicts itself, or points outside the file.
    Malformed(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "{kind}"),
            Self::NotAFile => f.write_str("this is not a regular file"),
            Self::Empty => f.write_str("the file is empty"),
            Self::TooLarge => f.write_str("the file is too large to be a kernel or a library"),
            Self::NotElf => f.write_str("this is neither an ELF file nor an archive"),
            Self::IsArchive => f.write_str("this is an archive; name what was linked from it"),
            Self::NotArchive => f.write_str("this is not an archive"),
            Self::ThinArchive => {
                f.write_str("this is a thin archive, which only names its members; make a full one")
            }
            Self::NotLinked => f.write_str("this file is not a linked executable"),
            Self::Malformed(part) => write!(f, "{part}: cut off or broken"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(member) = &self.member {
            write!(f, "({member})")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset:#x}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for Error {}
