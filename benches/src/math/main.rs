//! Soft float and wide integers beside the toolchain's own, the C compiler's and Berkeley SoftFloat.
//!
//! Every symbol is called through a pointer with the same arguments and the same calling convention.
//! The arguments are more than a branch predictor learns, because that is how arithmetic is called.
//! The contenders take turns, batch by batch, and what counts is the ratio of their times.
//!
//! - *rust*: the `compiler_builtins` of the toolchain that builds this, which any program links
//! - *gcc*: `libgcc_s.so.1`, where it is and has the symbol
//! - *SoftFloat*: a shared library of Berkeley SoftFloat 3 named by `SOFTFLOAT`, if there is one

mod cases;
mod measure;
mod rivals;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    println!(
        "| symbol | arguments | ns | rust / ours | quartiles | gcc / ours | SoftFloat / ours |"
    );
    println!("|---|---|---|---|---|---|---|");
    for case in cases::all().into_iter().filter(|case| case.name().contains(&only)) {
        println!("{}", case.run());
    }
}
