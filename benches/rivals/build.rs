fn main() {
    // The library brings no C runtime and needs none.
    println!("cargo::rustc-link-arg=-nostartfiles");
    println!("cargo::rustc-link-arg=-nostdlib");
}
