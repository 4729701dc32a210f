//! Commands and words as a shell takes them.

use std::ffi::OsStr;
use std::process::Command;

/// A command as one could type it, for `--verbose`.
pub fn words(command: &Command) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted =
        |word: &OsStr| String::from_utf8_lossy(&quoted(word.as_encoded_bytes())).into_owned();
    all.map(quoted).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,+%@".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.into();
    }
    let inside: Vec<&[u8]> = word.split(|byte| *byte == b'\'').collect();
    [b"'", inside.join(&br"'\''"[..]).as_slice(), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_typed_again() {
        let mut command = Command::new("qemu");
        command.args(["-append", "a b", "", "it's"]);
        assert_eq!(words(&command), r"qemu -append 'a b' '' 'it'\''s'");
    }
}
