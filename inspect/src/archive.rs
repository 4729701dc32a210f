//! Archives: `.a` files and Rust's `.rlib`.
//!
//! An rlib is an `ar` archive whose first member, `lib.rmeta`, holds what the compiler wants to know;
//! the others are objects. Members that are not ELF, such as LLVM bitcode, are passed over.

use object::read::archive::{ArchiveFile, ArchiveMemberIterator};

use crate::elf::Object;
use crate::error::{Error, Problem};
use crate::names;

/// The compiler's own member of an rlib; in newer toolchains it looks like an object.
const METADATA: &str = "lib.rmeta";

/// No file system has longer names.
const LONGEST_NAME: usize = 255;

/// An archive.
#[derive(Clone)]
pub struct Archive<'data> {
    name: &'data str,
    bytes: &'data [u8],
    archive: ArchiveFile<'data>,
}

/// One file in an archive.
#[derive(Clone, Debug)]
pub struct Member<'data> {
    /// Its name.
    pub name: String,
    /// Where its content begins in the archive.
    pub offset: u64,
    /// Its content.
    pub bytes: &'data [u8],
}

impl<'data> Archive<'data> {
    pub(crate) fn parse(name: &'data str, bytes: &'data [u8]) -> Result<Self, Error> {
        let archive = ArchiveFile::parse(bytes)
            .map_err(|_| malformed(name, None, Some(0), "the archive's header"))?;
        if archive.is_thin() {
            return Err(Error {
                file: name.into(),
                member: None,
                offset: None,
                problem: Problem::ThinArchive,
            });
        }
        Ok(Self { name, bytes, archive })
    }

    /// The file's name.
    pub fn name(&self) -> &'data str {
        self.name
    }

    /// Every member, in order. The first broken one ends it: what follows cannot be found.
    pub fn members(&self) -> impl Iterator<Item = Result<Member<'data>, Error>> + use<'data> {
        Members { name: self.name, bytes: self.bytes, members: self.archive.members() }
    }

    /// Every member that is an ELF object, parsed when the iterator gets to it.
    pub fn objects(&self) -> Objects<'data> {
        let members =
            Members { name: self.name, bytes: self.bytes, members: self.archive.members() };
        Objects(Source::Archive(members))
    }
}

struct Members<'data> {
    name: &'data str,
    bytes: &'data [u8],
    members: ArchiveMemberIterator<'data>,
}

impl<'data> Iterator for Members<'data> {
    type Item = Result<Member<'data>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Ok(member) = self.members.next()? else {
            return Some(Err(malformed(self.name, None, None, "an archive member's header")));
        };
        let offset = member.file_range().0;
        // Members may share a name of megabytes, and everything that they define is listed with it.
        if member.name().len() > LONGEST_NAME {
            return Some(Err(malformed(self.name, None, Some(offset), "an archive member's name")));
        }
        let name = names::text(member.name()).into_owned();
        Some(match member.data(self.bytes) {
            Ok(bytes) => Ok(Member { name, offset, bytes }),
            Err(_) => Err(malformed(self.name, Some(name), Some(offset), "the member's content")),
        })
    }
}

/// An iterator over objects: see [`File::objects`](crate::File::objects).
pub struct Objects<'data>(Source<'data>);

enum Source<'data> {
    Archive(Members<'data>),
    One(Option<Result<Box<Object<'data>>, Error>>),
}

impl<'data> Objects<'data> {
    pub(crate) fn one(object: Result<Object<'data>, Error>) -> Self {
        Self(Source::One(Some(object.map(Box::new))))
    }
}

impl<'data> Iterator for Objects<'data> {
    type Item = Result<Object<'data>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let members = match &mut self.0 {
            Source::One(object) => return Some(object.take()?.map(|object| *object)),
            Source::Archive(members) => members,
        };
        loop {
            match members.next()? {
                Ok(member) if is_object(&member) => {
                    let file = members.name;
                    return Some(Object::parse(file, Some(member.name), member.bytes));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn is_object(member: &Member<'_>) -> bool {
    member.name != METADATA && member.bytes.starts_with(b"\x7fELF")
}

fn malformed(file: &str, member: Option<String>, offset: Option<u64>, part: &'static str) -> Error {
    Error { file: file.into(), member, offset, problem: Problem::Malformed(part) }
}
