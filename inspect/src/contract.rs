//! The link contract: the symbols that a set of files leaves to a kernel, and the crate that provides each.
//!
//! It is derived from the files: their undefined names, without the names that they define themselves. Each remaining name
//! is looked up in the lists of what Freestone's crates export; the files in `exports/` are links to these lists.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::Error;
use crate::file::File;
use crate::names;
use crate::symbol::Binding;
use crate::symbols::Table;

/// The provider of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// `freestone-mem`, feature `export`.
    Mem,
    /// `freestone-math`, feature `export`.
    Math,
    /// `freestone-rt`'s `runtime!` or `shims!`, which `entry!` calls.
    Shims,
    /// The kernel's `#[panic_handler]`, which `entry!` and `runtime!` define.
    PanicHandler,
    /// The kernel's `#[global_allocator]`, which `entry!` defines.
    Allocator,
    /// The toolchain's own library, linked behind everything else.
    CompilerBuiltins,
    /// Nobody: the kernel has to bring it.
    Nobody,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Mem => "freestone-mem",
            Provider::Math => "freestone-math",
            Provider::Shims => "freestone-rt",
            Provider::PanicHandler => "#[panic_handler]",
            Provider::Allocator => "#[global_allocator]",
            Provider::CompilerBuiltins => "compiler_builtins",
            Provider::Nobody => "nobody",
        })
    }
}

/// What each of Freestone's crates exports, a name per line.
const EXPORTS: [(Provider, &str); 2] = [
    (Provider::Mem, include_str!("../exports/mem.txt")),
    (Provider::Math, include_str!("../exports/math.txt")),
];

/// What `shims!` of `freestone-rt` defines; compared with it by a test of the repository.
pub const SHIMS: [&str; 4] =
    ["_Unwind_Resume", "__stack_chk_fail", "__stack_chk_guard", "rust_eh_personality"];

/// What Freestone exports under this name.
pub fn ours(name: &str) -> Option<Provider> {
    let listed = EXPORTS.iter().find(|(_, list)| list.lines().any(|line| line == name));
    listed.map(|(provider, _)| *provider).or(SHIMS.contains(&name).then_some(Provider::Shims))
}

/// One symbol that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, demangled if it is Rust's.
    pub symbol: String,
    /// The crates that want it, or the files where no crate is known.
    pub wanted_by: BTreeSet<String>,
    /// How many objects want it.
    pub uses: usize,
    /// Whether the program links without it.
    pub is_weak: bool,
    /// Its provider.
    pub provider: Provider,
    /// How compiler_builtins defines it, if it does.
    pub in_compiler_builtins: Option<Binding>,
}

/// What `files` together leave undefined, by name. `helpers` is the toolchain's compiler_builtins, which is
/// asked but wants nothing here.
pub fn contract(files: &[File], helpers: Option<&File>) -> Result<Vec<Row>, Error> {
    let mut wanted = Table::new();
    files.iter().try_for_each(|file| wanted.add(file))?;
    let mut helping = Table::new();
    helpers.map(|file| helping.add(file)).transpose()?;

    let row = |(name, users): (&str, &[crate::symbols::Use])| {
        let symbol = names::demangled(name).into_owned();
        let in_compiler_builtins = helping
            .defined
            .get(name)
            .and_then(|all| all.iter().map(|d| d.binding).min_by_key(|b| b.rank()));
        let provider = ours(name)
            .or_else(|| stamped(&symbol))
            .or(in_compiler_builtins.map(|_| Provider::CompilerBuiltins))
            .unwrap_or(Provider::Nobody);
        let origin = |user: &crate::symbols::Use| {
            let file = || file_name(user.member.as_ref().unwrap_or(&user.file)).to_owned();
            user.crate_name.clone().unwrap_or_else(file)
        };
        Row {
            symbol,
            wanted_by: users.iter().map(origin).collect(),
            uses: users.len(),
            is_weak: users.iter().all(|user| user.is_weak),
            provider,
            in_compiler_builtins,
        }
    };
    let mut rows: Vec<_> =
        wanted.missing().filter(|(name, _)| *name != OF_THE_LINKER).map(row).collect();
    rows.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    Ok(rows)
}

/// The table that position-independent code finds its variables by; every linker defines it itself.
const OF_THE_LINKER: &str = "_GLOBAL_OFFSET_TABLE_";

/// What the compiler calls under names of its own; `__rustc` is a crate that does not exist.
fn stamped(symbol: &str) -> Option<Provider> {
    match symbol.strip_prefix("__rustc::")? {
        "rust_begin_unwind" => Some(Provider::PanicHandler),
        name if name.starts_with("__rust_") => Some(Provider::Allocator),
        _ => None,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found() {
        for (provider, list) in EXPORTS {
            let names: Vec<_> = list.lines().collect();
            assert!(names.len() > 5 && names.is_sorted(), "{provider}: {names:?}");
        }
        assert_eq!(ours("lgammaf_r"), Some(Provider::Math));
        assert_eq!(ours("memcpy"), Some(Provider::Mem));
        assert_eq!(ours("memcp"), None);
        assert_eq!(ours("rust_eh_personality"), Some(Provider::Shims));
    }

    #[test]
    fn what_the_compiler_calls_by_its_own_names_is_stamped() {
        assert_eq!(stamped("__rustc::rust_begin_unwind"), Some(Provider::PanicHandler));
        assert_eq!(stamped("__rustc::__rust_alloc"), Some(Provider::Allocator));
        assert_eq!(stamped("memcpy"), None);
    }
}
