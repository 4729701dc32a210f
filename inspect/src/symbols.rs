//! Symbols: those that a file defines, those that it lacks, and the code that refers to them.
//!
//! A [`Table`] takes in any number of objects and archives, and then answers what linking them
//! together would leave undefined.

use std::collections::BTreeMap;

use crate::elf::Object;
use crate::error::Error;
use crate::file::File;
use crate::symbol::{Binding, Place, Visibility};

/// A definition of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The file.
    pub file: String,
    /// The archive member.
    pub member: Option<String>,
    /// The crate, if rustc made it.
    pub crate_name: Option<String>,
    /// Strong or weak.
    pub binding: Binding,
    /// Its scope.
    pub visibility: Visibility,
    /// Code, data or else.
    pub place: Place,
    /// How many bytes; 0: not said.
    pub size: u64,
}

/// A reference to a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The file.
    pub file: String,
    /// The archive member.
    pub member: Option<String>,
    /// The crate, if rustc made it.
    pub crate_name: Option<String>,
    /// Whether it does without, if nobody defines it.
    pub is_weak: bool,
}

/// What a set of files defines and wants, by name.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Global and weak definitions.
    pub defined: BTreeMap<String, Vec<Definition>>,
    /// Undefined symbols.
    pub undefined: BTreeMap<String, Vec<Use>>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in every object of a file. The first broken one ends it.
    pub fn add(&mut self, file: &File) -> Result<(), Error> {
        file.objects()?.try_for_each(|object| {
            self.add_object(&object?);
            Ok(())
        })
    }

    /// Takes in one object.
    pub fn add_object(&mut self, object: &Object<'_>) {
        let file = || object.file().to_owned();
        let member = || object.member().map(str::to_owned);
        let crate_name = || object.crate_name().map(str::to_owned);
        for symbol in object.symbols() {
            if symbol.is_undefined() {
                let user = Use {
                    file: file(),
                    member: member(),
                    crate_name: crate_name(),
                    is_weak: symbol.binding == Binding::Weak,
                };
                self.undefined.entry(symbol.name.to_string()).or_default().push(user);
            } else if symbol.is_provided() {
                let definition = Definition {
                    file: file(),
                    member: member(),
                    crate_name: crate_name(),
                    binding: symbol.binding,
                    visibility: symbol.visibility,
                    place: symbol.place,
                    size: symbol.size,
                };
                self.defined.entry(symbol.name.to_string()).or_default().push(definition);
            }
        }
    }

    /// The undefined symbols, by name, with all references to each.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &[Use])> {
        self.undefined
            .iter()
            .filter(|(name, _)| !self.defined.contains_key(*name))
            .map(|(name, users)| (name.as_str(), users.as_slice()))
    }
}
