//! Linker scripts, link arguments and target files for Rust kernels, as data.
//!
//! For build scripts. [`LinkInput::write`] puts everything the linker needs for one target into a
//! directory and returns the path of one *response file*, which a kernel's build script passes on as
//! a single argument:
//!
//! ```no_run
//! let directory = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
//! let target = std::env::var("TARGET").unwrap();
//! let response_file = freestone_targets::LinkInput::for_target(&target)
//!     .expect("a supported target")
//!     .write(&directory)
//!     .expect("a writable directory");
//! println!("cargo::rustc-link-arg-bins=@{}", response_file.display());
//! ```
//!
//! Kernels that depend on the `freestone` façade get the path through its `links` metadata and need
//! not depend on this crate. Kernels with boot code and a linker script of their own use
//! [`LinkInput::with_script`].

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The linker script for x86_64 kernels started by PVH loaders.
pub const X86_64_PVH: &str = include_str!("../x86_64-pvh.ld");

/// The target file for x86_64 kernels; see the README for what it is good for.
pub const X86_64_JSON: &str = include_str!("../x86_64-freestone.json");

/// Targets whose kernels can be linked today, and the kind of linker for each. A target file (`*.json`) counts by the
/// name that its build scripts see: Cargo gives them the file's stem.
const LINKED_BY: [(&str, Linker); 3] = [
    ("x86_64-unknown-linux-gnu", Linker::Driver),
    ("x86_64-unknown-none", Linker::Plain),
    ("x86_64-freestone", Linker::Plain),
];

/// Targets whose kernels can be linked today.
pub const SUPPORTED: [&str; 3] = [LINKED_BY[0].0, LINKED_BY[1].0, LINKED_BY[2].0];

/// What rustc calls to link for a target: their arguments differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// The compiler driver `cc`, in host mode; it must not add what a hosted program has.
    Driver,
    /// A linker itself (rust-lld, lld, GNU ld): it adds nothing of its own.
    Plain,
}

/// Libraries that crates or the compiler may ask the linker for, by `-l`, although no code of a
/// kernel needs them. Empty ones are put in front, so that an undefined symbol is named by the
/// linker instead of being found in the host's C library.
const HOST_LIBRARIES: [&str; 7] = ["c", "m", "rt", "pthread", "util", "dl", "gcc"];

/// Libraries that `std` alone asks for, to unwind by.
const STD_LIBRARIES: [&str; 2] = ["gcc_s", "gcc_eh"];

/// The library that those two ask for, which is not there: so linkers begin with its name where a program with `std` is
/// linked as a kernel, and not with everything that `std` lacks here.
pub const HOST_PROGRAM: &str = "freestone_std_in_a_kernel__for_a_host_program_beside_it_build.rs_has_rustc-link-arg-bin=KERNEL=@FILE";

/// The library that `freestone_platform::boot!` asks for: where these arguments are missing, linkers begin with its
/// name. It says what to do.
pub const PROOF: &str = "freestone_link_arguments_missing__add_the_build_rs_from_the_README__examples_need_rustc-link-arg-examples";

/// An archive of no members (System V ABI, chapter 7: the magic string alone).
const EMPTY_ARCHIVE: &str = "!<arch>\n";

impl Linker {
    /// All but how `-z relro` stands, see [`LinkInput`].
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Linker::Driver => &[
                "-nostartfiles",
                "-nostdlib",
                "-static",
                "-no-pie",
                "-Wl,-z,max-page-size=4096",
                "-Wl,--build-id=none",
            ],
            // A word a line: these are read one by one.
            Linker::Plain => {
                &["-static", "--no-pie", "-z", "max-page-size=4096", "--build-id=none"]
            }
        }
    }

    /// The argument for `-z WORD`.
    fn keyword(self, word: &str) -> String {
        match self {
            Linker::Driver => format!("-Wl,-z,{word}"),
            Linker::Plain => format!("-z\n{word}"),
        }
    }
}

/// What the linker needs for one kernel.
#[derive(Clone, Debug)]
pub struct LinkInput {
    script: String,
    linker: Linker,
    /// Whether `.data.rel.ro` is told from `.data` when a linker looks for the section most like one that the script
    /// does not name: it is with `relro`, and our script has program headers of its own, so that nothing else follows
    /// from the word. Lld before 20 would put variables in sections of their own among the constants. Without such
    /// headers lld would make one for it, and refuse what lies between.
    relro: &'static str,
    has_unwind_tables: bool,
}

