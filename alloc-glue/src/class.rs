//! Size classes: the sizes that small requests are rounded up to.
//!
//! Up to [`SPAN_MAX`] objects lie side by side in spans: steps of 8 bytes to 64, then four in each
//! doubling or more. Above, a block is one of the pool's, whose payload has 32k − 16 bytes: other sizes waste up to
//! half a granule. Eight classes in each doubling lose 3 % on average.
//!
//! Each class up to `SPAN_MAX` is aligned as its size is: 48 bytes to 16, 64 to 64. A request is first rounded up
//! to a multiple of its alignment; the class it is then given is a multiple of it too (checked below). Classes
//! above are aligned to 16 bytes.

use core::alloc::Layout;

/// The classes' sizes in bytes.
pub const SIZES: [u16; 40] = [
    8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, // in spans
    272, 304, 336, 368, 400, 432, 464, 496, 560, 624, 688, 752, 816, 880, 944, 1008, // blocks
    1136, 1264, 1392, 1520, 1648, 1776, 1904, 2032,
];

/// How many there are.
pub const CLASSES: usize = SIZES.len();

/// How many of them, the first ones, lie in spans.
pub const SPAN_CLASSES: usize = 16;

/// The largest size of those.
pub const SPAN_MAX: usize = SIZES[SPAN_CLASSES - 1] as usize;

/// The largest size that has a class.
pub const MAX: usize = SIZES[CLASSES - 1] as usize;

/// The alignment of classes that are blocks of the pool.
const BLOCK_ALIGN: usize = 16;

/// The class of each size, in units of 8 bytes.
static INDEX: [u8; MAX / 8 + 1] = {
    let mut index = [0; MAX / 8 + 1];
    let (mut unit, mut class) = (0, 0);
    while unit < index.len() {
        if unit * 8 > SIZES[class] as usize {
            class += 1;
        }
        index[unit] = class as u8;
        unit += 1;
    }
    index
};

// A multiple of an alignment up to SPAN_MAX has a class that is one too.
const _: () = {
    let mut align = 8;
    while align <= SPAN_MAX {
        let mut size = align;
        while size <= SPAN_MAX {
            assert!((SIZES[INDEX[size / 8] as usize] as usize).is_multiple_of(align));
            size += align;
        }
        align *= 2;
    }
};

/// The class for a layout, or `None` if it is too large or too aligned for any.
#[inline]
pub fn of(layout: Layout) -> Option<usize> {
    let align = layout.align();
    // No overflow: a layout's size, rounded up to its alignment, is at most `isize::MAX`.
    let size = (layout.size() + (align - 1)) & !(align - 1);
    // In this order each of the branches mostly goes one way.
    if size > MAX || (align > BLOCK_ALIGN && size > SPAN_MAX) {
        return None;
    }
    // SAFETY: `size` is at most MAX, a multiple of 8, so that this is at most MAX / 8.
    Some(usize::from(unsafe { *INDEX.get_unchecked((size + 7) >> 3) }))
}

/// The class for a layout among those that lie in spans.
#[inline]
pub fn of_span(layout: Layout) -> Option<usize> {
    of(layout).filter(|&class| class < SPAN_CLASSES)
}

/// The layout of a class's blocks: what the pool is asked for, and told when they go back.
#[inline]
pub fn layout(class: usize) -> Layout {
    let size = usize::from(SIZES[class]);
    let align = if class < SPAN_CLASSES { 8 } else { BLOCK_ALIGN };
    // SAFETY: powers of two, and sizes far below the limit.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}
