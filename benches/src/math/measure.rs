//! Rounds in which contenders take turns.

use std::hint::black_box;
use std::time::Instant;

/// Calls in a round. Each round has new arguments, because a branch predictor learns those that it
/// sees again and again, and a program's are new.
const ARGUMENTS: usize = 16_384;
const ROUNDS: usize = 101;

/// A generator with a fixed seed (xorshift, Marsaglia 2003).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Nanoseconds per call, the least of all rounds, and the ratios to the first contender's, round by
/// round. The least is what the machine can do; the rest is what else it was doing.
pub struct Times {
    pub least: Vec<f64>,
    pub ratios: Vec<Vec<f64>>,
}

/// Calls its function with each of the arguments.
pub type Contender<'a, T> = Box<dyn Fn(&[T]) + 'a>;

/// Runs each of `contenders` over the same arguments, in turns.
pub fn measure<T>(
    contenders: &[Contender<'_, T>],
    mut pick: impl FnMut(&mut Random) -> T,
) -> Times {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    let mut random = Random(2);
    for round in 0..ROUNDS + 2 {
        let arguments: Vec<T> = (0..ARGUMENTS).map(|_| pick(&mut random)).collect();
        for (at, contender) in contenders.iter().enumerate() {
            let start = Instant::now();
            black_box(contender)(&arguments);
            let took = start.elapsed().as_nanos() as f64 / ARGUMENTS as f64;
            // The first rounds warm up.
            if round >= 2 {
                times[at].push(took);
            }
        }
    }
    let least = times.iter().map(|times| times.iter().copied().fold(f64::MAX, f64::min)).collect();
    let ratios = times
        .iter()
        .map(|theirs| {
            let mut ratios: Vec<_> =
                theirs.iter().zip(&times[0]).map(|(theirs, ours)| theirs / ours).collect();
            ratios.sort_by(f64::total_cmp);
            ratios
        })
        .collect();
    Times { least, ratios }
}

/// The median and the quartiles.
pub fn quartiles(sorted: &[f64]) -> [f64; 3] {
    [1, 2, 3].map(|quarter| sorted[sorted.len() * quarter / 4])
}
