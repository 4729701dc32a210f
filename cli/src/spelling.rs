//! Guesses what a misspelt word means.

/// The nearest of the known words, if it is near: one letter wrong, missing, too many, or two in the wrong order, for
/// every four letters.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|one| (strsim::osa_distance(word, one), *one));
    let allowed = word.chars().count().div_ceil(4);
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let verbs = ["run", "test", "check", "chart", "doctor"];
        for (word, meant) in [
            ("rnu", Some("run")),
            ("rn", Some("run")),
            ("tset", Some("test")),
            ("chek", Some("check")),
            ("chrat", Some("chart")),
            ("docotr", Some("doctor")),
            ("build", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, &verbs), meant, "{word}");
        }
    }
}
