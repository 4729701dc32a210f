//! Names: what a mangled one says, and whose code it is.

use std::borrow::Cow;

use rustc_demangle::try_demangle;

/// A Rust name as people write it, without the hash at its end; any other name as it is.
pub fn demangled(name: &str) -> Cow<'_, str> {
    // A local clone made by LLVM or GCC: `name.llvm.123`, `name.cold`.
    match try_demangle(name) {
        Ok(rust) => Cow::Owned(format!("{rust:#}")),
        Err(_) => Cow::Borrowed(name),
    }
}

/// The crate that a mangled Rust name belongs to; `None` for C names. For an `impl` block the name
/// tells the type and the trait: the type's crate is taken, or the trait's if the type is built in.
pub fn crate_of_symbol(name: &str) -> Option<String> {
    let demangled = format!("{:#}", try_demangle(name).ok()?);
    crate_of_path(&demangled).map(str::to_owned)
}

fn crate_of_path(path: &str) -> Option<&str> {
    let path = path.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
    let path = ["mut ", "const ", "dyn "]
        .iter()
        .fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    if rest.starts_with("::") && !first.is_empty() {
        return Some(first);
    }
    // A built-in type: `<u32 as core::fmt::Display>::fmt`.
    crate_of_path(path.split_once(" as ")?.1)
}

/// The crate in the name of a member that rustc made: `NAME-HASH.NAME.HASH-cgu.0.rcgu.o`.
pub fn crate_of_member(member: &str) -> Option<&str> {
    let stem = member.strip_suffix(".o")?.split('.').next()?;
    member.contains("cgu").then(|| stem.rsplit_once('-').map_or(stem, |(name, _)| name))
}

/// The crate in the name of a library: `libNAME-HASH.rlib`, `libNAME.rlib`.
pub fn crate_of_file(path: &str) -> Option<&str> {
    let file = path.rsplit(['/', '\\']).next()?;
    let stem = file.strip_suffix(".rlib")?.strip_prefix("lib")?;
    Some(stem.rsplit_once('-').map_or(stem, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manglings_lose_their_hashes() {
        let legacy = "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE";
        assert_eq!(demangled(legacy), "core::fmt::Formatter::pad");
        assert_eq!(demangled("_RNvCskwGfYPst2Cb_3foo4main"), "foo::main");
        assert_eq!(demangled("memcpy"), "memcpy");
    }

    #[test]
    fn the_crate_is_the_first_word_of_the_path() {
        for (name, expected) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", Some("core")),
            (
                "_ZN50_$LT$$RF$mut$u20$W$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE",
                Some("core"),
            ),
            (
                "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
                Some("alloc"),
            ),
            (
                "_ZN4core3fmt3num3imp52_$LT$impl$u20$core..fmt..Display$u20$for$u20$u32$GT$3fmt17h0123456789abcdefE",
                Some("core"),
            ),
            ("_RNvCskwGfYPst2Cb_3foo4main", Some("foo")),
            ("memcpy", None),
            ("", None),
        ] {
            assert_eq!(crate_of_symbol(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn files_and_members_name_their_crate() {
        assert_eq!(crate_of_file("/lib/libcore-0123.rlib"), Some("core"));
        assert_eq!(crate_of_file("libfreestone_mem.rlib"), Some("freestone_mem"));
        assert_eq!(crate_of_file("/lib/libgcc.a"), None);
        assert_eq!(crate_of_member("core-0123.core.4567-cgu.0.rcgu.o"), Some("core"));
        assert_eq!(crate_of_member("_muldi3.o"), None);
    }
}
