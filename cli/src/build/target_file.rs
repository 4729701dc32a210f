//! Target files of other releases: a compiler's error about one, and what to do about it.
//!
//! Their keys are not stable, and cargo prints rustc's error behind a line of a thousand characters. So the compiler
//! is asked beforehand, and advice is added where there is some. What each key means, and since when, is in
//! `targets/README.md`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::build::toolchains::Toolchain;
use crate::foreign::Shown as _;
use crate::supervise::{self, Output, Stop, Watch};

const LIMIT: Duration = Duration::from_secs(20);

/// What a complaint says, and what helps.
const CURES: [(&str, &str); 8] = [
    ("unknown field", "take the key out, this release does not know it"),
    ("missing field", "add the key as the built-in targets have it"),
    ("target-pointer-width: invalid type: string", "write the width as a number, without quotes"),
    ("required by the ABI but gets disabled", "add \"rustc-abi\": \"softfloat\""),
    ("`softfloat` ABI is only valid", "this machine has it since 1.96: take a newer toolchain"),
    ("invalid RISC-V ABI name", "name the calling convention, as \"llvm-abiname\": \"lp64d\""),
    ("EOF while parsing", "the file is cut off: get it anew"),
    ("expected value", "this is no JSON: name a target file"),
];

/// Whether a compiler takes this file; if not, its complaint with a cure.
pub fn accepted(toolchain: &Toolchain, path: &Path) -> Result<(), String> {
    let mut command = Command::new(&toolchain.rustc);
    command.stdin(Stdio::null()).env("RUSTC_BOOTSTRAP", "1");
    command.args(["-Zunstable-options", "--print", "cfg", "--target"]).arg(path);
    let watch =
        Watch { limit: Some(LIMIT), stop: Stop::Kill, stdout: Output::Keep, stderr: Output::Keep };
    match supervise::run(&mut command, &watch) {
        Ok(outcome) if outcome.is_success() => Ok(()),
        Ok(outcome) => Err(explained(&String::from_utf8_lossy(&outcome.stderr))),
        Err(error) => Err(format!("{}: {error}", toolchain.rustc.shown())),
    }
}

fn explained(stderr: &str) -> String {
    let first =
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or("it does not say why");
    let complaint = first.trim_start_matches("error: ");
    let complaint = complaint.trim_start_matches("error loading target specification: ");
    // Of a key that it does not know, rustc lists all that it does: a page.
    let complaint = complaint.split(", expected one of").next().unwrap_or_default();
    let known = CURES.iter().find(|(what, _)| complaint.contains(what)).map(|(_, cure)| *cure);
    let cure = known.unwrap_or(
        "compare it with a built-in target: RUSTC_BOOTSTRAP=1 rustc -Zunstable-options \
         --print target-spec-json --target x86_64-unknown-none",
    );
    format!("{complaint}\n    {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_comes_with_its_cure() {
        let old = "error: error loading target specification: target-pointer-width: invalid type: string \"64\", \
                   expected u16 at line 4 column 30\n  |\n  = help: run something\n";
        let wanted = "target-pointer-width: invalid type: string \"64\", expected u16 at line 4 column 30\n    \
                      write the width as a number, without quotes";
        assert_eq!(explained(old), wanted);
        let unknown = explained(
            "error: x: unknown field `x`, expected one of `llvm-target`, `rustc-abi` at line 1",
        );
        assert_eq!(
            unknown,
            "x: unknown field `x`\n    take the key out, this release does not know it"
        );
        assert!(explained("error: something new").contains("print target-spec-json"));
        assert!(explained("").contains("does not say why"));
    }
}
