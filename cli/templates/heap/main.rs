//! A kernel with collections: counts the words of its command line.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;

use freestone::{BootInfo, Exit, println};

freestone::entry!(main);

fn main(boot: &'static BootInfo) -> Exit {
    let mut words = BTreeMap::new();
    for word in boot.command_line().split_whitespace() {
        *words.entry(word).or_insert(0) += 1;
    }
    println!("{} different words", words.len());
    for (word, count) in &words {
        println!("{count:>4}  {word}");
    }
    Exit::Success
}
