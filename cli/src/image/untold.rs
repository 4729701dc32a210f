//! What backtraces lacked, and why: one line for each cause, at the end of a boot.

use std::cell::RefCell;
use std::path::Path;

use crate::foreign::Shown as _;
use crate::image::dwarf::{Debug, Missing};
use crate::say;

/// What was noticed, by the first function it was noticed at.
#[derive(Default)]
pub struct Untold {
    no_place: RefCell<Option<String>>,
    no_frame: RefCell<Option<String>>,
}

impl Untold {
    /// This function's file and line are not known.
    pub fn no_place(&self, function: &str) {
        keep(&self.no_place, function);
    }

    /// This function, which called another, has no frame pointer.
    pub fn no_frame(&self, function: &str) {
        keep(&self.no_frame, function);
    }

    /// Says it.
    pub fn tell(&self, image: &Path, debug: &Result<Debug, Missing>) {
        self.lines(image, debug).iter().for_each(|line| say!("{line}"));
    }

    fn lines(&self, image: &Path, debug: &Result<Debug, Missing>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(function) = self.no_place.take() {
            let why = match debug {
                Ok(debug) if debug.is_spent() => {
                    "its debugging information takes more reading than its size allows".to_owned()
                }
                Ok(_) => format!(
                    "the crate of {function} was compiled without debugging information; \
                     set debug = \"line-tables-only\" in the profile"
                ),
                Err(missing) => missing.to_string(),
            };
            lines.push(format!("traces lack files and lines: {}: {why}", image.shown()));
        }
        if let Ok(debug) = debug
            && let Some(file) = debug.missing_file()
        {
            lines.push(format!(
                "traces lack inlined functions: {file}, which has them, is not there or not of this build; \
                 build again, or without split-debuginfo"
            ));
        }
        if let Some(function) = self.no_frame.take() {
            lines.push(format!(
                "traces lack callers: {function} was compiled without a frame pointer; \
                 build with -C force-frame-pointers=yes in rustflags"
            ));
        }
        lines
    }
}

fn keep(first: &RefCell<Option<String>>, function: &str) {
    let mut first = first.borrow_mut();
    if first.is_none() {
        *first = Some(freestone_inspect::names::shown(function));
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Missing::Stripped => "it was stripped; build it without `strip`",
            Missing::NoDebug => {
                "it has no debugging information; set debug = \"line-tables-only\" in the profile"
            }
            Missing::Compressed => {
                "its debugging information is compressed; link it without --compress-debug-sections"
            }
            Missing::Broken => "its debugging information cannot be read; build it again",
        })
    }
}
