//! An image's functions and what their code does, computed on first use.
//!
//! In an image without a symbol table the targets of direct calls are taken for functions. That is enough to find problems, but
//! not to name the function.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use crate::disassembly::{self, Edge, Facts, Links, Target};
use crate::elf::{Machine, Section};
use crate::functions::Function;
use crate::image::Image;
use crate::names;
use crate::symbol::Binding;

/// How the functions of an image were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The symbol table names them.
    Symbols,
    /// There is no symbol table: these are the targets of calls, and have no names.
    Calls,
    /// There is no telling code from data, or it is not x86_64 code.
    Nothing,
}

/// What a function is called in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name as people write it, cut if it is very long.
    pub name: String,
    /// The crate it belongs to, if the name tells.
    pub crate_name: Option<String>,
}

/// The functions of an image.
pub struct Program<'data> {
    /// How they were found.
    pub source: Source,
    /// In the order of addresses.
    pub functions: Vec<Function<'data>>,
    facts: Vec<OnceCell<Facts>>,
    labels: Vec<OnceCell<Label>>,
    by_name: OnceCell<HashMap<String, usize>>,
    links: Links,
    /// Read-only memory, where slots with addresses of functions are, by address.
    slots: Vec<(u64, &'data [u8])>,
    /// The entry that PVH loaders take: 32-bit code, of which a 64-bit decoder makes anything.
    entry_of_32_bits: Option<u64>,
}

impl<'data> Program<'data> {
    /// Finds the functions of an image.
    pub fn of(image: &Image<'data>) -> Self {
        let (source, mut functions) = if image.machine != Machine::X86_64 {
            (Source::Nothing, Vec::new())
        } else if image.has_symbols() {
            (Source::Symbols, image.functions().collect())
        } else {
            recovered(image)
        };
        functions.sort_by_key(|function| function.address);
        let slots = image.sections.iter().filter(|section| {
            section.is_loaded() && (!section.is_writable() || section.name.starts_with(".got"))
        });
        let mut slots: Vec<_> = slots.map(|section| (section.address, section.data)).collect();
        slots.sort_by_key(|(address, _)| *address);
        Self {
            source,
            facts: functions.iter().map(|_| OnceCell::new()).collect(),
            labels: functions.iter().map(|_| OnceCell::new()).collect(),
            functions,
            by_name: OnceCell::new(),
            links: Links::default(),
            slots,
            entry_of_32_bits: image.pvh_entry().and_then(|entry| image.virtual_of(entry)),
        }
    }

    /// What the code of a function does, by its index.
    pub fn facts(&self, index: usize) -> &Facts {
        self.facts[index].get_or_init(|| disassembly::facts(&self.functions[index], &self.links))
    }

    /// What a function, by its index, is called. Found out once: many messages may name the same one.
    pub fn label(&self, index: usize) -> &Label {
        self.labels[index].get_or_init(|| {
            let name = &self.functions[index].name;
            Label { name: names::shown(name), crate_name: names::crate_of_symbol(name) }
        })
    }

    /// Every function whose code could be read, by its index, with what it does. Left out is what has bytes that
    /// are no 64-bit instructions: 32-bit boot code, and data among code.
    pub fn readable(&self) -> impl Iterator<Item = (usize, &Facts)> {
        let all = (0..self.functions.len()).filter(|index| self.is_readable(*index));
        all.map(|index| (index, self.facts(index)))
    }

    /// Whether the code of a function, by its index, is 64-bit instructions throughout.
    pub fn is_readable(&self, index: usize) -> bool {
        let function = &self.functions[index];
        let is_entry = self
            .entry_of_32_bits
            .is_some_and(|entry| (function.address..function.end()).contains(&entry));
        !is_entry && !self.facts(index).undecodable.is_any()
    }

    /// Which function `address` is in, by its index.
    pub fn function_at(&self, address: u64) -> Option<usize> {
        let next = self.functions.partition_point(|function| function.address <= address);
        let index = next.checked_sub(1)?;
        (address < self.functions[index].end()).then_some(index)
    }

    /// Which function begins at `address`, by its index.
    pub fn function_of(&self, address: u64) -> Option<usize> {
        self.functions.binary_search_by_key(&address, |function| function.address).ok()
    }

    /// The function of this name, by its index.
    pub fn named(&self, name: &str) -> Option<usize> {
        let table = self.by_name.get_or_init(|| {
            let all = self.functions.iter().enumerate();
            all.flat_map(|(index, function)| {
                function.names().map(move |name| (name.to_owned(), index)).collect::<Vec<_>>()
            })
            .collect()
        });
        table.get(name).copied()
    }

    /// Where an edge leads: the address, if the image tells it.
    pub fn target(&self, edge: &Edge) -> Option<u64> {
        match edge.target {
            Target::Address(address) => Some(address),
            Target::Slot(slot) => {
                let next = self.slots.partition_point(|(start, _)| *start <= slot);
                let (start, data) = self.slots[next.checked_sub(1)?];
                let offset = usize::try_from(slot.checked_sub(start)?).ok()?;
                Some(u64::from_le_bytes(*data.get(offset..)?.first_chunk()?))
            }
            Target::Symbol(_) => None,
        }
    }

    /// Which function an edge leads to, by its index.
    pub fn callee(&self, edge: &Edge) -> Option<usize> {
        self.function_of(self.target(edge)?)
    }
}

/// The functions of an image without symbols: what its entry and its direct calls point at.
fn recovered<'data>(image: &Image<'data>) -> (Source, Vec<Function<'data>>) {
    let code: Vec<_> = image
        .sections
        .iter()
        .enumerate()
        .filter(|(_, section)| section.is_code() && !section.is_writable())
        .collect();
    if code.is_empty() {
        return (Source::Nothing, Vec::new());
    }
    let mut starts: BTreeSet<u64> = [image.entry].into();
    for (_, section) in &code {
        starts.insert(section.address);
        call_targets(section, &mut starts);
    }
    let functions = code.iter().flat_map(|(index, section)| {
        let end = section.address.saturating_add(section.data.len() as u64);
        let own: Vec<u64> = starts.range(section.address..end).copied().collect();
        let ends = own.iter().skip(1).copied().chain([end]).collect::<Vec<_>>();
        let offset = |address: u64| usize::try_from(address.checked_sub(section.address)?).ok();
        own.into_iter().zip(ends).filter_map(move |(start, end)| {
            Some(Function {
                name: Cow::Owned(format!("code at {start:#x}")),
                aliases: Vec::new(),
                address: start,
                code: section.data.get(offset(start)?..offset(end)?)?,
                section: *index,
                is_sized: false,
                binding: Binding::Local,
            })
        })
    });
    (Source::Calls, functions.collect())
}

fn call_targets(section: &Section<'_>, targets: &mut BTreeSet<u64>) {
    let mut decoder = Decoder::with_ip(64, section.data, section.address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.flow_control() == FlowControl::Call
            && instruction.op0_kind() == OpKind::NearBranch64
            && instruction.near_branch_target() != instruction.next_ip()
        {
            targets.insert(instruction.near_branch_target());
        }
    }
}
