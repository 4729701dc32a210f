//! What is in a kernel image, an object file or an archive.
//!
//! A [`File`] is read once; an [`Archive`], an [`Object`] or an [`Image`] is a view of it:
//!
//! - [`elf`]: sections, segments, notes, relocations
//! - [`symbols`]: defined and undefined symbols, and the objects that refer to each
//! - [`functions`]: the functions of a file, and the bytes of each
//! - [`disassembly`]: what machine code does, for x86_64
//! - [`contract`]: the symbols that a kernel must provide, and the crate that has each
//! - [`program`]: an image's functions and their graph of calls; [`stack`]: the depth of the stack
//! - [`rules`]: what can be wrong with an image
//! - [`wants`]: the devices that an image asks for
//! - [`size`]: what its bytes are spent on
//! - [`libcalls`]: the functions that compilers call on their own
//! - [`names`]: demangling, and the crate that a name belongs to
//!
//! Files are not trusted: every offset and every length in them is checked. An invalid one is an [`Error`] that names the
//! file, the member and the offset, never a panic. There is no `unsafe` here.
//!
//! ```no_run
//! let library = freestone_inspect::File::open("libcore.rlib")?;
//! let mut table = freestone_inspect::symbols::Table::new();
//! table.add(&library)?;
//! for (name, users) in table.missing() {
//!     println!("{name}: wanted by {} objects", users.len());
//! }
//! for object in library.objects()? {
//!     for function in object?.functions() {
//!         println!("{:#x} {} ({} bytes)", function.address, function.name, function.code.len());
//!     }
//! }
//! # Ok::<(), freestone_inspect::Error>(())
//! ```
#![forbid(unsafe_code)]
// Numbers come from files: a sum that could overflow is one that says what happens then.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod archive;
pub mod contract;
pub mod disassembly;
pub mod elf;
mod error;
mod file;
pub mod functions;
mod image;
pub mod libcalls;
mod mangled;
pub mod names;
pub mod program;
pub mod rules;
pub mod size;
pub mod stack;
pub mod symbol;
pub mod symbols;
pub mod wants;

pub use archive::{Archive, Member, Objects};
pub use elf::{Machine, Object, ObjectKind};
pub use error::{Error, Problem};
pub use file::{File, Kind};
pub use functions::Function;
pub use image::Image;
pub use program::Program;
pub use symbol::Symbol;

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
