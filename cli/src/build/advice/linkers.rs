//! Undefined symbols in what linkers print.
//!
//! ```text
//! rust-lld: error: undefined symbol: open                                  lld, mold
//! >>> referenced by util_libc.rs:139 (src/util_libc.rs:139)
//! >>>               getrandom-c.g.rcgu.o:(…) in archive …/libgetrandom-c.rlib
//!
//! ld: …/libgetrandom-f.rlib(getrandom-f.g.rcgu.o): in function `…':         GNU ld
//! …/util_libc.rs:139: undefined reference to `open'
//! ```

/// A symbol that nothing defines.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    pub symbol: String,
    /// The crates, or object files, whose code wants it.
    pub users: Vec<String>,
}

/// All of them, in the order of their first mention.
pub fn undefined(text: &str) -> Vec<Missing> {
    let mut all: Vec<Missing> = Vec::new();
    // GNU ld names the file first, the others afterwards.
    let mut file = None;
    let mut last = None;
    for line in text.lines() {
        if let Some((_, symbol)) = line.split_once("undefined symbol: ") {
            last = Some(index_of(&mut all, symbol.trim()));
        } else if let Some(place) = line.trim_start().strip_prefix(">>>") {
            if let (Some(index), Some(user)) = (last, user(place)) {
                add(&mut all[index], user);
            }
        } else if let Some((place, symbol)) = line.split_once("undefined reference to ") {
            let index = index_of(&mut all, symbol.trim().trim_matches(['`', '\'', '"']));
            if let Some(user) = user(place).or_else(|| file.clone()) {
                add(&mut all[index], user);
            }
        } else if line.contains(": in function `") {
            file = user(line);
        }
    }
    all
}

fn index_of(all: &mut Vec<Missing>, symbol: &str) -> usize {
    all.iter().position(|one| one.symbol == symbol).unwrap_or_else(|| {
        all.push(Missing { symbol: symbol.to_owned(), users: Vec::new() });
        all.len() - 1
    })
}

fn add(missing: &mut Missing, user: String) {
    if !missing.users.contains(&user) {
        missing.users.push(user);
    }
}

/// The crate whose archive, or else whose object file, stands in a line.
fn user(line: &str) -> Option<String> {
    let words = line.split([' ', '(', ')', ':', '/']);
    let of = |word: &str| -> Option<String> {
        if let Some(archive) = word.strip_suffix(".rlib") {
            let name = archive.strip_prefix("lib").unwrap_or(archive);
            return Some(name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned());
        }
        let object = word.strip_suffix(".o")?;
        let name = match object.strip_suffix(".rcgu") {
            Some(unit) => unit.split_once('-').map_or(unit, |(name, _)| name),
            None => object,
        };
        Some(name.to_owned())
    };
    let (mut object, mut archive) = (None, None);
    for word in words {
        let place = if word.ends_with(".rlib") { &mut archive } else { &mut object };
        *place = place.take().or_else(|| of(word));
    }
    archive.or(object)
}
