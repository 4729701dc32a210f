//! Debug information outside the image: `split-debuginfo = "packed"` puts the information on functions into a
//! `.dwp` file beside it, `"unpacked"` into a `.dwo` file for each unit, which the image names.
//!
//! The maker of the image can write any paths there. So only regular files are opened, no more than [`MOST_BYTES`] are read
//! of all of them together, and a file whose number is not the expected one is not used.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use freestone_inspect::elf::Object;
use freestone_inspect::names::text;
use gimli::{Dwarf, DwarfPackage, DwoId, SectionId, Unit, UnitType};

use crate::image::dwarf;
use crate::image::dwarf_reader::{Budget, Reader};

/// Of all files together.
const MOST_BYTES: u64 = 256 << 20;
const MOST_FILES: usize = 4096;

const LONGEST_PATH: usize = 4096;

/// What was found for an image's units.
pub struct Split {
    package_path: PathBuf,
    package: OnceCell<Option<DwarfPackage<Reader>>>,
    found: RefCell<BTreeMap<u64, Option<Rc<Dwarf<Reader>>>>>,
    left: Cell<u64>,
    missing: RefCell<Option<String>>,
}

impl Split {
    /// For the image at this path.
    pub fn beside(image: &Path) -> Split {
        let mut package_path = image.as_os_str().to_owned();
        package_path.push(".dwp");
        Split {
            package_path: package_path.into(),
            package: OnceCell::new(),
            found: RefCell::default(),
            left: Cell::new(MOST_BYTES),
            missing: RefCell::default(),
        }
    }

    /// The first file that was not found; told once.
    pub fn missing(&self) -> Option<String> {
        self.missing.take()
    }

    /// What is elsewhere of this unit.
    pub fn find(
        &self,
        id: DwoId,
        parent: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        budget: &'static Budget,
    ) -> Option<Rc<Dwarf<Reader>>> {
        if let Some(known) = self.found.borrow().get(&id.0) {
            return known.clone();
        }
        if self.found.borrow().len() >= MOST_FILES {
            return None;
        }
        let packed = self.package(budget).and_then(|p| p.find_cu(id, parent).ok().flatten());
        let found = packed.or_else(|| self.alone(id, parent, unit, budget)).map(Rc::new);
        self.found.borrow_mut().insert(id.0, found.clone());
        found
    }

    fn package(&self, budget: &'static Budget) -> Option<&DwarfPackage<Reader>> {
        let open = || {
            let load = self.sections(&self.package_path, budget)?;
            DwarfPackage::load(load, Reader::new(&[], budget)).ok()
        };
        self.package.get_or_init(open).as_ref()
    }

    /// From a file of its own.
    fn alone(
        &self,
        id: DwoId,
        parent: &Dwarf<Reader>,
        unit: &Unit<Reader>,
        budget: &'static Budget,
    ) -> Option<Dwarf<Reader>> {
        let name = parent.attr_string(unit, unit.dwo_name().ok()??).ok()?.begin(LONGEST_PATH);
        let folder = unit.comp_dir.map(|folder| folder.begin(LONGEST_PATH)).unwrap_or_default();
        let path = Path::new(OsStr::from_bytes(folder)).join(OsStr::from_bytes(name));
        let found = self.sections(&path, budget).and_then(|load| {
            let mut dwarf = Dwarf::load(load).ok()?;
            dwarf.make_dwo(parent);
            let header = dwarf.units().next().ok()??;
            let is_it = match header.type_() {
                UnitType::SplitCompilation(own) => own == id,
                // DWARF 4 has the number in an attribute.
                _ => budget.opening(|| dwarf.unit(header)).ok()?.dwo_id == Some(id),
            };
            is_it.then_some(dwarf)
        });
        if found.is_none() {
            self.missing.borrow_mut().get_or_insert_with(|| text(name).into_owned());
        }
        found
    }

    /// The sections of a file, by what they are.
    fn sections(
        &self,
        path: &Path,
        budget: &'static Budget,
    ) -> Option<impl Fn(SectionId) -> gimli::Result<Reader> + use<>> {
        // Looked at before it is opened: opening a FIFO would wait for its writer.
        let len = fs::metadata(path).ok().filter(|about| about.is_file())?.len();
        let left = self.left.get().checked_sub(len)?;
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(len).read_to_end(&mut bytes).ok()?;
        self.left.set(left);
        budget.add(bytes.len());
        let sections =
            dwarf::sections(&Object::of("debugging information", Vec::leak(bytes)).ok()?)?;
        Some(move |id: SectionId| {
            let name = id.dwo_name().unwrap_or(id.name());
            Ok(Reader::new(sections.get(name).copied().unwrap_or_default(), budget))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::image::dwarf::Debug;

    /// A program with a function that is compiled into another, and the folder it is in.
    fn program(kind: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("freestone-{kind}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let text = "#[inline(always)] fn inner(x: &str) { println!(\"{x}\") }\n\
                    #[inline(never)] #[unsafe(no_mangle)] extern \"C\" fn outer() { inner(\"a\") }\n\
                    fn main() { outer() }\n";
        fs::write(folder.join("a.rs"), text).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["-g", "-Copt-level=1", "a.rs", &format!("-Csplit-debuginfo={kind}")]);
        assert!(rustc.current_dir(&folder).status().expect("rustc").success());
        folder
    }

    /// The names of the functions at every address of `outer`, as the file says, and what is missing.
    fn frames(folder: &Path) -> (String, Option<String>) {
        let path = folder.join("a");
        let bytes = Vec::leak(fs::read(&path).unwrap());
        let functions = crate::image::name_table::functions(bytes).unwrap();
        let (&start, _) = functions.iter().find(|(_, name)| name.as_str() == "outer").unwrap();
        let debug = Debug::of(bytes, &path).map_err(|why| why.to_string()).unwrap();
        let (&end, _) = functions.range(start + 1..).next().unwrap();
        let all = (start..end).map(|address| debug.frames(address)).collect::<Vec<_>>();
        (format!("{all:?}"), debug.missing_file())
    }

    #[test]
    fn functions_are_found_in_files_beside_the_image_or_said_to_be_missing() {
        for (kind, end) in [("off", ""), ("packed", "dwp"), ("unpacked", "dwo")] {
            let folder = program(kind);
            let (all, missing) = frames(&folder);
            assert!(all.contains("inner") && all.contains("a.rs\", 1"), "{kind}: {all}");
            assert_eq!(missing, None, "{kind}");
            let entries = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
            let files: Vec<_> =
                entries.filter(|p| p.extension().is_some_and(|e| e == end)).collect();
            assert_eq!(files.is_empty(), kind == "off", "{kind}: {files:?}");
            // A FIFO in its place must not be waited for.
            for file in &files {
                fs::remove_file(file).unwrap();
                assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
            }
            let (all, missing) = frames(&folder);
            assert_eq!(missing.is_some(), kind != "off", "{kind}: {all}");
            // The lines are in the image.
            assert!(all.contains("a.rs\", 1"), "{kind}: {all}");
            assert_eq!(all.contains("inner"), kind == "off", "{kind}: {all}");
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
