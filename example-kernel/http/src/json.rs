//! As much of JSON (RFC 8259) as servers of JSON values need: whether a text is some, and strings of it.

use alloc::string::String;
use core::fmt::Write as _;

/// How deep arrays and objects may lie in each other.
const MOST_DEPTH: usize = 64;

/// Whether this is one JSON text.
pub fn is_json(text: &str) -> bool {
    let mut rest = Rest(text.as_bytes());
    rest.value(0).is_some() && rest.space().0.is_empty()
}

/// The text as a JSON string, with its quotes.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // A `String` takes everything.
            c if c < ' ' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What has not been looked at. Each function passes over what its name says, or is `None`.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.space().0 {
            [b'"', ..] => self.string(),
            [b'[', ..] => self.list(depth, b']', Self::value),
            [b'{', ..] => self.list(depth, b'}', |rest, depth| {
                rest.space().string()?;
                rest.space().word(b":")?;
                rest.value(depth)
            }),
            [b't', ..] => self.word(b"true"),
            [b'f', ..] => self.word(b"false"),
            [b'n', ..] => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        depth: usize,
        end: u8,
        item: impl Fn(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        self.0 = &self.0[1..];
        if depth == MOST_DEPTH || self.space().word(&[end]).is_some() {
            return (depth < MOST_DEPTH).then_some(());
        }
        loop {
            item(self, depth + 1)?;
            if self.space().word(b",").is_none() {
                return self.word(&[end]);
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.word(b"\"")?;
        loop {
            match self.0 {
                [b'"', rest @ ..] => break self.0 = rest,
                [b'\\', b'u', a, b, c, d, rest @ ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    self.0 = rest;
                }
                [b'\\', c, rest @ ..] if b"\"\\/bfnrt".contains(c) => self.0 = rest,
                [c, rest @ ..] if *c >= b' ' && *c != b'\\' => self.0 = rest,
                _ => return None,
            }
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.word(b"-");
        match self.word(b"0") {
            Some(()) => {}
            None => self.digits()?,
        }
        if self.word(b".").is_some() {
            self.digits()?;
        }
        if self.word(b"e").or_else(|| self.word(b"E")).is_some() {
            let _ = self.word(b"+").or_else(|| self.word(b"-"));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    fn space(&mut self) -> &mut Self {
        let count = self.0.iter().take_while(|byte| b" \t\n\r".contains(byte)).count();
        self.0 = &self.0[count..];
        self
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    /// Words of which JSON is made, and some that it is not.
    const WORDS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\\",
        "\\u00e9",
        "\\n",
        "\\x",
        "0",
        "-",
        "12",
        ".",
        "5",
        "e",
        "E+",
        "1e-3",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "é",
        "\u{7f}",
        "\"k\":1",
        "[1,2]",
        "{\"a\":[]}",
        "01",
        "+1",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_is_what_others_take(words in prop::collection::vec(prop::sample::select(WORDS), 0..12)) {
            let text = words.concat();
            // What cannot be read into a number of bits, or a character, is JSON all the same.
            let read = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            prop_assert_eq!(is_json(&text), read.is_ok(), "{}", text);
        }

        #[test]
        fn strings_are_read_as_they_were(text in any::<String>()) {
            let written = string(&text);
            prop_assert!(is_json(&written));
            prop_assert_eq!(serde_json::from_str::<String>(&written).ok(), Some(text));
        }
    }

    #[test]
    fn depth_has_a_limit() {
        let deep =
            |depth: usize| is_json(&std::format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(deep(MOST_DEPTH) && !deep(MOST_DEPTH + 1) && !deep(30_000));
    }
}
