//! What is measured, with which arguments, and how.

use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::mem::transmute;
use std::sync::OnceLock;
use std::time::Instant;

use freestone_math::export;

use crate::Random;

/// Calls in a round, and rounds.
const ARGUMENTS: usize = 4096;
const ROUNDS: usize = 151;

#[derive(Clone, Copy)]
pub enum Call {
    One(extern "C" fn(f64) -> f64),
    Two(extern "C" fn(f64, f64) -> f64),
    OneSingle(extern "C" fn(f32) -> f32),
    TwoSingle(extern "C" fn(f32, f32) -> f32),
}

pub struct Case {
    pub name: &'static str,
    ours: Call,
    krate: Call,
    found: fn(*const c_void) -> Call,
    x: (f64, f64),
    y: (f64, f64),
}

/// Stamps out the table: `One exp (-10.0, 10.0);` is `exp` of ours, of `libm`, and how to call an address.
macro_rules! cases {
    ($($kind:ident $name:ident $x:expr $(, $y:expr)?;)*) => {
        pub fn all() -> Vec<Case> {
            vec![$({
                cases!(@crate $kind $name);
                Case {
                    name: stringify!($name),
                    ours: Call::$kind(export::$name),
                    krate: Call::$kind(of_crate),
                    // SAFETY: every library has C's function under C's name.
                    found: |address| Call::$kind(unsafe { transmute::<*const c_void, cases!(@type $kind)>(address) }),
                    x: $x,
                    y: ($((($y).0, ($y).1),)? (0.0, 0.0),).0,
                }
            }),*]
        }
    };
    (@type One) => { extern "C" fn(f64) -> f64 };
    (@type Two) => { extern "C" fn(f64, f64) -> f64 };
    (@type OneSingle) => { extern "C" fn(f32) -> f32 };
    (@type TwoSingle) => { extern "C" fn(f32, f32) -> f32 };
    (@crate One $name:ident) => { extern "C" fn of_crate(x: f64) -> f64 { libm::$name(x) } };
    (@crate Two $name:ident) => { extern "C" fn of_crate(x: f64, y: f64) -> f64 { libm::$name(x, y) } };
    (@crate OneSingle $name:ident) => { extern "C" fn of_crate(x: f32) -> f32 { libm::$name(x) } };
    (@crate TwoSingle $name:ident) => { extern "C" fn of_crate(x: f32, y: f32) -> f32 { libm::$name(x, y) } };
}

functions!(cases);

/// The function of that name in a shared library.
fn find(library: *mut c_void, name: &str) -> Option<*const c_void> {
    let name = CString::new(name).expect("symbols have no zeros");
    // SAFETY: the library is open or the default; the name ends in zero.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!found.is_null()).then_some(found.cast_const())
}

/// Opens what a variable names, else `default`; null is the default library, so a missing one is `None`.
fn open(variable: &str, default: &str) -> Option<*mut c_void> {
    let path = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let path = CString::new(path).expect("paths have no zeros");
    // SAFETY: the path ends in zero; the initialisers are a C library's.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    (!library.is_null()).then_some(library)
}

/// Nanoseconds per call of each contender, round by round: ours, C, musl, openlibm, the crate.
pub struct Times(Vec<Vec<f64>>);

impl Times {
    fn ratios(&self, at: usize) -> Vec<f64> {
        let theirs = self.0[at].iter();
        let mut ratios: Vec<_> = self.0[0].iter().zip(theirs).map(|(ours, it)| ours / it).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The median of our time over that of another.
    pub fn median(&self, at: usize) -> f64 {
        let ratios = self.ratios(at);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub fn row(&self, name: &str) -> String {
        let least = self.0[0].iter().copied().fold(f64::MAX, f64::min);
        let quartiles = |at: usize| {
            let ratios = self.ratios(at);
            match ratios.len() {
                0 => "-".to_owned(),
                n => format!("{:.2} to {:.2}", ratios[n / 4], ratios[n * 3 / 4]),
            }
        };
        let median = |at: usize| match self.median(at) {
            ratio if ratio.is_nan() => "-".to_owned(),
            ratio => format!("{ratio:.2}"),
        };
        format!(
            "| `{name}` | {least:.2} | **{}** | {} | {} | {} | **{}** | {} |",
            median(1),
            quartiles(1),
            median(2),
            median(3),
            median(4),
            quartiles(4)
        )
    }
}

fn run(call: Call, arguments: &[(f64, f64)], singles: &[(f32, f32)]) -> f64 {
    let start = Instant::now();
    match call {
        Call::One(function) => {
            for &(x, _) in arguments {
                black_box(function(x));
            }
        }
        Call::Two(function) => {
            for &(x, y) in arguments {
                black_box(function(x, y));
            }
        }
        Call::OneSingle(function) => {
            for &(x, _) in singles {
                black_box(function(x));
            }
        }
        Call::TwoSingle(function) => {
            for &(x, y) in singles {
                black_box(function(x, y));
            }
        }
    }
    start.elapsed().as_nanos() as f64 / arguments.len() as f64
}

/// Runs all contenders in turns.
pub fn measure(case: &Case) -> Times {
    static HOST: OnceLock<usize> = OnceLock::new();
    static MUSL: OnceLock<usize> = OnceLock::new();
    static OPENLIBM: OnceLock<usize> = OnceLock::new();
    let opened = |lock: &OnceLock<usize>, variable, default| {
        let library = *lock.get_or_init(|| open(variable, default).map_or(0, |it| it as usize));
        (library != 0).then_some(library as *mut c_void)
    };
    let host = opened(&HOST, "LIBM", "libm.so.6");
    let musl = opened(&MUSL, "MUSL", "/usr/lib/x86_64-linux-musl/libc.so");
    let openlibm = opened(&OPENLIBM, "OPENLIBM", "libopenlibm.so");
    let in_library = |library: Option<*mut c_void>| Some((case.found)(find(library?, case.name)?));
    let contenders = [
        Some(case.ours),
        in_library(host),
        in_library(musl),
        in_library(openlibm),
        Some(case.krate),
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..ROUNDS + 3 {
        let arguments: Vec<_> =
            (0..ARGUMENTS).map(|_| (random.between(case.x), random.between(case.y))).collect();
        let singles: Vec<_> = arguments.iter().map(|&(x, y)| (x as f32, y as f32)).collect();
        for (contender, times) in contenders.iter().zip(&mut times) {
            let Some(contender) = contender else { continue };
            let took = run(*contender, &arguments, &singles);
            // The first rounds warm up.
            if round >= 3 {
                times.push(took);
            }
        }
    }
    Times(times)
}
