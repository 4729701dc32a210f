//! Finds file and line of an address in a file's debug information.
//!
//! Only an index of functions is kept. For each question the unit that holds the address is opened, its line program is run
//! until it passes the address, and the entries of that function are walked. So memory is needed for the index and for one
//! unit, and both have limits. Tables of lines are not kept, however many rows they have. (`addr2line` keeps every row, and one
//! byte can make one.) Work has a limit too, see
//! [`dwarf_reader`](crate::image::dwarf_reader).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use freestone_inspect::elf::{Object, Section};
use freestone_inspect::names::{shown, text};
use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, Range, Result, Unit,
    UnitHeader, UnitOffset,
};

use crate::image::dwarf_lines::{line_of, sequences};
use crate::image::dwarf_reader::{Budget, Reader};
use crate::image::dwarf_split::Split;

/// More functions inlined into each other are not shown.
const MOST_FRAMES: usize = 32;

/// An entry may be described by another, and that by another.
const MOST_HOPS: usize = 8;

/// How many units that claim an address are asked.
const MOST_UNITS: usize = 4;

/// How many bytes of the file there are for each range of addresses in the index. A function has more than that: its
/// code, its entry, its lines, its name.
const BYTES_PER_RANGE: usize = 16;
/// For small files.
const LEAST_RANGES: usize = 1 << 10;

/// The most of a name and of a path that is read.
const LONGEST_NAME: usize = 16 << 10;
const LONGEST_PATH: usize = 1 << 10;

/// SHF_COMPRESSED (System V ABI, "Sections").
const COMPRESSED: u64 = 1 << 11;

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Neither that nor symbols.
    Stripped,
    /// There are symbols.
    NoDebug,
    Compressed,
    Broken,
}

/// A function at an address, the innermost first: what the linker calls it, and where in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub name: Option<String>,
    pub place: Option<(String, u64)>,
}

/// Where a unit or a function is.
#[derive(Clone, Copy)]
struct Indexed<T> {
    begin: u64,
    end: u64,
    at: T,
}

/// The debugging information of one file.
pub struct Debug {
    dwarf: Dwarf<Reader>,
    budget: &'static Budget,
    units: Vec<Indexed<DebugInfoOffset>>,
    /// By unit.
    functions: RefCell<BTreeMap<usize, Rc<[Indexed<UnitOffset>]>>>,
    /// How many more ranges may be kept.
    room: Cell<usize>,
    split: Split,
}

/// An inlined function on the way to an address.
struct Inlined {
    depth: isize,
    at: UnitOffset,
    call_file: u64,
    call_line: u64,
}

impl Debug {
    /// What is in these bytes of the file at `path`.
    pub fn of(bytes: &'static [u8], path: &Path) -> std::result::Result<Debug, Missing> {
        let object = Object::of("the image", bytes).map_err(|_| Missing::Broken)?;
        let budget = Budget::new(bytes.len());
        let Some(sections) = sections(&object) else { return Err(Missing::Compressed) };
        if sections.get(".debug_info").is_none_or(|info| info.is_empty()) {
            return Err(match object.symbols().iter().any(|symbol| !symbol.name.is_empty()) {
                true => Missing::NoDebug,
                false => Missing::Stripped,
            });
        }
        let load = |id: gimli::SectionId| -> Result<Reader> {
            Ok(Reader::new(sections.get(id.name()).copied().unwrap_or_default(), budget))
        };
        let dwarf = Dwarf::load(load).map_err(|_| Missing::Broken)?;
        let room = bytes.len().checked_div(BYTES_PER_RANGE).unwrap_or(0).max(LEAST_RANGES);
        let mut debug = Debug {
            dwarf,
            budget,
            units: Vec::new(),
            functions: RefCell::default(),
            room: Cell::new(room),
            split: Split::beside(path),
        };
        debug.units = debug.all_units();
        Ok(debug)
    }

    /// Whether the limit of work was reached.
    pub fn is_spent(&self) -> bool {
        self.budget.is_spent() || self.room.get() == 0
    }

