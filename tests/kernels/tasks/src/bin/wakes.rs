//! No wake-up is lost, whenever the interrupt comes: before the task waits, between its last look and the halt, in the halt.
//! A timer's interrupt raises a signal at a time that moves by a fraction of the way to the halt, again and again.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::time::Duration;

use freestone::{BootInfo, Exit, Signal, println, task, time};

freestone::entry!(async main, audit: exit);

static RAISED: Signal = Signal::new();

async fn main(boot: &'static BootInfo) -> Exit {
    let rounds: u64 =
        boot.argument("rounds").and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000);
    // If one is lost, this is what ends the halt; it is far away else.
    let mut late = 0;
    for round in 0..rounds {
        let delay = Duration::from_nanos(500 + round * 37 % 20_000);
        RAISED.at(time::now() + delay).expect("a timer");
        // Some come while the task is busy, others while it waits.
        let until = time::now() + Duration::from_nanos(round * 53 % 20_000);
        while time::now() < until {
            core::hint::spin_loop();
        }
        if task::timeout(Duration::from_secs(5), RAISED.wait()).await.is_err() {
            late += 1;
        }
    }
    println!("rounds: {rounds}, lost: {late}");
    if late == 0 { Exit::Success } else { Exit::Failure }
}
