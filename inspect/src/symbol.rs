//! A symbol, and what its parts mean.

use std::borrow::Cow;

use object::elf;

use crate::names;

/// How a symbol meets others of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// Not visible outside its object.
    Local,
    /// One per program.
    Global,
    /// Gives way to a global one; undefined, it may stay so.
    Weak,
    /// GNU's `STB_GNU_UNIQUE` and others.
    Other,
}

/// The scope of a symbol that is not local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everyone.
    Default,
    /// The program or library it is linked into.
    Hidden,
    /// Everyone, but its own library always uses this one.
    Protected,
    /// As hidden.
    Internal,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// Code; also if it is chosen at run time (`STT_GNU_IFUNC`).
    Function,
    /// A variable or constant.
    Object,
    /// A thread's own variable.
    ThreadLocal,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Not said; assembly usually does not.
    Untyped,
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nowhere: another object has to define it.
    Undefined,
    /// Among code.
    Text,
    /// Among constants.
    ReadOnly,
    /// Among variables.
    Data,
    /// Among variables that begin as zero.
    Zeroed,
    /// Among a thread's own variables.
    ThreadLocal,
    /// It is a number, not a place.
    Absolute,
    /// The linker makes room for it (`SHN_COMMON`).
    Common,
    /// In something that is not loaded.
    Other,
}

/// A symbol.
#[derive(Clone, Debug)]
pub struct Symbol<'data> {
    /// Its name, mangled as in the file.
    pub name: Cow<'data, str>,
    /// How it meets others of its name.
    pub binding: Binding,
    /// Its scope.
    pub visibility: Visibility,
    /// What it names.
    pub kind: SymbolKind,
    /// Where it is.
    pub place: Place,
    /// The index of its section in [`Object::sections`](crate::elf::Object::sections).
    pub section: Option<usize>,
    /// Its address; before linking, counted from the start of its section.
    pub address: u64,
    /// How many bytes it names; 0: not said.
    pub size: u64,
}

impl Symbol<'_> {
    /// Whether another object has to define it.
    pub fn is_undefined(&self) -> bool {
        self.place == Place::Undefined && !self.name.is_empty()
    }

    /// Whether other objects can be linked to it.
    pub fn is_provided(&self) -> bool {
        let is_named_thing = !matches!(self.kind, SymbolKind::Section | SymbolKind::File);
        self.place != Place::Undefined
            && self.binding != Binding::Local
            && is_named_thing
            && !self.name.is_empty()
    }

    /// Its name as people write it.
    pub fn demangled(&self) -> Cow<'_, str> {
        names::demangled(&self.name)
    }
}

impl Binding {
    pub(crate) fn from_elf(binding: elf::SymbolBind) -> Self {
        match binding {
            elf::STB_LOCAL => Self::Local,
            elf::STB_GLOBAL => Self::Global,
            elf::STB_WEAK => Self::Weak,
            _ => Self::Other,
        }
    }

    /// Smaller for what is more of a public name.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Global | Self::Other => 0,
            Self::Weak => 1,
            Self::Local => 2,
        }
    }
}

impl Visibility {
    pub(crate) fn from_elf(visibility: elf::SymbolVisibility) -> Self {
        match visibility {
            elf::STV_HIDDEN => Self::Hidden,
            elf::STV_PROTECTED => Self::Protected,
            elf::STV_INTERNAL => Self::Internal,
            _ => Self::Default,
        }
    }
}

impl SymbolKind {
    pub(crate) fn from_elf(kind: elf::SymbolType) -> Self {
        match kind {
            elf::STT_FUNC | elf::STT_GNU_IFUNC => Self::Function,
            elf::STT_OBJECT | elf::STT_COMMON => Self::Object,
            elf::STT_TLS => Self::ThreadLocal,
            elf::STT_SECTION => Self::Section,
            elf::STT_FILE => Self::File,
            _ => Self::Untyped,
        }
    }
}
