//! What is reported: the misuse, the block, and the places in the program that had to do with it.

use core::alloc::Layout;
use core::fmt;

/// Knows where the code that called the allocator stands.
///
/// What walks over stacks and knows the names of functions is the kernel's; this is how it is asked.
pub trait CallSite {
    /// What stands for that place: an address in it, or the number under which a whole trace is kept. 0 if it is not known. Its
    /// lower 32 bits are what a [`Misuse`] has. Called at every allocation and free.
    fn here() -> usize;
}

/// Nobody knows.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl CallSite for Nowhere {
    #[inline]
    fn here() -> usize {
        0
    }
}

/// What was done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Freed or resized after it had been freed.
    DoubleFree,
    /// No block of this heap: the address lies elsewhere, or is not one that a block could have.
    Foreign,
    /// No block in use: never one, or freed and used again meanwhile, or the bytes in front of it have been overwritten.
    NotLive,
    /// In use, but allocated with another size or alignment.
    WrongLayout,
    /// Bytes behind its end have been overwritten.
    Overflow,
    /// Bytes have been written to after it was freed.
    WriteAfterFree,
}

/// A report, for the hook of [`Checked`](crate::Checked).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Misuse {
    /// What was done wrong.
    pub kind: Kind,
    /// The address that was passed.
    pub address: usize,
    /// The layout that was passed with it; the recorded one where nothing was passed.
    pub given: Layout,
    /// The layout it was allocated with, if that is known.
    pub recorded: Option<Layout>,
    /// Where it was allocated, as [`CallSite::here`] said; 0 if that is not known any more.
    pub allocated: usize,
    /// Where it was freed, of the same kind; 0 if it was not, or that is not known any more.
    pub freed: usize,
    /// Where the misuse was found, of the same kind.
    pub here: usize,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::DoubleFree => "freed twice",
            Kind::Foreign => "not a block of this heap",
            Kind::NotLive => {
                "not the start of a block in use: freed before, a pointer into a block, or the bytes in front \
                 of it are overwritten"
            }
            Kind::WrongLayout => "freed or resized with another layout than it was allocated with",
            Kind::Overflow => "bytes behind its end are overwritten",
            Kind::WriteAfterFree => "written to after it was freed",
        };
        let (address, given) = (self.address, self.given);
        write!(
            f,
            "heap misuse at {address:#x}: {what}; {} bytes, alignment {}",
            given.size(),
            given.align()
        )?;
        if let Some(layout) = self.recorded.filter(|&layout| layout != given) {
            write!(
                f,
                "; it was allocated with {} bytes, alignment {}",
                layout.size(),
                layout.align()
            )?;
        }
        Ok(())
    }
}
