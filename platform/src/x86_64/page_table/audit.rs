//! The audit: a check of every page in the page tables in use.
//!
//! It checks that nothing is writable and executable, under one address or under two; that page 0 and the guard page of every
//! stack are unmapped; and that the processor obeys the bits (CR0.WP, EFER.NXE). The harness calls it after every test, and
//! kernels under test when they end ([`audit_at_exit`]).

use core::fmt::{self, Write as _};

use freestone_rt::console;

use super::super::cpu;
use super::active;
use super::format::{EVERYTHING, Flags, Page, visit};
use crate::exit::{self, Exit};
use crate::memory::address::VirtAddr;
use crate::stacks;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Pages of any size.
    pub pages: u64,
    /// Bytes of them that can be executed.
    pub executable_bytes: u64,
    /// Bytes of them that can be written.
    pub writable_bytes: u64,
}

/// What is wrong with the page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// This page is writable and executable.
    WritableCode(VirtAddr),
    /// The first can be written, and is the same memory as the second, which can be executed.
    WritableAlias(VirtAddr, VirtAddr),
    /// Page 0 is mapped.
    NullPage,
    /// The guard page of this stack is mapped.
    GuardPage(&'static str),
    /// The processor does not obey read-only or no-execute bits.
    NotEnforced,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::WritableCode(at) => write!(f, "the page at {at} is writable and executable"),
            Violation::WritableAlias(at, code) => {
                write!(f, "the code at {code} can be written at {at}")
            }
            Violation::NullPage => f.write_str("page 0 is mapped"),
            Violation::GuardPage(name) => {
                f.write_str("the guard page of this stack is mapped: ")?;
                f.write_str(name)
            }
            Violation::NotEnforced => f.write_str("the processor ignores the pages' rights"),
        }
    }
}

impl core::error::Error for Violation {}

/// Looks at every page of the tables in use.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn audit() -> Result<Audit, Violation> {
    if !cpu::enforces_page_rights() {
        return Err(Violation::NotEnforced);
    }
    // SAFETY: the tables in use, which stay.
    active::look(|root| unsafe { walk(root, &|page| guard_in(page)) })
}

/// Has [`audit`] asked when the kernel ends, however it does. A violation is printed, and a success is none then. What
/// `entry!(main, audit: exit)` calls.
pub fn audit_at_exit() {
    exit::before_exit(|verdict| match (audit(), verdict) {
        (Ok(_), verdict) => verdict,
        (Err(violation), verdict) => {
            // Not by `println!`: where the kernel crashed, somebody may hold its turn.
            let _ = writeln!(console::emergency(), "\nAUDIT AT EXIT: {violation}");
            if verdict == Exit::Success { Exit::Failure } else { verdict }
        }
    });
}

/// What of `page` is a guard page.
fn guard_in(page: &Page) -> Option<&'static str> {
    stacks::guarded(page.at..page.at + page.len).map(|stack| stack.name)
}

/// # Safety
///
/// - As for [`visit`].
unsafe fn walk(
    root: *const u64,
    guard_in: &dyn Fn(&Page) -> Option<&'static str>,
) -> Result<Audit, Violation> {
    let mut sums = Audit::default();
    let mut wrong = None;
    let address = |at: u64| VirtAddr::try_new(at).unwrap_or(VirtAddr::new(0));
    let alias = |code: Page| {
        // SAFETY: the caller's promise.
        let other = unsafe { writable_alias(root, code) }?;
        let at = code.at + other.to.saturating_sub(code.to);
        Some(Violation::WritableAlias(address(other.at), address(at)))
    };
    // Pages of code one behind the other, to be looked for once: that takes a walk of its own.
    let mut code: Option<Page> = None;
    let mut look = |page: Page| {
        let executable = !page.flags.contains(Flags::NO_EXECUTE);
        let writable = page.flags.contains(Flags::WRITABLE);
        sums.pages += 1;
        sums.executable_bytes += if executable { page.len } else { 0 };
        sums.writable_bytes += if writable { page.len } else { 0 };
        wrong = if executable && writable {
            Some(Violation::WritableCode(address(page.at)))
        } else if page.at == 0 {
            Some(Violation::NullPage)
        } else {
            guard_in(&page).map(Violation::GuardPage)
        };
        if executable {
            match &mut code {
                Some(code) if code.at + code.len == page.at && code.to + code.len == page.to => {
                    code.len += page.len;
                }
                code => wrong = wrong.or_else(|| alias(code.replace(page)?)),
            }
        }
        wrong.is_none()
    };
    // SAFETY: the caller's promise.
    unsafe { visit(root, EVERYTHING, &mut look) };
    wrong.or_else(|| alias(code?)).map_or(Ok(sums), Err)
}

