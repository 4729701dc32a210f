//! Many tasks at once: sleepers in the order of their deadlines, an interval, a timeout, cancelling, a task that is out of
//! memory.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::pending;
use core::time::Duration;

use freestone::{BootInfo, Exit, println, task, time};

freestone::entry!(async main, audit: exit);

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

async fn sleepers() {
    let order: Rc<RefCell<Vec<u64>>> = Rc::default();
    let begin = time::now();
    let tasks: Vec<_> = (0..200_u64)
        .map(|number| {
            let (order, at) = (order.clone(), begin + millis(500 + number * 7919 % 200));
            task::spawn(async move {
                task::sleep_until(at).await;
                assert!(time::now() >= at, "woken too early");
                order.borrow_mut().push(number * 7919 % 200);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(order.borrow().is_sorted() && order.borrow().len() == 200);
    println!("sleepers: {}", order.borrow().len());
}

async fn limits() {
    let dropped = Rc::new(Cell::new(false));
    struct Guard(Rc<Cell<bool>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let guard = Guard(dropped.clone());
    let slow = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    assert_eq!(task::timeout(millis(3), slow).await, Err(task::Elapsed));
    assert!(dropped.get());
    let stuck = task::spawn(pending::<()>());
    stuck.cancel();
    assert_eq!(stuck.await, Err(task::Cancelled));
    // A future larger than the memory there is comes back.
    let large = [0_u8; 1 << 12];
    let mut tasks = Vec::with_capacity(1 << 16);
    let refused = loop {
        let spawned = task::try_spawn(async move {
            pending::<()>().await;
            large[7]
        });
        match spawned {
            Ok(task) => tasks.push(task),
            Err(error) => break error,
        }
    };
    println!("refused: {refused}, after {} tasks", tasks.len());
    tasks.iter().for_each(task::JoinHandle::cancel);
}

async fn intervals() {
    let begin = time::now();
    let mut interval = task::interval(millis(100));
    let mut ticks = 0_u32;
    // Of a machine that is slow several come at once.
    while ticks < 10 {
        ticks += interval.tick().await as u32;
        assert!(time::now() - begin >= millis(100) * ticks, "it came too early");
    }
    println!("ten ticks");
}

async fn main(_boot: &'static BootInfo) -> Exit {
    let named = task::try_spawn_named("waits for ever", pending::<()>());
    sleepers().await;
    limits().await;
    intervals().await;
    assert_eq!(task::list().len(), 2);
    task::print_list(10);
    drop(named);
    Exit::Success
}
