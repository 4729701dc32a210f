//! `src/libm/tables.rs` is what `tools/tables.py` writes.

use std::process::Command;

#[test]
fn tables_are_what_their_generator_writes() {
    let python = |arguments: &[&str]| {
        let run = Command::new("python3").args(arguments).output();
        run.is_ok_and(|output| output.status.success())
    };
    if !python(&["-c", "import mpmath"]) {
        println!("not run: there is no python3 with mpmath");
        return;
    }
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/tables.py");
    assert!(python(&[tool, "--check"]), "run tools/tables.py");
}
