//! Exists for the `links` key, which lets Cargo refuse two versions of this crate in one kernel.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
