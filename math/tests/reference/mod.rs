//! MPFR as the judge: `libmpfr.so.6`, which comes with every C compiler on Debian, loaded at run time, so that
//! building the tests needs nothing. Where it is missing, a test says that it has not run.

#![allow(dead_code, unused_imports)] // each test uses a part

pub mod functions;

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::mem::transmute;

/// MPFR's own number (`mpfr_t`): what mpfr.h says, kept at one address.
#[repr(C)]
pub struct Number {
    precision: c_long,
    sign: c_int,
    exponent: c_long,
    limbs: *mut c_void,
}

const NEAREST: c_int = 0;

type Unary = unsafe extern "C" fn(*mut Number, *const Number, c_int) -> c_int;
type Binary = unsafe extern "C" fn(*mut Number, *const Number, *const Number, c_int) -> c_int;
type Gamma = unsafe extern "C" fn(*mut Number, *mut c_int, *const Number, c_int) -> c_int;

/// The library, and three numbers to compute with.
pub struct Mpfr {
    library: *mut c_void,
    numbers: Box<[Number; 3]>,
    set: unsafe extern "C" fn(*mut Number, f64, c_int) -> c_int,
    get: unsafe extern "C" fn(*const Number, c_int) -> f64,
    get_single: unsafe extern "C" fn(*const Number, c_int) -> f32,
    subtract: Binary,
    scale: unsafe extern "C" fn(*mut Number, *const Number, c_long, c_int) -> c_int,
}

/// A function of MPFR's.
#[derive(Clone, Copy)]
pub enum Function {
    One(Unary),
    Two(Binary),
    LogGamma(Gamma),
}

impl Mpfr {
    /// With numbers of `bits` bits.
    pub fn new(bits: i64) -> Option<Self> {
        // SAFETY: the name ends in zero; MPFR's initialisers only set up the library.
        let library = unsafe { libc::dlopen(c"libmpfr.so.6".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        let find = |name: &str| {
            let name = CString::new(name).unwrap();
            // SAFETY: an open library, and a name that ends in zero.
            let found = unsafe { libc::dlsym(library, name.as_ptr() as *const c_char) };
            assert!(!found.is_null(), "MPFR has no {name:?}");
            found
        };
        // SAFETY: mpfr.h declares these functions with these types.
        let (init, set, get, get_single, subtract, scale) = unsafe {
            (
                transmute::<*mut c_void, unsafe extern "C" fn(*mut Number, c_long)>(find(
                    "mpfr_init2",
                )),
                transmute::<*mut c_void, unsafe extern "C" fn(*mut Number, f64, c_int) -> c_int>(
                    find("mpfr_set_d"),
                ),
                transmute::<*mut c_void, unsafe extern "C" fn(*const Number, c_int) -> f64>(find(
                    "mpfr_get_d",
                )),
                transmute::<*mut c_void, unsafe extern "C" fn(*const Number, c_int) -> f32>(find(
                    "mpfr_get_flt",
                )),
                transmute::<*mut c_void, Binary>(find("mpfr_sub")),
                transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut Number, *const Number, c_long, c_int) -> c_int,
                >(find("mpfr_mul_2si")),
            )
        };
        let mut numbers = Box::new([(); 3].map(|()| Number {
            precision: 0,
            sign: 0,
            exponent: 0,
            limbs: std::ptr::null_mut(),
        }));
        for number in numbers.iter_mut() {
            // SAFETY: a place for a number.
            unsafe { init(number, bits) };
        }
        Some(Self { library, numbers, set, get, get_single, subtract, scale })
    }

    fn find(&self, name: &str) -> *mut c_void {
        let name = CString::new(format!("mpfr_{name}")).unwrap();
        // SAFETY: the library is open, the name ends in zero.
        let found = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        assert!(!found.is_null(), "MPFR has no {name:?}");
        found
    }

    pub fn one(&self, name: &str) -> Function {
        // SAFETY: the caller names a function of one argument.
        Function::One(unsafe { transmute::<*mut c_void, Unary>(self.find(name)) })
    }

    pub fn two(&self, name: &str) -> Function {
        // SAFETY: the caller names a function of two arguments.
        Function::Two(unsafe { transmute::<*mut c_void, Binary>(self.find(name)) })
    }

    /// ln |Γ|, which also tells the sign of Γ.
    pub fn log_gamma(&self) -> Function {
        // SAFETY: this is its signature in mpfr.h.
        Function::LogGamma(unsafe { transmute::<*mut c_void, Gamma>(self.find("lgamma")) })
    }

    fn compute(&mut self, function: Function, x: f64, y: f64) {
        let [result, first, second] = &mut *self.numbers;
        let mut sign = 0;
        // SAFETY: three initialised numbers; the functions have the signatures they were found with.
        unsafe {
            (self.set)(first, x, NEAREST);
            match function {
                Function::One(function) => function(result, first, NEAREST),
                Function::LogGamma(function) => function(result, &mut sign, first, NEAREST),
                Function::Two(function) => {
                    (self.set)(second, y, NEAREST);
                    function(result, first, second, NEAREST)
                }
            };
        }
    }

    /// The result rounded to `f32`.
    pub fn single(&mut self, function: Function, x: f64) -> f32 {
        self.compute(function, x, 0.0);
        // SAFETY: an initialised number.
        unsafe { (self.get_single)(&self.numbers[0], NEAREST) }
    }

    /// The result rounded to `f64`, and how far `value` is from what it was before, in units of the last
    /// place of the `f64` or `f32` nearest to the result.
    pub fn distance(
        &mut self,
        function: Function,
        (x, y): (f64, f64),
        value: f64,
        single: bool,
    ) -> (f64, f64) {
        self.compute(function, x, y);
        let [result, first, _] = &mut *self.numbers;
        // SAFETY: initialised numbers.
        unsafe {
            let rounded = (self.get)(result, NEAREST);
            (self.set)(first, value, NEAREST);
            (self.subtract)(result, first, result, NEAREST);
            let first: *const Number = result;
            (self.scale)(result, first, -last_place(rounded, single), NEAREST);
            (rounded, (self.get)(result, NEAREST).abs())
        }
    }
}

/// The exponent of one unit in the last place.
fn last_place(value: f64, single: bool) -> c_long {
    let exponent = (value.abs().to_bits() >> 52) as c_long - 1023;
    if single { exponent.max(-126) - 23 } else { exponent.max(-1022) - 52 }
}
