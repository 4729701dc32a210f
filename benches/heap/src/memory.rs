//! How much of a 16 MiB arena can be used: bytes that callers asked for, in percent of the arena.

use std::alloc::{GlobalAlloc, Layout};

use crate::cases::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The mix, three allocations to two frees, up to the first failure.
    Grow,
    /// The same with objects of 8 to 128 bytes.
    Small,
    /// 70 % live, 400 000 replacements, then as `Grow`.
    Hold,
    /// Pages: 4 KiB at 4 KiB.
    Pages,
}

pub const ARENA: usize = 16 << 20;

pub const FILLS: [(Fill, &str); 4] = [
    (Fill::Grow, "mix"),
    (Fill::Hold, "mix, after 400 000 replacements at 70 %"),
    (Fill::Small, "up to 128 bytes"),
    (Fill::Pages, "4 KiB at 4 KiB"),
];

pub fn fill<G: GlobalAlloc>(heap: &G, what: Fill) -> f64 {
    let mut random = Random(0x9e37_79b9);
    let mut live: Vec<(*mut u8, Layout)> = Vec::new();
    let mut bytes = 0;
    let draw = |random: &mut Random| {
        let (size, align) = match what {
            Fill::Grow | Fill::Hold => (tail(random), 8),
            Fill::Small => (8 + random.below(121), 8),
            Fill::Pages => (4096, 4096),
        };
        Layout::from_size_align(size, align).unwrap()
    };
    let free = |live: &mut Vec<(*mut u8, Layout)>, at: usize| {
        let (block, layout) = live.swap_remove(at);
        // SAFETY: allocated with this layout, freed once.
        unsafe { heap.dealloc(block, layout) };
        layout.size()
    };
    if what == Fill::Hold {
        for _ in 0..400_000 {
            while bytes > ARENA * 7 / 10 {
                let at = random.below(live.len());
                bytes -= free(&mut live, at);
            }
            let layout = draw(&mut random);
            // SAFETY: no size is 0.
            let block = unsafe { heap.alloc(layout) };
            if !block.is_null() {
                bytes += layout.size();
                live.push((block, layout));
            }
        }
    }
    loop {
        if what != Fill::Pages && random.below(5) >= 3 && !live.is_empty() {
            let at = random.below(live.len());
            bytes -= free(&mut live, at);
            continue;
        }
        let layout = draw(&mut random);
        // SAFETY: no size is 0.
        let block = unsafe { heap.alloc(layout) };
        if block.is_null() {
            break;
        }
        bytes += layout.size();
        live.push((block, layout));
    }
    // The arena is not used again, and heaps that search lists would take minutes to free it all.
    bytes as f64 * 100.0 / ARENA as f64
}

/// The mix with a tail: two of a thousand are up to 64 KiB.
fn tail(random: &mut Random) -> usize {
    if random.below(1000) < 2 { 8192 + random.below(57_344) } else { random.size() }
}
