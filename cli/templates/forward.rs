//! Passes on what the linker must know.

fn main() {
    let link = std::env::var("DEP_FREESTONE_LINK").unwrap();
    println!("cargo::rustc-link-arg-bins=@{link}");
    // Cargo takes it amiss for what is not there.
    for what in ["tests", "examples"] {
        if std::fs::read_dir(what).is_ok_and(|mut files| files.next().is_some()) {
            println!("cargo::rustc-link-arg-{what}=@{link}");
        }
    }
}
