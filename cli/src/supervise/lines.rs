//! Cuts the output of a child, which comes in pieces of any length, into lines.

/// What has come of a line that is not whole.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// The lines that `bytes` complete, without their newlines.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        let mut whole = Vec::new();
        for piece in pieces {
            self.0.extend_from_slice(piece);
            whole.push(std::mem::take(&mut self.0));
        }
        self.0.extend_from_slice(last);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_cut_gives_the_same_lines() {
        let text = b"\none\n\ntwo and\nthe rest";
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut seen = lines.take(&text[..cut]);
            seen.extend(lines.take(&text[cut..]));
            assert_eq!(seen, [&b""[..], b"one", b"", b"two and"], "at {cut}");
            assert_eq!(lines.take(b"\n"), [b"the rest"]);
        }
    }
}
