//! The arguments of libtest's programs that make sense for tests in a kernel; all others are errors.

use std::ffi::OsString;

use crate::image::test_table::KernelTest;
use crate::status::Failure;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub filters: Vec<String>,
    pub skips: Vec<String>,
    pub is_exact: bool,
    pub is_list: bool,
    pub is_terse: bool,
    pub only_ignored: bool,
    pub with_ignored: bool,
    pub show_output: bool,
    pub pass_output: bool,
    pub is_quiet: bool,
    pub boot_per_test: bool,
}

impl Options {
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut words = arguments.map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || {
                let value = attached.clone().or_else(|| words.next());
                value.ok_or_else(|| Failure::usage(format!("{name} wants a value")))
            };
            match name {
                "--list" => options.is_list = true,
                "--exact" => options.is_exact = true,
                "--ignored" => options.only_ignored = true,
                "--include-ignored" => options.with_ignored = true,
                "--nocapture" | "--no-capture" => options.pass_output = true,
                "--show-output" => options.show_output = true,
                "-q" | "--quiet" => options.is_quiet = true,
                "--boot-per-test" => options.boot_per_test = true,
                "--test" | "--bench" => {}
                "--skip" => options.skips.push(value()?),
                "--format" => match value()?.as_str() {
                    "terse" => options.is_terse = true,
                    "pretty" => {}
                    other => {
                        return Err(Failure::usage(format!(
                            "format {other} is not known here; pretty and terse are"
                        )));
                    }
                },
                // One boot at a time, and no colours: these change nothing.
                "--test-threads" | "--color" | "-Z" => drop(value()?),
                _ if name.starts_with('-') => {
                    return Err(Failure::usage(format!("{name} is no argument of kernel tests")));
                }
                _ => options.filters.push(word),
            }
        }
        Ok(options)
    }

    pub fn wants(&self, test: &KernelTest) -> bool {
        let named = |pattern: &String| match self.is_exact {
            true => test.name == *pattern,
            false => test.name.contains(pattern.as_str()),
        };
        let is_chosen = self.filters.is_empty() || self.filters.iter().any(named);
        is_chosen && !self.skips.iter().any(named) && (!self.only_ignored || test.is_ignored)
    }

    pub fn runs(&self, test: &KernelTest) -> bool {
        !test.is_ignored || self.only_ignored || self.with_ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn options(words: &[&str]) -> Options {
        Options::parse(words.iter().map(OsString::from)).expect("known arguments")
    }

    fn test(name: &str, is_ignored: bool) -> KernelTest {
        KernelTest { name: name.into(), is_ignored, reason: String::new(), number: 0 }
    }

    #[test]
    fn filters_mean_what_they_mean_to_libtest() {
        let all = options(&[]);
        assert!(all.wants(&test("a::b", false)) && all.runs(&test("a::b", false)));
        assert!(all.wants(&test("slow", true)) && !all.runs(&test("slow", true)));
        let some = options(&["a::", "--skip", "bad"]);
        assert!(some.wants(&test("a::b", false)) && !some.wants(&test("a::bad", false)));
        assert!(!some.wants(&test("c", false)));
        let exact = options(&["a::b", "--exact", "--nocapture"]);
        assert!(exact.wants(&test("a::b", false)) && !exact.wants(&test("a::b::c", false)));
        let ignored = options(&["--ignored"]);
        assert!(!ignored.wants(&test("a", false)));
        assert!(ignored.wants(&test("slow", true)) && ignored.runs(&test("slow", true)));
        assert!(options(&["--include-ignored"]).runs(&test("slow", true)));
    }

    #[test]
    fn nextest_and_cargo_are_understood() {
        let list = options(&["--list", "--format", "terse", "--ignored"]);
        assert!(list.is_list && list.is_terse && list.only_ignored);
        options(&["--format=pretty", "--test-threads=1", "--color", "never", "-q", "--test"]);
        for bad in [&["--format", "json"][..], &["--frobnicate"], &["--skip"]] {
            let failure = Options::parse(bad.iter().map(OsString::from)).unwrap_err();
            assert_eq!(failure.status, Status::Usage, "{bad:?}");
        }
    }
}