/// A page through which the memory of `code` can be written.
///
/// # Safety
///
/// - As for [`visit`].
unsafe fn writable_alias(root: *const u64, code: Page) -> Option<Page> {
    let mut found = None;
    let mut look = |page: Page| {
        let same = page.to < code.to + code.len && code.to < page.to + page.len;
        found = (same && page.flags.contains(Flags::WRITABLE)).then_some(page);
        found.is_none()
    };
    // SAFETY: the caller's promise.
    unsafe { visit(root, EVERYTHING, &mut look) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::PAGE_SIZE;
    use crate::x86_64::page_table::editor::{Change, Surroundings, Tree};
    use crate::x86_64::page_table::format::{CODE, CONSTANTS, Table, VARIABLES};
    use std::boxed::Box;

    struct Host;

    impl Surroundings for Host {
        fn take(&mut self) -> Option<*mut u64> {
            Some(Box::leak(Box::new(Table::new())).entries())
        }
        fn give_back(&mut self, _: *mut u64) {}
        fn forget(&mut self, _: u64) {}
        fn forget_everything(&mut self) {}
    }

    const MIB: u64 = 1 << 20;

    fn audited(pages: &[(u64, u64, u64, Flags)]) -> Result<Audit, Violation> {
        let root = Host.take().unwrap();
        // SAFETY: a new tree.
        let mut tree = unsafe { Tree::new(root, Host) };
        for &(at, to, len, flags) in pages {
            let change = Change::Map { offset: to.wrapping_sub(at), flags };
            tree.change(at..at + len, change).unwrap();
        }
        // SAFETY: as above.
        unsafe { walk(root, &|page| (page.at == 7 * MIB).then_some("seventh")) }
    }

    #[test]
    fn every_kind_of_violation_is_found() {
        let code = (2 * MIB, 2 * MIB, PAGE_SIZE, CODE);
        let data = (4 * MIB, 4 * MIB, 2 * MIB, VARIABLES);
        let good = audited(&[code, data, (MIB, MIB, PAGE_SIZE, CONSTANTS)]).unwrap();
        let sums = Audit { pages: 3, executable_bytes: PAGE_SIZE, writable_bytes: 2 * MIB };
        assert_eq!(good, sums);
        let at = |number| VirtAddr::new(number);
        let both = (8 * MIB, 8 * MIB, PAGE_SIZE, VARIABLES - Flags::NO_EXECUTE);
        assert_eq!(audited(&[code, both]), Err(Violation::WritableCode(at(8 * MIB))));
        let alias = (1 << 46, 2 * MIB, PAGE_SIZE, VARIABLES);
        let found = Err(Violation::WritableAlias(at(1 << 46), at(2 * MIB)));
        assert_eq!(audited(&[code, data, alias]), found);
        // In the middle of more code, in front of and behind other code, and through a large page.
        let long = (16 * MIB, 32 * MIB, 5 * PAGE_SIZE, CODE);
        let other = (16 * MIB + 5 * PAGE_SIZE, 48 * MIB, PAGE_SIZE, CODE);
        assert_eq!(
            audited(&[code, long, other]).map(|sums| sums.executable_bytes),
            Ok(7 * PAGE_SIZE)
        );
        let alias = (1 << 46, 32 * MIB + 3 * PAGE_SIZE, PAGE_SIZE, VARIABLES);
        let found = Violation::WritableAlias(at(1 << 46), at(16 * MIB + 3 * PAGE_SIZE));
        assert_eq!(audited(&[code, long, other, alias]), Err(found));
        let alias = (1 << 46, 48 * MIB, 2 * MIB, VARIABLES);
        let found = Violation::WritableAlias(at(1 << 46), at(16 * MIB + 5 * PAGE_SIZE));
        assert_eq!(audited(&[code, long, other, alias]), Err(found));
        // The other way round: memory for variables that can be executed elsewhere.
        let alias = (1 << 46, 5 * MIB, PAGE_SIZE, CODE);
        let found = Violation::WritableAlias(at(5 * MIB), at(1 << 46));
        assert_eq!(audited(&[code, (5 * MIB, 5 * MIB, PAGE_SIZE, VARIABLES), alias]), Err(found));
        assert_eq!(audited(&[(0, 0, PAGE_SIZE, CONSTANTS)]), Err(Violation::NullPage));
        let guard = (7 * MIB, 7 * MIB, PAGE_SIZE, VARIABLES);
        assert_eq!(audited(&[code, guard]), Err(Violation::GuardPage("seventh")));
    }
}
