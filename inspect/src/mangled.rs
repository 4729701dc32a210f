//! Computes how much work it is to demangle a Rust name, before that is done.
//!
//! A name may refer back to parts of itself (RFC 2603, `B`). A demangler reads such a part anew each time, and some parts
//! take much reading for little text: references to references, the path of an `impl`, which is not shown. Here each
//! part is read once, and its cost, with all that it refers to, is kept for later references to it.

/// `rustc-demangle` gives up at this depth too.
const DEEPEST: u32 = 500;

/// A part that is referred to takes no more reading than this for each byte that it says, or it says little.
const LITTLE: u64 = 4;

/// What it takes to write a name out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How many bytes are read, those of a part again whenever it is referred to.
    pub bytes: u64,
    /// Whether parts are referred to that say little, so that even the beginning of the name may take all of it.
    pub says_little: bool,
}

/// What it takes to write this name out; `None` if it is no name of this mangling, or refers to what is no part of it,
/// or to what it is itself in.
pub fn reading(name: &str) -> Option<Reading> {
    let name = ["_R", "__R", "R"].iter().find_map(|start| name.strip_prefix(start))?.as_bytes();
    let done = [(); 3].map(|()| vec![Work::default(); name.len()]);
    let (referred, said, says_little) = (0, 0, false);
    let mut walk = Walk { name, at: 0, depth: 0, referred, said, says_little, done };
    walk.part(Kind::Type, Walk::path)?;
    Some(Reading { bytes: walk.read(), says_little: walk.says_little })
}

/// Of a part: what is read, and at least how much is written then.
#[derive(Clone, Copy, Default)]
struct Work {
    read: u64,
    said: u64,
}

/// What a part is read as. A path is read like a type that is one.
#[derive(Clone, Copy)]
enum Kind {
    Pattern = 0,
    Type = 1,
    Const = 2,
}

struct Walk<'a> {
    name: &'a [u8],
    at: usize,
    depth: u32,
    /// What references took so far.
    referred: u64,
    said: u64,
    says_little: bool,
    /// By kind, for each place where a part begins that was read to its end.
    done: [Vec<Work>; 3],
}

