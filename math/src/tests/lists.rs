//! The lists that are made from `export.rs` and its like: the names, and the declarations for C.

use std::fs;

use crate::export::{BY_VALUE, PAIRS};

/// A function of `double` or `float` as `export.rs` declares it, in words of Rust.
pub struct Declaration {
    pub name: &'static str,
    /// Type and name of each argument.
    pub takes: &'static [(&'static str, &'static str)],
    /// What is behind the pointer that comes last, if there is one.
    pub second: Option<&'static str>,
    pub gives: &'static str,
}

impl Declaration {
    /// The same in words of C.
    fn in_c(&self) -> String {
        let mut takes: Vec<_> =
            self.takes.iter().map(|(ty, name)| format!("{} {name}", c_type(ty))).collect();
        takes.extend(self.second.map(|ty| format!("{} *second", c_type(ty))));
        format!("{} {}({});\n", c_type(self.gives), self.name, takes.join(", "))
    }
}

fn c_type(rust: &str) -> &str {
    match rust {
        "f64" => "double",
        "f32" => "float",
        "c_int" => "int",
        "c_long" => "long",
        "c_longlong" => "long long",
        other => panic!("what is {other} in C?"),
    }
}

/// Compares a file of this crate with what it should be, or writes it.
fn hold(file: &str, expected: &str) {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("FREESTONE_BLESS").is_some_and(|value| value == "1") {
        return fs::write(path, expected).expect("the folder is there");
    }
    let listed = fs::read_to_string(path).expect("the list is committed");
    let advice = "FREESTONE_BLESS=1 cargo test -p freestone-math lists";
    assert!(listed == expected, "{file} is out of date; `{advice}` writes it");
}

#[test]
fn exports_txt_lists_what_is_exported() {
    let declared = BY_VALUE.iter().chain(PAIRS).map(|function| function.name);
    // The rest is written out; in the macros, a variable stands where the name is here.
    let lines = include_str!("../export.rs").lines().filter(|line| line.starts_with("pub "));
    let written = lines.filter_map(|line| line.split_once("extern \"C\" fn ")).map(|it| it.1);
    let written = written.map(|rest| rest.split_once('(').unwrap().0);
    let compilers = [
        crate::int::export::PROVIDED,
        crate::int::export::PROVIDED_WITH_SECOND,
        crate::soft::export::ARITHMETIC,
        crate::soft::export::CONVERSIONS_AND_OTHERS,
    ];
    let mut names: Vec<_> = declared.chain(written).chain(compilers.concat()).collect();
    names.sort_unstable();
    hold("exports.txt", &(names.join("\n") + "\n"));
}

#[test]
fn exports_h_lists_the_declarations() {
    let head = "/* Written by the tests of freestone-math, from its export.rs. */\n";
    let lines = BY_VALUE.iter().chain(PAIRS).map(Declaration::in_c);
    hold("exports.h", &(head.to_owned() + &lines.collect::<String>()));
}
