//! Commands and words, quoted for a shell.

use std::ffi::OsStr;
use std::process::Command;

/// A command as one could type it, for `--verbose`: with what is set in its environment.
pub fn words(command: &Command) -> String {
    let quoted =
        |word: &OsStr| String::from_utf8_lossy(&quoted(word.as_encoded_bytes())).into_owned();
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    set.chain(all.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it. One with control characters is for shells that know `$'…'`, as bash and zsh do.
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,+%@".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.into();
    }
    if word.iter().any(u8::is_ascii_control) {
        let inside = word.iter().flat_map(|&byte| match byte {
            b'\'' | b'\\' => vec![b'\\', byte],
            byte if byte.is_ascii_control() => format!("\\x{byte:02x}").into_bytes(),
            byte => vec![byte],
        });
        return b"$'".iter().copied().chain(inside).chain(*b"'").collect();
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
        let mut command = Command::new("cargo");
        command.env("FLAGS", "-a\x1fit's").env_remove("OTHER").arg("b");
        assert_eq!(words(&command), r"FLAGS=$'-a\x1fit\'s' cargo b");
    }
}
