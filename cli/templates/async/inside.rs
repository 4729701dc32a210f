//! Runs inside a kernel, on `cargo freestone test`. Tests are not async: each waits for what is.

#![no_std]
#![no_main]

use core::future::pending;
use core::time::Duration;

use freestone::task::{self, sync::channel};

freestone_harness::harness!();
// What channels want; `entry!(async main)` has it.
freestone::critical_section!();

freestone_harness::tests! {
    fn every_value_is_received() {
        let sum = task::block_on(async {
            let (sender, receiver) = channel(4);
            task::spawn(async move {
                for number in 1..=100 {
                    sender.send(number).await.expect("somebody receives");
                }
            });
            let mut sum = 0;
            while let Some(number) = receiver.recv().await {
                sum += number;
            }
            sum
        });
        assert_eq!(sum, 5050);
    }

    fn what_takes_too_long_is_given_up() {
        let waiting = task::timeout(Duration::from_millis(2), pending::<()>());
        assert_eq!(task::block_on(waiting), Err(task::Elapsed));
    }
}
