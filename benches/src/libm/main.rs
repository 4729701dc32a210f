//! The functions of `math.h` beside those of the C library, musl, openlibm and the crate `libm`.
//!
//! One process, the contenders in turns, the same arguments for all, new ones every round. Each is called through a
//! pointer. What counts is the median over all rounds of the ratio to the C library's time.
//!
//! - *C*: the C library this program is linked with; glibc takes FMA instructions where it finds them
//! - *musl*: `/usr/lib/x86_64-linux-musl/libc.so`, or what `MUSL` names (Debian: musl-dev)
//! - *openlibm*: what `OPENLIBM` names
//! - *libm*: the crate
//!
//! `cargo run --release -p freestone-benches --bin libm [NAME] [--svg FILE]`; with `--soft`, where floats are software

#[macro_use]
mod functions;
mod cases;
mod chart;
mod soft;

/// xorshift, Marsaglia 2003.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        let at = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * at
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut only, mut svg) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--svg" => svg = arguments.next(),
            "--soft" => return soft::measure(),
            name => only = Some(name.to_owned()),
        }
    }
    println!("| function | ns | / C | quartiles | / musl | / openlibm | / libm | quartiles |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut bars = Vec::new();
    for case in cases::all() {
        if only.as_ref().is_some_and(|only| only != case.name) {
            continue;
        }
        let times = cases::measure(&case);
        println!("{}", times.row(case.name));
        bars.push((case.name, times.median(1), times.median(4)));
    }
    if let Some(path) = svg {
        std::fs::write(path, chart::chart(&bars)).expect("a place to write to");
    }
}
