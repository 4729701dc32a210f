//! What an image's bytes are spent on: by crate, and by symbol.
//!
//! Only symbols with a size count, and each byte counts once: where symbols overlap, it belongs to the first.
//! Bytes without a symbol (padding, texts, constants without names) are listed as the rest.

use std::collections::BTreeMap;

use crate::image::Image;
use crate::names;
use crate::symbol::{Place, SymbolKind};

/// Sizes in bytes of what is loaded.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// All loaded bytes that the file holds.
    pub file_bytes: u64,
    /// All memory that loading takes, `.bss` included.
    pub memory_bytes: u64,
    /// By crate, largest first; `None`: the symbol's name does not tell.
    pub crates: Vec<(Option<String>, Share)>,
    /// By symbol, largest first.
    pub symbols: Vec<(String, Share)>,
}

/// How many bytes are of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Code.
    pub code: u64,
    /// Constants and variables with a first value.
    pub data: u64,
    /// Variables that begin as zero: no bytes in the file.
    pub zeroed: u64,
}

impl Share {
    /// All of it.
    pub fn total(self) -> u64 {
        self.code.saturating_add(self.data).saturating_add(self.zeroed)
    }

    fn add(&mut self, other: Self) {
        self.code = self.code.saturating_add(other.code);
        self.data = self.data.saturating_add(other.data);
        self.zeroed = self.zeroed.saturating_add(other.zeroed);
    }
}

/// Adds an image up.
pub fn sizes(image: &Image<'_>) -> Sizes {
    let mut sizes = Sizes::default();
    for segment in image.segments.iter().filter(|s| s.is_loaded()) {
        sizes.file_bytes = sizes.file_bytes.saturating_add(segment.data.len() as u64);
        sizes.memory_bytes = sizes.memory_bytes.saturating_add(segment.size);
    }
    let mut symbols: Vec<_> = image
        .symbols()
        .iter()
        .filter(|s| s.size > 0 && s.kind != SymbolKind::File && s.kind != SymbolKind::Section)
        .collect();
    symbols.sort_by_key(|s| (s.section, s.address, std::cmp::Reverse(s.size)));
    let mut crates: BTreeMap<Option<String>, Share> = BTreeMap::new();
    let mut names: BTreeMap<String, Share> = BTreeMap::new();
    let mut counted = (None, 0);
    for symbol in symbols {
        let end = symbol.address.saturating_add(symbol.size);
        let from = if counted.0 == symbol.section {
            symbol.address.max(counted.1)
        } else {
            symbol.address
        };
        let bytes = end.saturating_sub(from);
        counted = (symbol.section, end.max(from));
        let share = match symbol.place {
            Place::Text => Share { code: bytes, ..Share::default() },
            Place::ReadOnly | Place::Data => Share { data: bytes, ..Share::default() },
            Place::Zeroed => Share { zeroed: bytes, ..Share::default() },
            _ => continue,
        };
        crates.entry(names::crate_of_symbol(&symbol.name)).or_default().add(share);
        names.entry(symbol.demangled().into_owned()).or_default().add(share);
    }
    sizes.crates = largest_first(crates);
    sizes.symbols = largest_first(names);
    sizes
}

fn largest_first<T: Ord>(table: BTreeMap<T, Share>) -> Vec<(T, Share)> {
    let mut rows: Vec<_> = table.into_iter().filter(|(_, share)| share.total() > 0).collect();
    rows.sort_by_key(|(_, share)| std::cmp::Reverse(share.total()));
    rows
}