impl Walk<'_> {
    fn read(&self) -> u64 {
        self.referred.saturating_add(self.at as u64)
    }

    fn say(&mut self, bytes: u64) {
        self.said = self.said.saturating_add(bytes);
    }

    fn part(&mut self, kind: Kind, walk: fn(&mut Self) -> Option<()>) -> Option<()> {
        let (start, read, said) = (self.at, self.read(), self.said);
        self.depth = self.depth.checked_add(1).filter(|depth| *depth <= DEEPEST)?;
        walk(self)?;
        self.depth = self.depth.saturating_sub(1);
        let (read, said) = (self.read().saturating_sub(read), self.said.saturating_sub(said));
        if let Some(done) = self.done[kind as usize].get_mut(start) {
            *done = Work { read, said };
        }
        Some(())
    }

    fn reference(&mut self, kind: Kind) -> Option<()> {
        let to = usize::try_from(self.number()?).ok()?;
        let work = self.done[kind as usize].get(to).copied().filter(|work| work.read > 0)?;
        self.says_little |= work.read > work.said.saturating_mul(LITTLE);
        self.referred = self.referred.saturating_add(work.read);
        self.say(work.said);
        Some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.name.get(self.at).copied()?;
        self.at = self.at.checked_add(1)?;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_it = self.name.get(self.at) == Some(&byte);
        self.at = self.at.saturating_add(usize::from(is_it));
        is_it
    }

    /// In base 62, less one, up to its `_`.
    fn number(&mut self) -> Option<u64> {
        if self.eat(b'_') {
            return Some(0);
        }
        let mut number = 0_u64;
        loop {
            let digit = match self.next()? {
                digit @ b'0'..=b'9' => digit.checked_sub(b'0')?,
                digit @ b'a'..=b'z' => digit.checked_sub(b'a')?.checked_add(10)?,
                digit @ b'A'..=b'Z' => digit.checked_sub(b'A')?.checked_add(36)?,
                b'_' => return number.checked_add(1),
                _ => return None,
            };
            number = number.checked_mul(62)?.checked_add(digit.into())?;
        }
    }

    fn number_behind(&mut self, tag: u8) -> Option<()> {
        if self.eat(tag) { self.number().map(drop) } else { Some(()) }
    }

    fn identifier(&mut self) -> Option<()> {
        self.number_behind(b's')?;
        self.text()
    }

    fn text(&mut self) -> Option<()> {
        let is_unicode = self.eat(b'u');
        let mut len = 0_usize;
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.name.get(self.at)
            && (len > 0 || self.at == start)
        {
            len = len.checked_mul(10)?.checked_add(digit.checked_sub(b'0')?.into())?;
            self.at = self.at.checked_add(1)?;
        }
        if self.at == start {
            return None;
        }
        self.eat(b'_');
        // A letter may take several digits.
        self.say(if is_unicode { 1 } else { len as u64 });
        self.at = self.at.checked_add(len).filter(|end| *end <= self.name.len())?;
        Some(())
    }

    /// Parts up to an `E`.
    fn list(&mut self, each: fn(&mut Self) -> Option<()>) -> Option<()> {
        while !self.eat(b'E') {
            each(self)?;
        }
        Some(())
    }

    fn path(&mut self) -> Option<()> {
        match self.next()? {
            b'C' => self.identifier(),
            b'N' => {
                self.next()?;
                self.part(Kind::Type, Self::path)?;
                self.identifier()
            }
            tag @ (b'M' | b'X' | b'Y') => {
                if tag != b'Y' {
                    // Read, and not said.
                    let said = self.said;
                    self.number_behind(b's')?;
                    self.part(Kind::Type, Self::path)?;
                    self.said = said;
                }
                self.part(Kind::Type, Self::ty)?;
                if tag == b'M' { Some(()) } else { self.part(Kind::Type, Self::path) }
            }
            b'I' => {
                self.say(1);
                self.part(Kind::Type, Self::path)?;
                self.list(Self::argument)
            }
            b'B' => self.reference(Kind::Type),
            _ => None,
        }
    }

    fn argument(&mut self) -> Option<()> {
        if self.eat(b'L') {
            self.say(1);
            self.number().map(drop)
        } else if self.eat(b'K') {
            self.part(Kind::Const, Self::constant)
        } else {
            self.part(Kind::Type, Self::ty)
        }
    }

    fn one_type(&mut self) -> Option<()> {
        self.part(Kind::Type, Self::ty)
    }

    fn one_constant(&mut self) -> Option<()> {
        self.part(Kind::Const, Self::constant)
    }

    fn ty(&mut self) -> Option<()> {
        self.eat(b'w');
        match self.next()? {
            b'a'..=b'z' => {
                self.say(1);
                Some(())
            }
            b'R' | b'Q' => {
                self.say(1);
                self.number_behind(b'L')?;
                self.one_type()
            }
            b'P' | b'O' | b'S' => {
                self.say(1);
                self.one_type()
            }
            b'A' => {
                self.say(1);
                self.one_type()?;
                self.one_constant()
            }
            b'T' => {
                self.say(2);
                self.list(Self::one_type)
            }
            b'F' => {
                self.say(4);
                self.number_behind(b'G')?;
                self.eat(b'U');
                if self.eat(b'K') && !self.eat(b'C') {
                    self.text()?;
                }
                self.list(Self::one_type)?;
                self.one_type()
            }
            b'D' => {
                self.say(4);
                self.number_behind(b'G')?;
                self.list(Self::bound)?;
                if self.eat(b'L') { self.number().map(drop) } else { None }
            }
            b'B' => self.reference(Kind::Type),
            b'W' => {
                self.one_type()?;
                self.part(Kind::Pattern, Self::pattern)
            }
            _ => {
                // The tag is the path's.
                self.at = self.at.checked_sub(1)?;
                self.part(Kind::Type, Self::path)
            }
        }
    }

    /// A trait, and its types that are set.
    fn bound(&mut self) -> Option<()> {
        self.part(Kind::Type, Self::path)?;
        while self.eat(b'p') {
            self.text()?;
            if self.eat(b'K') { self.one_constant() } else { self.one_type() }?;
        }
        Some(())
    }

    fn pattern(&mut self) -> Option<()> {
        match self.next()? {
            b'R' => {
                self.one_constant()?;
                self.one_constant()
            }
            b'O' => self.list(|walk| walk.part(Kind::Pattern, Self::pattern)),
            b'N' => Some(()),
            _ => None,
        }
    }

    fn constant(&mut self) -> Option<()> {
        self.say(u64::from(self.name.get(self.at) != Some(&b'B')));
        match self.next()? {
            b'p' => Some(()),
            b'R' | b'Q' => self.one_constant(),
            b'A' | b'T' => self.list(Self::one_constant),
            b'V' => {
                self.part(Kind::Type, Self::path)?;
                match self.next()? {
                    b'U' => Some(()),
                    b'T' => self.list(Self::one_constant),
                    b'S' => self.list(|walk| {
                        walk.identifier()?;
                        walk.one_constant()
                    }),
                    _ => None,
                }
            }
            b'B' => self.reference(Kind::Const),
            // A number or text in hexadecimal digits.
            b'a'..=b'z' => {
                self.eat(b'n');
                while self.next()? != b'_' {}
                Some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_part_is_read_to_its_end() {
        // From RFC 2603 and the tests of rustc-demangle; each is read whole, and nothing twice.
        for name in [
            "_RNvCskwGfYPst2Cb_3foo4main",
            "_RNvC6_123foo3bar",
            "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
            "_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_",
            "_RINvNtC3std3mem8align_ofjdE",
            "_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std",
            "_RMC0INtC8arrayvec8ArrayVechKj7b_E",
            "_RINtC8arrayvec8ArrayVechKin7b_E",
            "_RIC0KRe616263_E",
            "_RIC0KRAh1_h2_E",
            "_RIC0KVNtC1a1bSs_1xh1_1yBg_EE",
            "_RMC0FG_KCRL0_hEu",
            "_RIC0WmRm1_mf_E",
        ] {
            let read = reading(name).map(|reading| reading.bytes);
            let theirs = rustc_demangle::try_demangle(name);
            assert_eq!(read.is_some(), theirs.is_ok(), "{name}: {read:?}");
            let has_reference = name.contains("B4_") || name.contains("Bg_");
            let is_once = read.is_some_and(|read| read < name.len() as u64);
            assert!(is_once || has_reference || read.is_none(), "{name}: {read:?}");
        }
    }

    #[test]
    fn a_part_counts_whenever_it_is_referred_to() {
        let bytes = |name| reading(name).map(|reading| reading.bytes);
        let own = "IC1aTlhlhlhlhE".len() as u64;
        let each = "TlhlhlhlhE".len() as u64;
        assert_eq!(bytes("_RIC1aTlhlhlhlhEE"), Some(own + 1));
        assert_eq!(bytes("_RIC1aTlhlhlhlhEB3_B3_E"), Some(own + 1 + 2 * (3 + each)));
        // What is read as something else, what is not read yet, and what it is itself in.
        for wrong in ["_RIC1alKB3_E", "_RIC1alB7_lE", "_RIC1aTlB2_EE", "_RIC1alB_E"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_says_little_is_noticed() {
        let little = |name| reading(name).map(|reading| reading.says_little);
        assert_eq!(little("_RIC1aTlhlhlhlhEB3_B3_E"), Some(false));
        assert_eq!(little("_RIC1aMC9unshownonlB3_E"), Some(true));
        assert_eq!(little("_RIC1alB3_B4_B7_Ba_Bd_E"), Some(true));
    }
}
