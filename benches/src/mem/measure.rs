//! One case: buffers, calls, a check of the result, and rounds in which the contenders take turns.

use std::ffi::c_void;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::cases::{Case, Place, Routine, Size};
use crate::contenders::Contender;

/// How many different calls a mix consists of: more than a branch predictor learns.
const MIX_CALLS: usize = 65_536;
const FIXED_CALLS: usize = 64;
/// What the buffers' addresses are multiples of.
const PAGE: usize = 4096;
/// Rounds take turns at so many places, a page apart: at some addresses everybody is slow, because a
/// cache takes them for others.
const PLACES: usize = 16;
/// What a batch of equal calls should take: long beside reading the clock, short beside a
/// scheduler's slice.
const BATCH: Duration = Duration::from_micros(25);

/// Nanoseconds per call: quartiles over the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// Offsets into the arena.
#[derive(Clone, Copy)]
struct Call {
    dst: u32,
    src: u32,
    n: u32,
}

/// Memory for the largest case, on a page boundary.
pub struct Arena {
    bytes: Vec<u8>,
    start: usize,
}

impl Arena {
    pub fn new() -> Self {
        let bytes = vec![0x5a; 2 * (16 << 20) + (64 + PLACES) * PAGE];
        let start = bytes.as_ptr().align_offset(PAGE);
        Self { bytes, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

fn size(size: Size, random: &mut Random) -> usize {
    match size {
        Size::Fixed(n) => n,
        Size::Mix => match random.below(100) {
            0..4 => 0,
            4..44 => 1 + random.below(8),
            44..71 => 9 + random.below(8),
            71..88 => 17 + random.below(16),
            _ => 33 + random.below(32),
        },
        Size::WideMix => {
            let top = 1 << random.below(11);
            top / 2 + random.below(top / 2 + 1)
        }
    }
}

/// The calls of a case, and the bytes prepared for them.
fn prepare(case: &Case, arena: &mut Arena) -> Vec<Call> {
    let mut random = Random(case.name().len() as u64);
    let count = if let Size::Fixed(n) = case.size {
        if n <= 4096 { FIXED_CALLS } else { 1 }
    } else {
        MIX_CALLS
    };
    let mixed = count == MIX_CALLS;
    let fill = if case.place == Place::HighBytes { 0x81 } else { 0x5a };
    let longest = if let Size::Fixed(n) = case.size { n } else { 16 * PAGE };
    let memory = arena.bytes();
    let used = (2 * longest + (40 + PLACES) * PAGE).min(memory.len());
    memory[..used].fill(fill);
    (0..count)
        .map(|_| {
            let n = size(case.size, &mut random);
            // The second buffer starts past the first, both on pages.
            let far = longest.next_multiple_of(PAGE) + 2 * PAGE;
            // Mixes are spread over a few pages, so that no call sees the one before.
            let spread = if mixed { 64 * random.below(128) } else { 0 };
            let (dst, src) = match case.place {
                Place::Aligned | Place::HighBytes => (far + PAGE / 2 + spread, spread),
                Place::Misaligned if mixed => {
                    (far + PAGE / 2 + spread + random.below(16), spread + random.below(16))
                }
                Place::Misaligned => (far + PAGE / 2 + 3, 1),
                Place::SamePage => (far + 3, 1),
                Place::Above(by) => (PAGE + spread + by, PAGE + spread),
                Place::Below(by) => (PAGE + spread, PAGE + spread + by),
            };
            Call { dst: dst as u32, src: src as u32, n: n as u32 }
        })
        .collect()
}

/// Measures `contenders` on `case`; `None` for whoever lacks the routine.
pub fn measure(
    case: &Case,
    contenders: &[Contender],
    arena: &mut Arena,
    rounds: usize,
) -> Vec<Option<Time>> {
    let mut calls = prepare(case, arena);
    if case.routine == Routine::Strlen {
        calls = strings(case, calls, arena);
    }
    for contender in contenders {
        check(case, contender, &calls, arena);
    }
    let base = arena.bytes().as_mut_ptr();
    let run = |contender: &Contender, repeat: usize, place: usize| -> Option<Duration> {
        // Strings are where they are; all other bytes are the same everywhere.
        let place = if case.routine == Routine::Strlen { 0 } else { place % PLACES };
        batch(case.routine, contender, base.wrapping_add(place * PAGE), &calls, repeat)
    };
    // As many repetitions for everybody: found with whoever comes first.
    let mut repeat = 1;
    if calls.len() < MIX_CALLS {
        let first = contenders.iter().find(|contender| run(contender, 1, 0).is_some());
        if let Some(first) = first {
            while run(first, repeat, 0).is_some_and(|took| took < BATCH) {
                repeat *= 2;
            }
        }
    }
    let slow = matches!(case.size, Size::Fixed(n) if n >= 1 << 20) || calls.len() == MIX_CALLS;
    let rounds = if slow { rounds / 3 + 3 } else { rounds };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Another first one in each round: nobody always follows the same neighbour's mess.
            let who = (turn + round) % contenders.len();
            if let Some(took) = run(&contenders[who], repeat, round) {
                times[who].push(took.as_nanos() as f64 / (repeat * calls.len()) as f64);
            }
        }
    }
    times.into_iter().map(quartiles).collect()
}

fn quartiles(mut times: Vec<f64>) -> Option<Time> {
    times.sort_by(f64::total_cmp);
    let at = |quarter: usize| times.get(times.len() * quarter / 4).copied();
    Some(Time { low: at(1)?, median: at(2)?, high: at(3)? })
}

/// Cuts the arena into strings: each of the calls gets one of its own length.
fn strings(case: &Case, calls: Vec<Call>, arena: &mut Arena) -> Vec<Call> {
    let memory = arena.bytes();
    let mut random = Random(7);
    let mut at = 0;
    let fixed = calls.len() < MIX_CALLS;
    if fixed {
        let offset = usize::from(case.place == Place::Misaligned);
        memory[offset + calls[0].n as usize] = 0;
        return calls.into_iter().map(|call| Call { src: offset as u32, ..call }).collect();
    }
    calls
        .into_iter()
        .map(|call| {
            let offset = match case.place {
                Place::Misaligned if fixed => 1,
                Place::Misaligned => random.below(16),
                _ => 0,
            };
            // A mix reuses its places: strings of the same slot must have the same length, so slots
            // are never reused and the arena is long enough for all.
            let src = at + offset;
            memory[at..src + call.n as usize].fill(0x5a);
            memory[src + call.n as usize] = 0;
            at = (src + call.n as usize + 1).next_multiple_of(64);
            Call { src: src as u32, ..call }
        })
        .collect()
}

/// Runs every call once and compares what it did with what it should.
fn check(case: &Case, contender: &Contender, calls: &[Call], arena: &mut Arena) {
    contender.prepare();
    for call in calls.iter().take(2000) {
        let (dst, src, n) = (call.dst as usize, call.src as usize, call.n as usize);
        let memory = arena.bytes();
        let base = memory.as_mut_ptr();
        // SAFETY: `prepare` stays inside the arena, with pages to spare on either side.
        let (to, from) =
            unsafe { (base.add(dst).cast::<c_void>(), base.add(src).cast::<c_void>()) };
        let fail = || {
            if contender.name != "nop" {
                panic!("{} is wrong: {}, {n} bytes", contender.name, case.name())
            }
        };
        match case.routine {
            Routine::Memcpy | Routine::Memmove => {
                let function = if case.routine == Routine::Memcpy {
                    contender.memcpy
                } else {
                    contender.memmove
                };
                let Some(function) = function else { return };
                let before: Vec<u8> = memory[src..src + n].to_vec();
                for (i, byte) in memory[src..src + n].iter_mut().enumerate() {
                    *byte = (i * 31 + 7) as u8;
                }
                let want: Vec<u8> = (0..n).map(|i| (i * 31 + 7) as u8).collect();
                // SAFETY: both ranges are inside the arena, apart where `memcpy` wants it.
                let returned = unsafe { function(to, from, n) };
                if returned != to || memory[dst..dst + n] != want {
                    fail();
                }
                memory[dst..dst + n].fill(0x5a);
                memory[src..src + n].copy_from_slice(&before);
            }
            Routine::Memset => {
                let Some(function) = contender.memset else { return };
                // SAFETY: the range is inside the arena.
                unsafe { function(to, 0x1c3, n) };
                if memory[dst..dst + n].iter().any(|byte| *byte != 0xc3) || memory[dst + n] == 0xc3
                {
                    fail();
                }
                memory[dst..dst + n].fill(0x5a);
            }
            Routine::Memcmp | Routine::Bcmp => {
                let function =
                    if case.routine == Routine::Memcmp { contender.memcmp } else { contender.bcmp };
                let Some(function) = function else { return };
                // SAFETY: both ranges are inside the arena.
                if unsafe { function(to, from, n) } != 0 {
                    fail();
                }
                if n > 0 {
                    memory[src + n - 1] = 0xa5;
                    // SAFETY: as above.
                    let order = unsafe { function(to, from, n) };
                    if order == 0 || (case.routine == Routine::Memcmp && order > 0) {
                        fail();
                    }
                    memory[src + n - 1] = 0x5a;
                }
            }
            Routine::Strlen => {
                let Some(function) = contender.strlen else { return };
                // SAFETY: `strings` ended this one inside the arena.
                if unsafe { function(from.cast()) } != n {
                    fail();
                }
            }
        }
    }
}

/// One loop per routine, so that nothing but the call differs between contenders.
fn batch(
    routine: Routine,
    contender: &Contender,
    base: *mut u8,
    calls: &[Call],
    repeat: usize,
) -> Option<Duration> {
    contender.prepare();
    macro_rules! time {
        ($call:ident => $run:expr) => {{
            let start = Instant::now();
            for _ in 0..repeat {
                for $call in calls {
                    // SAFETY: `check` ran the same calls, which stay inside the arena.
                    unsafe { black_box($run) };
                }
            }
            Some(start.elapsed())
        }};
    }
    let dst = |call: &Call| base.wrapping_add(call.dst as usize).cast::<c_void>();
    let src = |call: &Call| base.wrapping_add(call.src as usize).cast::<c_void>();
    match routine {
        Routine::Memcpy => {
            let function = contender.memcpy?;
            time!(call => function(dst(call), src(call), call.n as usize))
        }
        Routine::Memmove => {
            let function = contender.memmove?;
            time!(call => function(dst(call), src(call), call.n as usize))
        }
        Routine::Memset => {
            let function = contender.memset?;
            time!(call => function(dst(call), 0x5a, call.n as usize))
        }
        Routine::Memcmp => {
            let function = contender.memcmp?;
            time!(call => function(dst(call), src(call), call.n as usize))
        }
        Routine::Bcmp => {
            let function = contender.bcmp?;
            time!(call => function(dst(call), src(call), call.n as usize))
        }
        Routine::Strlen => {
            let function = contender.strlen?;
            time!(call => function(src(call).cast()))
        }
    }
}
