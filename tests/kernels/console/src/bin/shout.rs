//! Answers what comes by the virtio console with the same in capitals. After a `!` it panics, with half an answer not flushed.

#![no_std]
#![no_main]

use freestone::{BootInfo, Exit, println, virtio_console};

freestone::entry!(async main, audit: exit);

async fn main(_: &'static BootInfo) -> Exit {
    match virtio_console::register() {
        Ok(()) => println!("printed there too"),
        Err(error) => println!("{error}"),
    }
    let mut console = match virtio_console::open() {
        Ok(console) => console,
        Err(error) => {
            println!("no console: {error}");
            return Exit::Failure;
        }
    };
    let mut bytes = [0; 300];
    loop {
        let count = console.read(&mut bytes).await.expect("the console lives");
        let bytes = &mut bytes[..count];
        bytes.make_ascii_uppercase();
        console.write_all(bytes).await.expect("the console lives");
        assert!(!bytes.contains(&b'!'), "told to");
        console.flush().await.expect("the console lives");
    }
}
