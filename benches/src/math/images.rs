//! The contenders as shared libraries, each in several orders of its functions.

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::{File, Symbol};
use freestone_tests::sysroot::sysroot;
use freestone_tests::{cargo, root, run, target};

/// In how many orders.
pub const PLACES: usize = 7;

/// How floats are passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    General,
    Vector,
}

/// The functions of one library, by name.
pub type Image = BTreeMap<String, *const c_void>;

/// Everybody, in each order.
pub struct Images {
    pub ours: Vec<Image>,
    pub rust: Vec<Image>,
    pub softfloat: Vec<Image>,
    libgcc: *mut c_void,
}

impl Images {
    /// `None` where the target cannot be built for; the reason is printed.
    pub fn of(convention: Convention) -> Option<Self> {
        let (folder, ours, builtins) = match convention {
            Convention::General => {
                let sysroot = sysroot("x86_64-unknown-none")?;
                let folder = target().join("bench-math");
                let mut command = sysroot.cargo("");
                build(command.arg("build").arg("--target-dir").arg(&folder));
                (folder.join("x86_64-unknown-none/release"), "soft", builtins(&sysroot.libraries()))
            }
            Convention::Vector => {
                let folder = target().join("bench-math");
                build(cargo(root()).arg("build").arg("--target-dir").arg(&folder));
                let libraries = rustc(&["--print", "target-libdir"]);
                (folder.join("release"), "hard", builtins(Path::new(&libraries)))
            }
        };
        let libm = archive(&folder.join("deps"), "liblibm-");
        let crate_itself = folder.join("libfreestone_math.rlib");
        let images = |name: &str, whole: &Path, part: Option<&Path>| {
            let name = format!("{ours}-{name}");
            (1..=PLACES).map(|seed| open(&link(&name, whole, part, seed))).collect::<Vec<_>>()
        };
        let softfloat = std::env::var_os("SOFTFLOAT").filter(|_| convention == Convention::General);
        Some(Self {
            ours: images("ours", &crate_itself, Some(&libm)),
            rust: images("rust", &builtins, None),
            softfloat: softfloat
                .map_or_else(Vec::new, |path| images("softfloat", path.as_ref(), None)),
            libgcc: load(c"libgcc_s.so.1".into()).unwrap_or(std::ptr::null_mut()),
        })
    }

    /// A function in `libgcc_s`.
    pub fn libgcc(&self, name: &str) -> Option<*const c_void> {
        if self.libgcc.is_null() {
            return None;
        }
        let name = CString::new(name).expect("symbols have no zeros");
        // SAFETY: the library is open and stays so; the name ends in zero.
        let found = unsafe { libc::dlsym(self.libgcc, name.as_ptr()) };
        (!found.is_null()).then_some(found.cast_const())
    }
}

fn build(command: &mut Command) {
    command.args(["--quiet", "--release", "-p", "freestone-math", "--features", "export"]);
    let built = run(command);
    assert_eq!(built.status, Some(0), "{built}");
}

fn rustc(arguments: &[&str]) -> String {
    run(Command::new("rustc").args(arguments)).stdout.trim().to_owned()
}

fn builtins(libraries: &Path) -> PathBuf {
    archive(libraries, "libcompiler_builtins-")
}

/// The newest file that begins with `start`.
fn archive(folder: &Path, start: &str) -> PathBuf {
    let files = std::fs::read_dir(folder).expect("it was just built").flatten();
    let fits = files.filter(|file| {
        let name = file.file_name().into_string().unwrap_or_default();
        name.starts_with(start) && name.ends_with(".rlib")
    });
    let newest = fits.max_by_key(|file| file.metadata().and_then(|data| data.modified()).ok());
    newest.unwrap_or_else(|| panic!("no {start}*.rlib in {}", folder.display())).path()
}

/// Makes a shared library with the functions in an order made from `seed`.
fn link(name: &str, whole: &Path, part: Option<&Path>, seed: usize) -> PathBuf {
    let image = target().join("bench-math").join(format!("{name}-{seed}.so"));
    let linker = Path::new(&rustc(&["--print", "target-libdir"])).join("../bin/rust-lld");
    let mut command = Command::new(linker);
    command.args(["-flavor", "gnu", "-shared", "-Bsymbolic", "--whole-archive"]).arg(whole);
    command.arg("--no-whole-archive").args(part);
    command.arg(format!("--shuffle-sections=.text*={seed}")).arg("-o").arg(&image);
    let linked = run(&mut command);
    assert_eq!(linked.status, Some(0), "{linked}");
    // Again with nothing in place of the rest of `core`: panics that are never reached.
    let mut names = Vec::new();
    symbols(&image, |symbol| {
        let mangled = symbol.name.starts_with("_R") || symbol.name.starts_with("_ZN");
        if symbol.is_undefined() && (mangled || symbol.name == "rust_eh_personality") {
            names.push(format!("--defsym={}=0", symbol.name));
        }
    });
    let linked = run(command.args(names));
    assert_eq!(linked.status, Some(0), "{linked}");
    image
}

fn load(name: CString) -> Option<*mut c_void> {
    // SAFETY: the name ends in zero. The library has no initialisers, or a C runtime's. What it lacks
    // is bound when called.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
    (!library.is_null()).then_some(library)
}

/// What the C library says of a library: the first member of `struct link_map`, see dlinfo(3).
#[repr(C)]
struct LinkMap {
    address: usize,
}

/// Loads a library and finds all of its functions, also those that it hides.
fn open(path: &Path) -> Image {
    let name = CString::new(path.to_str().expect("a path in UTF-8")).expect("no zeros");
    let library = load(name).unwrap_or_else(|| panic!("{} cannot be loaded", path.display()));
    let mut map: *const LinkMap = std::ptr::null();
    // SAFETY: the library is open; the request gives one pointer, to what stays as long as it.
    let address = unsafe {
        let asked = libc::dlinfo(library, libc::RTLD_DI_LINKMAP, (&raw mut map).cast());
        assert_eq!(asked, 0, "{}: no address", path.display());
        (*map).address
    };
    let mut image = Image::new();
    symbols(path, |symbol| {
        if !symbol.is_undefined() {
            let place = address + symbol.address as usize;
            image.insert(symbol.name.to_string(), place as *const c_void);
        }
    });
    image
}

fn symbols(library: &Path, mut each: impl FnMut(&Symbol<'_>)) {
    let file = File::open(library).expect("it was just linked");
    for object in file.objects().expect("a library") {
        object.expect("a readable library").symbols().iter().for_each(&mut each);
    }
}