    /// A file that was wanted for inlined functions, and is not there.
    pub fn missing_file(&self) -> Option<String> {
        self.split.missing()
    }

    fn keep<T>(&self, all: &mut Vec<Indexed<T>>, range: Range, at: T) {
        if range.begin < range.end && self.room.get() > 0 {
            self.room.set(self.room.get().saturating_sub(1));
            all.push(Indexed { begin: range.begin, end: range.end, at });
        }
    }

    fn open(&self, dwarf: &Dwarf<Reader>, header: UnitHeader<Reader>) -> Result<Unit<Reader>> {
        self.budget.opening(|| Unit::new(dwarf, header))
    }

    fn all_units(&self) -> Vec<Indexed<DebugInfoOffset>> {
        let mut all = Vec::new();
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let Some(at) = header.offset().as_debug_info_offset() else { continue };
            let Ok(unit) = self.open(&self.dwarf, header) else { continue };
            let before = all.len();
            let mut add = |range| {
                self.keep(&mut all, range, at);
                false
            };
            let mut entries = unit.entries();
            // What is behind something broken is not known.
            if let Ok(Some(_)) = entries.next_dfs()
                && let Some(root) = entries.current()
            {
                let _ = ranges(&self.dwarf, &unit, root, &mut add);
            }
            if all.len() == before {
                let mut add = |range| {
                    self.keep(&mut all, range, at);
                    false
                };
                let _ = sequences(unit, &mut add, |_, _| false);
            }
        }
        all
    }

    /// The functions at `address`, the innermost first; none if the file does not say.
    pub fn frames(&self, address: u64) -> Vec<Frame> {
        if !self.budget.spend(self.units.len() as u64) {
            return Vec::new();
        }
        let holds = |unit: &&Indexed<_>| unit.begin <= address && address < unit.end;
        let mut asked = Vec::new();
        for Indexed { at, .. } in self.units.iter().filter(holds) {
            if asked.len() == MOST_UNITS || asked.contains(at) {
                continue;
            }
            asked.push(*at);
            let frames = self.frames_of(*at, address).unwrap_or_default();
            if !frames.is_empty() {
                return frames;
            }
        }
        Vec::new()
    }

    fn frames_of(&self, at: DebugInfoOffset, address: u64) -> Result<Vec<Frame>> {
        let unit = self.open(&self.dwarf, self.dwarf.debug_info.header_from_offset(at)?)?;
        // The functions may be in another file; the lines are here.
        let elsewhere =
            unit.dwo_id.and_then(|id| self.split.find(id, &self.dwarf, &unit, self.budget));
        let functions = match &elsewhere {
            Some(dwarf) => self.functions_at(dwarf, &self.first_unit(dwarf, &unit)?, at, address),
            None => self.functions_at(&self.dwarf, &unit, at, address),
        };
        let (name, inlined) = functions.unwrap_or_default();
        let row = line_of(self.open(&self.dwarf, unit.header)?, address).ok().flatten();
        let place = |file, line| match line {
            0 => None,
            _ => Some((self.path(&unit, file)?, line)),
        };
        let mut next = row.and_then(|(file, line)| place(file, line));
        let mut frames = Vec::new();
        for (name, call_file, call_line) in inlined.into_iter().rev() {
            let place = std::mem::replace(&mut next, place(call_file, call_line));
            frames.push(Frame { name, place });
        }
        if name.is_some() || next.is_some() || !frames.is_empty() {
            frames.push(Frame { name, place: next });
        }
        Ok(frames)
    }

    /// The unit of a file that has one.
    fn first_unit(&self, dwarf: &Dwarf<Reader>, skeleton: &Unit<Reader>) -> Result<Unit<Reader>> {
        let header = dwarf.units().next()?.ok_or(gimli::Error::MissingUnitDie)?;
        let mut unit = self.open(dwarf, header)?;
        unit.copy_relocated_attributes(skeleton);
        Ok(unit)
    }

    /// The name of the function that holds `address`, and those inlined there, the outermost first, with where they are
    /// called.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn functions_at(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        key: DebugInfoOffset,
        address: u64,
    ) -> Result<(Option<String>, Vec<(Option<String>, u64, u64)>)> {
        let functions = self.functions(dwarf, unit, key);
        if !self.budget.spend(functions.len() as u64) {
            return Ok(Default::default());
        }
        let holds = |f: &&Indexed<_>| f.begin <= address && address < f.end;
        let smallest = functions.iter().filter(holds).min_by_key(|f| f.end.saturating_sub(f.begin));
        let Some(function) = smallest else { return Ok(Default::default()) };
        let inlined = self.inlined(dwarf, unit, function.at, address)?;
        let named = |at| self.name(dwarf, unit, at, MOST_HOPS).ok().flatten();
        let inlined = inlined.iter().map(|it| (named(it.at), it.call_file, it.call_line)).collect();
        Ok((named(function.at), inlined))
    }

    /// The functions of a unit.
    fn functions(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        key: DebugInfoOffset,
    ) -> Rc<[Indexed<UnitOffset>]> {
        if let Some(known) = self.functions.borrow().get(&key.0) {
            return known.clone();
        }
        let mut all = Vec::new();
        // What is behind something broken is not known.
        let _ = self.collect_functions(dwarf, unit, &mut all);
        let all: Rc<[_]> = all.into();
        self.functions.borrow_mut().insert(key.0, all.clone());
        all
    }

    fn collect_functions(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        all: &mut Vec<Indexed<UnitOffset>>,
    ) -> Result<()> {
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let at = entries.next_offset();
            let Some(kind) = entries.read_abbreviation()? else { continue };
            entries.skip_attributes(kind.attributes())?;
            if kind.tag() == gimli::DW_TAG_subprogram {
                ranges(dwarf, unit, &unit.entry(at)?, |range| {
                    self.keep(all, range, at);
                    false
                })?;
            }
        }
        Ok(())
    }

    /// What was inlined at `address` into the function at `at`, the outermost first.
    fn inlined(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        at: UnitOffset,
        address: u64,
    ) -> Result<Vec<Inlined>> {
        let mut all: Vec<Inlined> = Vec::new();
        let mut entries = unit.entries_raw(Some(at))?;
        while !entries.is_empty() {
            let (at, depth) = (entries.next_offset(), entries.next_depth());
            let Some(kind) = entries.read_abbreviation()? else {
                if entries.next_depth() <= 0 {
                    break;
                }
                continue;
            };
            entries.skip_attributes(kind.attributes())?;
            let is_deeper = all.last().is_none_or(|last| last.depth < depth);
            if kind.tag() == gimli::DW_TAG_inlined_subroutine && is_deeper {
                let entry = unit.entry(at)?;
                let mut is_here = false;
                ranges(dwarf, unit, &entry, |range| {
                    is_here |= range.begin <= address && address < range.end;
                    is_here
                })?;
                if is_here {
                    let call_file = match entry.attr_value(gimli::DW_AT_call_file)? {
                        Some(AttributeValue::FileIndex(file)) => file,
                        _ => 0,
                    };
                    let line = entry.attr_value(gimli::DW_AT_call_line)?;
                    let call_line = line.and_then(|line| line.udata_value()).unwrap_or(0);
                    all.push(Inlined { depth, at, call_file, call_line });
                }
            }
            let is_childless = depth == 0 && !kind.has_children();
            if is_childless || all.len() == MOST_FRAMES {
                break;
            }
        }
        Ok(all)
    }

    /// What the linker calls the function of this entry, or else its own name, however often it refers to another.
    fn name(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        at: UnitOffset,
        hops: usize,
    ) -> Result<Option<String>> {
        let entry = unit.entry(at)?;
        for name in [gimli::DW_AT_linkage_name, gimli::DW_AT_MIPS_linkage_name] {
            if let Some(name) = self.string(dwarf, unit, &entry, name)? {
                return Ok(Some(name));
            }
        }
        let plain = self.string(dwarf, unit, &entry, gimli::DW_AT_name)?;
        let Some(hops) = hops.checked_sub(1).filter(|_| plain.is_none()) else { return Ok(plain) };
        for name in [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification] {
            match entry.attr_value(name)? {
                Some(AttributeValue::UnitRef(at)) => return self.name(dwarf, unit, at, hops),
                Some(AttributeValue::DebugInfoRef(at)) => {
                    let Some(other) = self.unit_with(dwarf, at)? else { continue };
                    let Some(at) = at.to_unit_offset(&other.header) else { continue };
                    return self.name(dwarf, &other, at, hops);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The unit that holds an entry.
    fn unit_with(
        &self,
        dwarf: &Dwarf<Reader>,
        at: DebugInfoOffset,
    ) -> Result<Option<Unit<Reader>>> {
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            if at.to_unit_offset(&header).is_some() {
                return self.open(dwarf, header).map(Some);
            }
        }
        Ok(None)
    }

    fn string(
        &self,
        dwarf: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        entry: &DebuggingInformationEntry<'_, '_, Reader>,
        name: gimli::DwAt,
    ) -> Result<Option<String>> {
        let Some(value) = entry.attr_value(name)? else { return Ok(None) };
        let bytes = dwarf.attr_string(unit, value)?.begin(LONGEST_NAME);
        Ok(Some(shown(&String::from_utf8_lossy(bytes))))
    }

    /// The path of a unit's file by its number.
    fn path(&self, unit: &Unit<Reader>, number: u64) -> Option<String> {
        let header = unit.line_program.as_ref()?.header();
        let file = header.file(number)?;
        let string = |value| {
            let bytes = self.dwarf.attr_string(unit, value).ok()?.begin(LONGEST_PATH);
            Some(text(bytes).into_owned())
        };
        let mut path = unit.comp_dir.map(|folder| text(folder.begin(LONGEST_PATH)).into_owned());
        let folder = file.directory(header).filter(|_| file.directory_index() != 0);
        for part in [folder.and_then(string), string(file.path_name())].into_iter().flatten() {
            let whole = path.take().map(|path| Path::new(&path).join(&part).display().to_string());
            path = Some(whole.unwrap_or(part));
        }
        path
    }
}

/// The sections of debugging information by name; `None` if they are compressed.
pub fn sections(object: &Object<'static>) -> Option<BTreeMap<String, &'static [u8]>> {
    let of_debug = |section: &&Section<'_>| section.name.starts_with(".debug_");
    let is_packed =
        |section: &Section<'_>| section.flags & COMPRESSED != 0 || section.name.starts_with(".z");
    let is_of_debug =
        |section: &&Section<'_>| of_debug(section) || section.name.starts_with(".zdebug_");
    if object.sections.iter().filter(is_of_debug).any(is_packed) {
        return None;
    }
    let all = object.sections.iter().filter(of_debug);
    Some(all.map(|section| (section.name.to_string(), section.data)).collect())
}

/// Shows `each` the ranges of addresses of an entry, until it says that it is enough. (`gimli` adds a size to an address
/// without looking whether that goes.)
fn ranges(
    dwarf: &Dwarf<Reader>,
    unit: &Unit<Reader>,
    entry: &DebuggingInformationEntry<'_, '_, Reader>,
    mut each: impl FnMut(Range) -> bool,
) -> Result<()> {
    if let Some(list) = entry.attr_value(gimli::DW_AT_ranges)?
        && let Some(mut list) = dwarf.attr_ranges(unit, list)?
    {
        while let Some(range) = list.next()? {
            if each(range) {
                break;
            }
        }
        return Ok(());
    }
    let Some(low) = entry.attr_value(gimli::DW_AT_low_pc)? else { return Ok(()) };
    let Some(begin) = dwarf.attr_address(unit, low)? else { return Ok(()) };
    let end = match entry.attr_value(gimli::DW_AT_high_pc)? {
        Some(AttributeValue::Udata(size)) => begin.checked_add(size),
        Some(high) => dwarf.attr_address(unit, high)?,
        None => None,
    };
    if let Some(end) = end {
        each(Range { begin, end });
    }
    Ok(())
}
