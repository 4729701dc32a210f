//! The words by which functions' names are compressed in a [table of names](crate::image::name_table).
//!
//! They are found by byte pair encoding: again and again the pair of codes that comes most often becomes a word
//! (Gage, A New Algorithm for Data Compression, 1994).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cmp::Reverse;

use freestone_protocol::names::WORDS;

/// The most codes that a name can have.
pub const LONGEST: usize = 255;
/// The most characters that are made codes of, and the most that a word can have: more than a table can hold, and
/// no more than can be looked through for each name.
const MOST_READ: usize = 4096;
const LONGEST_WORD: usize = 64;

/// How much text the words are learnt from: more teaches little and takes long.
const LESSON: usize = 24 << 10;

/// The words, [`WORDS`] of them.
pub struct Words {
    /// Some may be empty.
    pub words: Vec<Vec<u8>>,
    /// For each first byte, the words that begin so, the longest first.
    by_first: Vec<Vec<usize>>,
}

impl Words {
    /// The words of these names.
    pub fn learn<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Words {
        let total = names.clone().map(str::len).fold(0, usize::saturating_add);
        let step = total.div_ceil(LESSON).max(1);
        let mut lesson: Vec<Vec<u8>> = names.step_by(step).map(ascii).collect();
        let mut words: Vec<Vec<u8>> = Vec::new();
        // By pair of codes; `seen` names those above zero, as few are, and to look through all of them 128 times is what
        // would take most of a boot's preparation.
        let mut counts = vec![0_u32; 1 << 16];
        let mut seen = Vec::new();
        while words.len() < WORDS {
            for pair in lesson.iter().flat_map(|name| name.windows(2)) {
                let pair = usize::from(pair[0]) << 8 | usize::from(pair[1]);
                if counts[pair] == 0 {
                    seen.push(pair);
                }
                counts[pair] = counts[pair].saturating_add(1);
            }
            let len = |code: usize| match code.checked_sub(128) {
                Some(word) => words.get(word).map_or(0, Vec::len),
                None => 1,
            };
            let is_short =
                |pair: usize| len(pair >> 8).saturating_add(len(pair & 0xff)) <= LONGEST_WORD;
            let short = seen.drain(..).map(|pair| (std::mem::take(&mut counts[pair]), pair));
            // Of equals the first by code, so that the same names always have the same words.
            let most = short
                .filter(|&(_, pair)| is_short(pair))
                .max_by_key(|&(n, pair)| (n, Reverse(pair)));
            let Some((count, pair)) = most else { break };
            if count < 2 {
                break;
            }
            let (first, second) = ((pair >> 8) as u8, pair as u8);
            let code = code_of(words.len());
            let text = |code: u8| match code.checked_sub(128) {
                Some(word) => words[usize::from(word)].clone(),
                None => vec![code],
            };
            words.push([text(first), text(second)].concat());
            for name in &mut lesson {
                replace(name, [first, second], code);
            }
        }
        words.resize(WORDS, Vec::new());
        let mut by_first = vec![Vec::new(); 128];
        for (number, word) in words.iter().enumerate() {
            if let Some(&first) = word.first() {
                by_first[usize::from(first)].push(number);
            }
        }
        for numbers in &mut by_first {
            numbers.sort_by_key(|&number| Reverse(words[number].len()));
        }
        Words { words, by_first }
    }

    /// The name in codes, the longest word first wherever one fits; cut if it is too long.
    pub fn encode(&self, name: &str) -> Vec<u8> {
        let name = ascii(name);
        let mut rest = &name[..];
        let mut codes = Vec::new();
        while let Some(&first) = rest.first()
            && codes.len() < LONGEST
        {
            let words = &self.by_first[usize::from(first)];
            let word = words.iter().find(|&&number| rest.starts_with(&self.words[number]));
            codes.push(word.map_or(first, |&number| code_of(number)));
            rest = &rest[word.map_or(1, |&number| self.words[number].len())..];
        }
        codes
    }
}

/// The code of a word: they follow those of ASCII.
fn code_of(word: usize) -> u8 {
    u8::try_from(word).map_or(u8::MAX, |word| word | 0x80)
}

fn ascii(name: &str) -> Vec<u8> {
    name.chars()
        .take(MOST_READ)
        .map(|c| if c.is_ascii() && !c.is_control() { c as u8 } else { b'?' })
        .collect()
}

fn replace(name: &mut Vec<u8>, pair: [u8; 2], code: u8) {
    let old = std::mem::take(name);
    let mut rest = old.as_slice();
    while let Some((&first, more)) = rest.split_first() {
        let after = rest.strip_prefix(&pair);
        name.push(if after.is_some() { code } else { first });
        rest = after.unwrap_or(more);
    }
}
