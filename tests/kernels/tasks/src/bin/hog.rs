//! A task that does not yield is named; one that panics is named with the others.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::future::pending;
use core::time::Duration;

use freestone::{BootInfo, Exit, task, time};

freestone::entry!(async main, audit: exit);

async fn main(boot: &'static BootInfo) -> Exit {
    let _waits = task::try_spawn_named("network", pending::<()>());
    assert!(task::watch(Duration::from_millis(50)), "there is no timer");
    let hog = task::try_spawn_named("hog", async {
        let until = time::now() + Duration::from_millis(400);
        while time::now() < until {
            core::hint::spin_loop();
        }
    });
    let _ = hog.map(async |hog| hog.await);
    task::sleep(Duration::from_millis(1)).await;
    if boot.has_argument("panic") {
        let bad = task::try_spawn_named("bad", async { panic!("as it is to") });
        let _: Result<(), _> = bad.expect("memory").await;
    }
    Exit::Success
}
