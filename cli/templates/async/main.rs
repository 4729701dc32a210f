//! A kernel of tasks: one ticks, two talk over a channel, and what takes too long is given up.

#![no_std]
#![no_main]

use core::future::pending;
use core::time::Duration;

use freestone::task::sync::{Receiver, Sender, channel};
use freestone::{BootInfo, Exit, println, task};

freestone::entry!(async main);

async fn main(boot: &'static BootInfo) -> Exit {
    let ticking = task::spawn(tick());

    let (sender, receiver) = channel(4);
    task::spawn(send_words(boot, sender));
    let counting = task::spawn(count(receiver));
    if let Ok(words) = counting.await {
        println!("{words} words came");
    }

    // Nothing ever comes: the future is dropped when the time is up.
    if task::timeout(Duration::from_millis(350), pending::<()>()).await.is_err() {
        println!("nothing came in time");
    }
    ticking.cancel();
    Exit::Success
}

async fn tick() {
    let mut interval = task::interval(Duration::from_millis(100));
    loop {
        interval.tick().await;
        println!("tick");
    }
}

/// The words of the command line. When it ends, the sender is dropped, and the channel closed.
async fn send_words(boot: &'static BootInfo, sender: Sender<&'static str>) {
    for word in boot.command_line().split_whitespace() {
        if sender.send(word).await.is_err() {
            return;
        }
    }
}

async fn count(receiver: Receiver<&'static str>) -> usize {
    let mut words = 0;
    while let Some(word) = receiver.recv().await {
        println!("received {word}");
        words += 1;
    }
    words
}
