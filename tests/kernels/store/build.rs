//! Passes on what the linker must know.

fn main() {
    println!("cargo::rustc-link-arg-bins=@{}", std::env::var("DEP_FREESTONE_LINK").unwrap());
}
