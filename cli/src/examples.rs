//! The examples in every verb's help. A test has clap parse each of them.

use crate::status;

/// A verb, and what one types to use it, with what that does.
type Examples = (&'static str, &'static [(&'static str, &'static str)]);

const EXAMPLES: [Examples; 12] = [
    (
        "run",
        &[
            ("run", "build the kernel here and boot it"),
            ("run --release --machine q35 -m 256", "optimized, on a PC of 256 MiB"),
            (
                "run --forward 8080:80 --disk disk.img",
                "with a port that leads to the kernel, and a disk",
            ),
            ("run --on xen -- quiet tour=1", "on Xen, with a command line for the kernel"),
        ],
    ),
    (
        "test",
        &[
            ("test", "all tests, then the kernel on every machine"),
            ("test -p my-kernel -- heap", "one package's tests that have `heap` in their names"),
            ("test --nextest --junit reports", "the kernel tests by nextest, with a report"),
        ],
    ),
    (
        "check",
        &[
            ("check --release --size", "what is wrong, and what the bytes are spent on"),
            ("check target/release/my-kernel --json", "a file, for a program to read"),
            ("check --explain red-zone", "what a rule is about"),
        ],
    ),
    (
        "debug",
        &[
            ("debug", "build the kernel here, and stop in gdb where `main` begins"),
            ("debug target/debug/my-kernel", "the same with a file"),
        ],
    ),
    (
        "chart",
        &[
            ("chart", "count the instructions of a boot"),
            ("chart --release -- oneshot", "optimized, with a command line for the kernel"),
        ],
    ),
    (
        "image",
        &[
            ("image --release", "an ELF file for PVH loaders, with names for backtraces"),
            (
                "image --libvirt -m 128 --net network=default",
                "a domain of libvirt's, with a network",
            ),
            (
                "image --oci --release -- oneshot",
                "an OCI image, with a command line for the kernel",
            ),
        ],
    ),
    (
        "names",
        &[
            ("names target/release/my-kernel", "give this image names for its backtraces"),
            ("names my-kernel -o named", "leave it as it is, and write another"),
        ],
    ),
    (
        "symbols",
        &[
            ("symbols", "what core and alloc want, and who provides it"),
            ("symbols target/libc.a --json", "what a file wants, for a program to read"),
        ],
    ),
    (
        "new",
        &[
            ("new my-kernel", "a folder with the smallest kernel"),
            ("new my-kernel --template heap", "with collections and a heap"),
            ("new my-kernel --template async", "with tasks, timers and a channel"),
        ],
    ),
    (
        "archive",
        &[
            ("archive", "the library and its header, in freestone-c/"),
            ("archive --abi soft --out lib", "for kernels without vector registers, in lib/"),
        ],
    ),
    (
        "sysroot",
        &[
            ("sysroot --target x86_64-unknown-none", "core and alloc for this target"),
            ("sysroot --target x86_64-unknown-none --force", "the same, made anew"),
        ],
    ),
    (
        "doctor",
        &[
            ("doctor", "what is here and what is missing"),
            ("doctor --json", "for a program to read"),
        ],
    ),
];

/// The end of a verb's help: short for `-h`, with the table of exit statuses for `--help`.
pub fn of(verb: &str) -> [String; 2] {
    let examples = EXAMPLES.iter().find(|(name, _)| *name == verb);
    let lines: String = examples.map_or(String::new(), |(_, all)| {
        let width = all.iter().map(|(words, _)| words.len()).max().unwrap_or_default();
        let line =
            |(words, what): &(&str, &str)| format!("  cargo freestone {words:<width$}  {what}\n");
        all.iter().map(line).collect()
    });
    [
        format!("Examples:\n{lines}\n{}", status::POINTER),
        format!("Examples:\n{lines}\n{}", status::table()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::exit_status;

    #[test]
    fn every_verb_has_examples_and_they_can_be_typed() {
        for verb in crate::VERBS.iter().filter(|verb| verb.name != exit_status::TOPIC) {
            let found = EXAMPLES.iter().find(|(name, _)| *name == verb.name);
            let (_, examples) = found.unwrap_or_else(|| panic!("no examples for {}", verb.name));
            for (words, _) in *examples {
                assert_eq!(words.split(' ').next(), Some(verb.name), "{words}");
                let all = ["cargo freestone"].into_iter().chain(words.split(' '));
                if let Err(error) = crate::command().try_get_matches_from(all) {
                    panic!("{words}: {error}");
                }
            }
        }
    }

    #[test]
    fn rules_in_examples_are_rules() {
        for (words, _) in EXAMPLES.iter().flat_map(|(_, all)| *all) {
            if let Some((_, rule)) = words.split_once("--explain ") {
                assert!(freestone_inspect::rules::rule(rule).is_some(), "{rule}");
            }
        }
    }
}