/// What the tables' rules begin with in a script, and what leaves them out.
const TABLES: [&str; 2] = [".eh_frame 0 (INFO) :", ".gcc_except_table 0 (INFO) :"];
const DISCARD: &str = "/DISCARD/ :";

impl LinkInput {
    /// Our script and arguments for `target` (a triple). `None` unless it is in [`SUPPORTED`].
    pub fn for_target(target: &str) -> Option<LinkInput> {
        let (_, linker) = LINKED_BY.iter().find(|(name, _)| *name == target)?;
        let script = X86_64_PVH.to_owned();
        Some(LinkInput { script, linker: *linker, relro: "relro", has_unwind_tables: true })
    }

    /// The same with a linker script of your own.
    pub fn with_script(self, script: &str) -> LinkInput {
        LinkInput { script: script.to_owned(), relro: "norelro", ..self }
    }

    /// The same without the tables by which gdb makes backtraces. They are never loaded, but `strip` leaves them
    /// in the file, where they are a fifth of a small kernel. A build without debug information does not need them.
    pub fn without_unwind_tables(self) -> LinkInput {
        LinkInput { has_unwind_tables: false, ..self }
    }

    /// Writes the linker script, the empty libraries and the response file that names them into
    /// `directory`, and returns the response file's path.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        let libraries = directory.join("empty");
        fs::create_dir_all(&libraries)?;
        for library in HOST_LIBRARIES.into_iter().chain([PROOF]) {
            fs::write(libraries.join(format!("lib{library}.a")), EMPTY_ARCHIVE)?;
        }
        // Linkers take a text in a library's place for a script (GNU ld manual, 3.1; lld does the same).
        for library in STD_LIBRARIES {
            let asks = format!("INPUT(\"-l{HOST_PROGRAM}\")\n");
            fs::write(libraries.join(format!("lib{library}.a")), asks)?;
        }
        let script = directory.join("kernel.ld");
        let mut text = self.script.clone();
        if !self.has_unwind_tables {
            TABLES.iter().for_each(|rule| text = text.replace(rule, DISCARD));
        }
        fs::write(&script, text)?;

        let mut arguments = self.linker.arguments().join("\n");
        let relro = self.linker.keyword(self.relro);
        let _ = write!(arguments, "\n{relro}\n-L{}\n-T{}\n", quoted(&libraries), quoted(&script));
        let response_file = directory.join("link.args");
        fs::write(&response_file, arguments)?;
        Ok(response_file)
    }
}

/// A path as response files want it: in quotes, with quotes and backslashes escaped (GNU binutils,
/// `@file`).
fn quoted(path: &Path) -> String {
    let path = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{path}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_everything_the_response_file_names() {
        let directory = std::env::temp_dir().join(format!("free stone \"{}", std::process::id()));
        let input = LinkInput::for_target("x86_64-unknown-linux-gnu").unwrap();
        let response = input.write(&directory).unwrap();
        let arguments = fs::read_to_string(&response).unwrap();
        assert!(arguments.contains("-nostartfiles"));
        assert!(arguments.contains("free stone \\\""), "{arguments}");
        assert_eq!(fs::read_to_string(directory.join("kernel.ld")).unwrap(), X86_64_PVH);
        for library in HOST_LIBRARIES {
            let archive = directory.join("empty").join(format!("lib{library}.a"));
            assert_eq!(fs::read(archive).unwrap(), EMPTY_ARCHIVE.as_bytes());
        }
        for library in STD_LIBRARIES {
            let script = directory.join("empty").join(format!("lib{library}.a"));
            assert!(fs::read_to_string(script).unwrap().contains(HOST_PROGRAM));
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn tables_are_left_out_on_demand() {
        let directory =
            std::env::temp_dir().join(format!("freestone-tables-{}", std::process::id()));
        let input = LinkInput::for_target(SUPPORTED[0]).unwrap().without_unwind_tables();
        input.write(&directory).unwrap();
        let script = fs::read_to_string(directory.join("kernel.ld")).unwrap();
        assert!(TABLES.iter().all(|rule| X86_64_PVH.contains(rule) && !script.contains(rule)));
        assert!(script.contains("/DISCARD/ : { KEEP(*(.eh_frame)) }"), "{script}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn other_targets_are_refused() {
        assert!(LinkInput::for_target("aarch64-apple-darwin").is_none());
    }
}
