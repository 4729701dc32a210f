//! The pieces that work without a lock, in every order that the memory model allows: the tests of the crate in `models/`.

use freestone_tests::{cargo, root, run, target};

#[test]
fn what_works_without_a_lock_is_right_in_every_order() {
    let mut command = cargo(&root().join("tests/models"));
    command.arg("test").arg("--target-dir").arg(target().join("models"));
    let ended = run(&mut command);
    assert_eq!(ended.status, Some(0), "{ended}");
    assert!(ended.stdout.contains("test result: ok. 6 passed"), "{ended}");
}
