//! The list of promises, `SECURITY.md`: each names a test, and that test exists.

use std::fs;

use freestone_tests::root;

#[test]
fn every_promise_has_its_tests() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("the ledger");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let promises = rows.iter().filter(|row| !row.starts_with("| promise"));
    let mut count = 0;
    for row in promises {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "a promise without a test: {row}");
        for name in named {
            let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("no test: {name}"));
            let source = fs::read_to_string(root().join(file));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
            count += 1;
        }
    }
    assert!(count > 25, "the ledger has {count} tests: has its form changed?");
}
