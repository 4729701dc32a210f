//! A linked executable: an [`Object`] with segments to load, and its entry points.

use std::ops::Deref;

use object::elf;

use crate::elf::{Note, Object, ObjectKind};
use crate::error::{Error, Problem};
use crate::names;
use crate::wants::Wants;

/// XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h).
pub const XEN_PHYS32_ENTRY: u32 = 18;

/// A linked executable. All an [`Object`] can do it can do as well.
pub struct Image<'data> {
    object: Object<'data>,
    notes: Vec<Note<'data>>,
}

impl<'data> Image<'data> {
    /// Takes an object that is linked and has something to load for an image.
    pub fn new(object: Object<'data>) -> Result<Self, Error> {
        if object.kind == ObjectKind::Relocatable {
            return Err(object.error(None, Problem::NotLinked));
        }
        let notes = object.notes();
        Ok(Self { object, notes })
    }

    /// Its notes, read once.
    pub fn notes(&self) -> &[Note<'data>] {
        &self.notes
    }

    /// The note of this owner and kind.
    pub fn note(&self, owner: &str, kind: u32) -> Option<&Note<'data>> {
        self.notes.iter().find(|note| note.owner == owner.as_bytes() && note.kind == kind)
    }

    /// The devices that it asks for.
    pub fn wants(&self) -> Wants {
        Wants::of(&self.notes)
    }

    /// The program that is to run it, if it is a program for an operating system (`PT_INTERP`).
    pub fn interpreter(&self) -> Option<String> {
        let segment = self.object.segments.iter().find(|s| s.kind == elf::PT_INTERP.0)?;
        let name = segment.data.strip_suffix(b"\0").unwrap_or(segment.data);
        Some(names::shown(&names::text(name)))
    }

    /// The physical address at which PVH loaders enter it, if it has the note for them.
    pub fn pvh_entry(&self) -> Option<u64> {
        let content = self.note("Xen", XEN_PHYS32_ENTRY)?.content;
        match content.len() {
            4 => content.first_chunk().map(|bytes| u32::from_le_bytes(*bytes).into()),
            8 => content.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
            _ => None,
        }
    }

    /// Where the code sees what a loader puts at a physical address.
    pub fn virtual_of(&self, physical: u64) -> Option<u64> {
        let segments = self.object.segments.iter().filter(|s| s.is_loaded());
        segments.into_iter().find_map(|segment| {
            let offset = physical.checked_sub(segment.physical)?;
            (offset < segment.size).then(|| segment.address.wrapping_add(offset))
        })
    }

    /// Whether it has a symbol table: without one there are no names and no functions.
    pub fn has_symbols(&self) -> bool {
        self.object.symbols().len() > 1
    }
}

impl<'data> Deref for Image<'data> {
    type Target = Object<'data>;

    fn deref(&self) -> &Object<'data> {
        &self.object
    }
}
