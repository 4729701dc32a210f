//! What is typed at the console comes as a stream: lines are answered until one says `end`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use core::time::Duration;

use freestone::{BootInfo, Exit, println, task};

freestone::entry!(async main, audit: exit);

async fn main(_boot: &'static BootInfo) -> Exit {
    let input = task::console_input().unwrap_or_else(|error| panic!("{error}"));
    println!("ready");
    let mut line = String::new();
    loop {
        let Ok(Some(byte)) = task::timeout(Duration::from_secs(20), input.recv()).await else {
            println!("nothing comes");
            return Exit::Failure;
        };
        match byte {
            b'\n' | b'\r' if line == "end" => return Exit::Success,
            b'\n' | b'\r' => {
                println!("{} bytes: {line}", line.len());
                line.clear();
            }
            byte => line.push(byte.into()),
        }
    }
}
