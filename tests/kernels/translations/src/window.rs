//! A window of pages, with the expected mapping of each.

use core::ops::Range;

use freestone::memory::{self, Access, Frames, MapError, PAGE_SIZE, PhysAddr, VirtAddr, Zone};

use crate::probe;

/// Two large pages.
pub const PAGES: usize = 1024;

/// The number of the first frame for code; those below are for variables. 2 MiB of it.
pub const CODE: usize = PAGES;

const FRAMES: usize = CODE + PAGES / 2;

/// Where a large page begins.
const START: u64 = 1 << 46;

/// A window, and memory to show in it. Each frame begins with an instruction that returns, and has its number.
pub struct Window {
    frames: Frames,
    pages: [Option<(u16, Access)>; PAGES],
    looks: u64,
}

fn at(page: usize) -> VirtAddr {
    VirtAddr::new(START + page as u64 * PAGE_SIZE)
}

fn len(pages: &Range<usize>) -> u64 {
    pages.len() as u64 * PAGE_SIZE
}

fn mark(frame: usize) -> u64 {
    (frame as u64) << 8 | u64::from(probe::RETURN)
}

impl Window {
    /// Nothing is mapped.
    pub fn new() -> Window {
        let frames = Frames::take_where(FRAMES as u64, 512 * PAGE_SIZE, Zone::Any).expect("6 MiB");
        let words = frames.as_ptr().as_ptr().cast::<u64>();
        let words_per_page = PAGE_SIZE as usize / size_of::<u64>();
        for frame in 0..FRAMES {
            // SAFETY: frames of ours.
            unsafe { words.add(frame * words_per_page).write(mark(frame)) };
        }
        let window = Window { frames, pages: [None; PAGES], looks: 0 };
        // What is to be executed under another address must not be writable under its own.
        // SAFETY: nobody writes there any more.
        unsafe { window.protect_code(Access::Read) };
        window
    }

    /// # Safety
    ///
    /// - What is done with the frames for code at their own address, `access` allows.
    unsafe fn protect_code(&self, access: Access) {
        let own = VirtAddr::new(self.frame(CODE).as_u64());
        // SAFETY: the caller's promise.
        unsafe { memory::protect(own, len(&(CODE..FRAMES)), access) }.expect("rights for code");
    }

    fn frame(&self, number: usize) -> PhysAddr {
        PhysAddr::new(self.frames.start().as_u64() + number as u64 * PAGE_SIZE)
    }

    /// Maps free pages to frames from `frame` on.
    pub fn map(&mut self, pages: Range<usize>, frame: usize, access: Access) {
        let to = self.frame(frame);
        // SAFETY: frames and addresses of ours; the words of frames are written by probes alone, as they were.
        unsafe { memory::map(at(pages.start), to, len(&pages), access) }.expect("a map");
        for (number, page) in pages.enumerate() {
            self.pages[page] = Some(((frame + number) as u16, access));
        }
    }

    /// Unmaps what is mapped of `pages`, after and before a look at everything.
    pub fn unmap(&mut self, pages: Range<usize>) {
        self.look();
        // SAFETY: only probes use these addresses.
        unsafe { memory::unmap(at(pages.start), len(&pages)) }.expect("taken away");
        self.pages[pages].fill(None);
        self.look();
    }

    /// Gives `pages` other rights, if all are mapped and can have them, after and before a look at everything.
    pub fn protect(&mut self, pages: Range<usize>, access: Access) {
        self.look();
        let own = |page: &Option<(u16, Access)>| page.map(|(frame, _)| usize::from(frame) >= CODE);
        let wanted = if self.pages[pages.clone()].iter().any(|page| page.is_none()) {
            Err(MapError::NotMapped)
        } else {
            // Frames for variables are writable under their own address, and frames for code are shown for reading
            // or executing only: if one is executable, none may become writable.
            let has_variables =
                self.pages[pages.clone()].iter().any(|page| own(page) == Some(false));
            match access {
                Access::ReadExecute if has_variables => Err(MapError::Aliased),
                _ => Ok(()),
            }
        };
        // SAFETY: only probes use these addresses.
        let done = unsafe { memory::protect(at(pages.start), len(&pages), access) };
        assert_eq!(done, wanted, "{pages:?} {access:?}");
        if done.is_ok() {
            for (_, old) in self.pages[pages].iter_mut().flatten() {
                *old = access;
            }
        }
        self.look();
    }

    /// Does with each page all that a page can be used for.
    pub fn look(&mut self) {
        for page in 0..PAGES {
            self.look_at(page);
        }
    }

    /// As [`look`](Self::look), for one.
    pub fn look_at(&mut self, page: usize) {
        let start = at(page).as_u64();
        let wanted = self.pages[page];
        let seen = probe::read(start);
        assert_eq!(
            seen,
            wanted.map(|(frame, _)| mark(frame.into())),
            "page {page} shows another frame"
        );
        let value = seen.unwrap_or(mark(0));
        // SAFETY: where a page that is remembered leads, this kernel has put such words; the same one stands there.
        let written = unsafe { probe::write(start, value) };
        let may = |access| wanted.is_some_and(|(_, rights)| rights == access);
        assert_eq!(written, may(Access::ReadWrite), "writing to page {page}, {wanted:?}");
        // SAFETY: each word begins with a return.
        let called = unsafe { probe::call(start) };
        assert_eq!(called, may(Access::ReadExecute), "executing page {page}, {wanted:?}");
        self.looks += 1;
    }

    /// How often a page was looked at.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Changes ranges at random: the same ones on every run.
    pub fn change_at_random(&mut self, rounds: u64) {
        // Knuth's MMIX.
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for _ in 0..rounds {
            let edge = [0, 1, 511, 512, 513][random(5)];
            let start = if random(3) == 0 { random(PAGES) } else { edge };
            let count = if random(2) == 0 { 512 } else { 1 + random(PAGES) };
            let pages = start..(start + count).min(PAGES);
            match random(4) {
                0 => self.unmap(pages),
                1 => self.protect(pages, [Access::Read, Access::ReadExecute][random(2)]),
                2 => {
                    self.unmap(pages.clone());
                    let is_code = pages.len() <= PAGES / 2 && random(2) == 0;
                    let access = if is_code { Access::ReadExecute } else { Access::ReadWrite };
                    let first = if is_code { CODE } else { 0 };
                    // In step with large pages, if it can be.
                    let last = if is_code { FRAMES } else { CODE };
                    let aligned = first + pages.start % 512;
                    let frame = if aligned + pages.len() <= last { aligned } else { first };
                    self.map(pages, frame, access);
                    self.look();
                }
                _ => {
                    self.unmap(pages.clone());
                    // One by one, and used in between.
                    let pages = pages.start..pages.end.min(pages.start + 512);
                    let frame =
                        if pages.start % 512 + pages.len() <= CODE { pages.start % 512 } else { 0 };
                    for (number, page) in pages.enumerate() {
                        self.map(page..page + 1, frame + number, Access::ReadWrite);
                        self.look_at(page);
                    }
                    self.look();
                }
            }
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.unmap(0..PAGES);
        // SAFETY: the code has no other address any more.
        unsafe { self.protect_code(Access::ReadWrite) };
    }
}
