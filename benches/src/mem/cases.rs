//! What is measured, as data: routines, sizes, and how the buffers lie.

/// The six, and the two ways `memmove` differs from `memcpy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Routine {
    Memcpy,
    Memmove,
    Memset,
    Memcmp,
    Bcmp,
    Strlen,
}

impl Routine {
    pub const ALL: [Self; 6] =
        [Self::Memcpy, Self::Memmove, Self::Memset, Self::Memcmp, Self::Bcmp, Self::Strlen];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memcpy => "memcpy",
            Self::Memmove => "memmove",
            Self::Memset => "memset",
            Self::Memcmp => "memcmp",
            Self::Bcmp => "bcmp",
            Self::Strlen => "strlen",
        }
    }
}

/// How many bytes each call handles.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Size {
    /// The same every time: branches are predicted.
    Fixed(usize),
    /// Unpredictable up to 64, short ones more often: 4 % none, 40 % to 8, 27 % to 16, 17 % to 32.
    Mix,
    /// Unpredictable up to 1024, each power of two as likely as the next.
    WideMix,
}

/// Where the buffers lie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// On cache lines, half a page apart modulo pages.
    Aligned,
    /// Source one, destination three bytes past that.
    Misaligned,
    /// The same, with the same offset in their pages: loads look as if they needed earlier stores.
    SamePage,
    /// Destination this many bytes above the source, in one buffer.
    Above(usize),
    /// Destination this many bytes below the source.
    Below(usize),
    /// A string of bytes that quick tests take for zero (`strlen` only).
    HighBytes,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub routine: Routine,
    pub size: Size,
    pub place: Place,
}

impl Case {
    pub fn name(&self) -> String {
        let size = match self.size {
            Size::Fixed(n) if n >= 1 << 20 => format!("{} MiB", n >> 20),
            Size::Fixed(n) if n >= 1 << 10 => format!("{} KiB", n >> 10),
            Size::Fixed(n) => n.to_string(),
            Size::Mix => "mix to 64".into(),
            Size::WideMix => "mix to 1 KiB".into(),
        };
        let place = match self.place {
            Place::Aligned => "aligned".into(),
            Place::Misaligned => "misaligned".into(),
            Place::SamePage => "same page offset".into(),
            Place::Above(by) => format!("to {by} above"),
            Place::Below(by) => format!("to {by} below"),
            Place::HighBytes => "bytes 0x81".into(),
        };
        format!("{size}, {place}")
    }
}

const SIZES: [usize; 14] =
    [1, 4, 8, 16, 32, 64, 128, 256, 512, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Every row of the record.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for routine in Routine::ALL {
        let mut add = |size, place| cases.push(Case { routine, size, place });
        let places: &[Place] = match routine {
            Routine::Memcpy => &[Place::Aligned, Place::Misaligned, Place::SamePage],
            Routine::Memmove => {
                &[Place::Above(24), Place::Above(256), Place::Below(24), Place::Misaligned]
            }
            Routine::Memset | Routine::Memcmp | Routine::Bcmp => {
                &[Place::Aligned, Place::Misaligned]
            }
            Routine::Strlen => &[Place::Aligned, Place::Misaligned, Place::HighBytes],
        };
        for place in places {
            if !matches!(place, Place::SamePage | Place::Above(256)) {
                add(Size::Mix, *place);
                add(Size::WideMix, *place);
            }
            for n in SIZES {
                let telling = match place {
                    // Nothing overlaps below that.
                    Place::Above(by) if *by > 64 => n >= *by,
                    Place::SamePage => (64..=4096).contains(&n),
                    _ => true,
                };
                if telling {
                    add(Size::Fixed(n), *place);
                }
            }
        }
    }
    cases
}
