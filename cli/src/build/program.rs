//! What can be built and booted: a kernel, or a package's tests that run inside one.

/// The feature of tests that plain `cargo test` leaves alone.
pub const FULL: &str = "full";

/// The tests of a package that run inside a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTests {
    pub package: String,
    /// Names of the test targets.
    pub targets: Vec<String>,
    /// Whether plain `cargo test` builds them too: the package's build script gives them their link arguments.
    pub are_cargos: bool,
}

/// A program to be built and booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub package: String,
    pub program: Program,
}

/// The part of a package that is one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    Bin(String),
    Example(String),
}

impl Program {
    pub fn name(&self) -> &str {
        let (Self::Bin(name) | Self::Example(name)) = self;
        name
    }

    /// Cargo's word for what this is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bin(_) => "bin",
            Self::Example(_) => "example",
        }
    }
}

/// Names as a sentence has them.
pub fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
