//! Rounds in which contenders take turns.

use std::hint::black_box;
use std::time::Instant;

/// Calls in a round. Each round has new arguments, because a branch predictor learns those that it
/// sees again and again, and a program's are new.
const ARGUMENTS: usize = 16_384;
const ROUNDS: usize = 31;

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

/// Calls its function with each of the arguments.
pub type Contender<'a, T> = Box<dyn Fn(&[T]) + 'a>;

/// Nanoseconds per call of each of `contenders`, which run over the same arguments in turns: the
/// medians of all rounds.
pub fn measure<T>(
    contenders: &[Contender<'_, T>],
    seed: u64,
    mut pick: impl FnMut(&mut Random) -> T,
) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    let mut random = Random(seed);
    for round in 0..ROUNDS + 2 {
        let arguments: Vec<T> = (0..ARGUMENTS).map(|_| pick(&mut random)).collect();
        for turn in 0..contenders.len() {
            // Who comes first finds the arguments further away.
            let at = (turn + round) % contenders.len();
            let start = Instant::now();
            black_box(&contenders[at])(&arguments);
            let took = start.elapsed().as_nanos() as f64 / ARGUMENTS as f64;
            // The first rounds warm up.
            if round >= 2 {
                times[at].push(took);
            }
        }
    }
    times.iter_mut().map(|times| median(times)).collect()
}

/// The middle one.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
