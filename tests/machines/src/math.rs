//! Arithmetic and the functions of `Float` on another machine: the same bits as on the host. Where the target has no
//! floats, every operator is a call of `math`'s symbols.
#![no_std]
#![no_main]

#[path = "../../../math/tests/answers.rs"]
mod answers;
mod machine;

use core::fmt::Write;

// For memcpy.
use freestone_mem as _;

machine::report_panics!();

extern "C" fn main() -> ! {
    let float = if cfg!(any(
        target_abi = "softfloat",
        all(target_arch = "x86", not(target_feature = "sse2"))
    )) {
        "software"
    } else {
        "hardware"
    };
    let _ = writeln!(machine::Output, "floats by {float}");
    for (what, found, wanted) in [
        ("operators", answers::operators(), answers::ANSWER),
        ("functions", answers::functions(), answers::ANSWER),
        ("methods", answers::methods(), answers::OF_METHODS),
    ] {
        let judgement = if found == wanted { "right" } else { "WRONG" };
        let _ = writeln!(machine::Output, "{what}: {judgement}, {found:#x}");
    }
    machine::exit(0)
}
