//! Links with this kernel's own script and Freestone's arguments.

use std::env;
use std::path::PathBuf;

use freestone_targets::LinkInput;

fn main() {
    println!("cargo::rerun-if-changed=multiboot.ld");
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let target = env::var("TARGET").unwrap();
    let input = LinkInput::for_target(&target).expect("a supported target");
    let response_file = input.with_script(include_str!("multiboot.ld")).write(&directory).unwrap();
    println!("cargo::rustc-link-arg-bins=@{}", response_file.display());
}
