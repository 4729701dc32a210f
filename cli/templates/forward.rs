//! Passes on what the linker must know.

fn main() {
    let link = std::env::var("DEP_FREESTONE_LINK").unwrap();
    println!("cargo::rustc-link-arg-bins=@{link}");
    println!("cargo::rustc-link-arg-tests=@{link}");
}
