//! Soft float and wide integers beside the toolchain's own, the C compiler's and Berkeley SoftFloat.
//!
//! Each contender is a shared library made here out of the archive that a kernel would link, several
//! times, with its functions in another order each time: the place of a short function in memory can
//! matter more than its code, and must not decide. Two calling conventions are measured:
//!
//! - *general*: `x86_64-unknown-none`, floats in general registers, where every `+` is such a call
//! - *vector*: the host's, where the calls are for 128 bits, and complex numbers
//!
//! Every function is called through a pointer, with arguments that it has not seen before and no branch
//! predictor can know. The contenders take turns, round by round; what counts is the ratio.
//!
//! - *rust*: `compiler_builtins`, of the same compiler as ours, from its archive
//! - *SoftFloat*: Berkeley SoftFloat 3, if `SOFTFLOAT` names its archive, compiled with `-fPIC`
//! - *libgcc*: `libgcc_s.so.1`, where it has the symbol
//!
//! `math [PART OF A NAME]` prints; `math --record` writes `records/math.md` and its pictures.

mod cases;
mod images;
mod measure;
mod report;

use images::{Convention, Images};

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let recording = argument == "--record";
    let only = if recording { "" } else { argument.as_str() };
    for convention in [Convention::General, Convention::Vector] {
        let Some(images) = Images::of(convention) else { continue };
        println!("{}", report::heading(convention));
        let cases = cases::all().into_iter().filter(|case| case.name().contains(only));
        let rows: Vec<_> = cases
            .filter_map(|case| {
                let row = case.run(convention, &images)?;
                println!("{}", report::line(&row));
                Some(row)
            })
            .collect();
        if recording {
            report::write(convention, &rows).expect("benches/records is writable");
        }
    }
}
