//! Broadcast, watch and oneshot; and what the models of the others leave out.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::pin;
use core::task::Poll;

use futures_core::Stream;

use super::super::broadcast::{self, Missed};
use super::super::{Closed, channel, oneshot, watch};
use super::Task;

#[test]
fn every_receiver_gets_every_value_and_then_the_end() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    let mut behind = first.clone();
    let mut waiting = [&mut first, &mut second].map(|receiver| Task::new(receiver.recv()));
    assert!(waiting.iter_mut().all(|task| task.poll().is_pending()));
    sender.send(1);
    for task in &mut waiting {
        assert_eq!((task.wakes(), task.poll()), (1, Poll::Ready(Ok(1))));
    }
    drop(waiting);
    assert_eq!(first.try_recv(), Ok(None));
    let last = sender.clone();
    drop(sender);
    last.send(2);
    drop(last);
    assert_eq!(behind.try_recv(), Ok(Some(1)));
    for mut receiver in [first, second, behind.clone(), behind] {
        assert_eq!(Task::new(receiver.recv()).poll(), Poll::Ready(Ok(2)));
        assert_eq!(Task::new(receiver.recv()).poll(), Poll::Ready(Err(Missed::Closed)));
        assert_eq!(receiver.try_recv(), Err(Missed::Closed));
    }
}

#[test]
fn a_slow_receiver_is_told_how_many_it_lost_for_every_capacity_and_number() {
    for capacity in 1..5_u64 {
        for sent in 0..12_u64 {
            let (sender, mut receiver) = broadcast::channel(capacity as usize);
            (0..sent).for_each(|value| sender.send(value));
            let lost = sent.saturating_sub(capacity);
            if lost > 0 {
                assert_eq!(receiver.try_recv(), Err(Missed::Lost(lost)));
            }
            for value in lost..sent {
                assert_eq!(receiver.try_recv(), Ok(Some(value)));
            }
            assert_eq!(receiver.try_recv(), Ok(None));
            assert_eq!(sender.subscribe().try_recv(), Ok(None), "it came later");
        }
    }
}

#[test]
fn a_cancelled_receiver_of_a_broadcast_loses_nothing_after_any_number_of_polls() {
    for polls in 0..3 {
        for is_sent_before_the_drop in [false, true] {
            let (sender, mut receiver) = broadcast::channel(2);
            let mut other = receiver.clone();
            let mut others = Task::new(other.recv());
            let mut waits = Task::new(receiver.recv());
            (0..polls).for_each(|_| assert!(waits.poll().is_pending()));
            assert!(others.poll().is_pending());
            if is_sent_before_the_drop {
                sender.send('a');
                drop(waits);
            } else {
                drop(waits);
                sender.send('a');
            }
            assert_eq!(receiver.try_recv(), Ok(Some('a')));
            assert_eq!((others.wakes(), others.poll()), (1, Poll::Ready(Ok('a'))));
        }
    }
}

#[test]
fn the_last_sender_wakes_receivers() {
    let (sender, mut receiver) = broadcast::channel::<()>(1);
    let mut waits = Task::new(receiver.recv());
    assert!(waits.poll().is_pending());
    drop(sender);
    assert_eq!((waits.wakes(), waits.poll()), (1, Poll::Ready(Err(Missed::Closed))));

    let (sender, mut receiver) = watch::channel(0);
    let mut waits = Task::new(receiver.changed());
    assert!(waits.poll().is_pending());
    drop(sender);
    assert_eq!((waits.wakes(), waits.poll()), (1, Poll::Ready(Err(Closed(())))));
}

#[test]
fn a_watcher_sees_the_latest_value_once() {
    let (sender, mut receiver) = watch::channel(0);
    let mut late = sender.subscribe();
    let mut waits = Task::new(receiver.changed());
    assert!(waits.poll().is_pending());
    sender.send(1);
    sender.send(2);
    assert_eq!((waits.wakes(), waits.poll()), (1, Poll::Ready(Ok(2))));
    drop(waits);
    assert_eq!((receiver.get(), receiver.try_changed()), (2, Ok(None)));
    // Cancelled before and after the change, it has seen nothing.
    for polls in 0..3 {
        let mut waits = Task::new(receiver.changed());
        (0..polls).for_each(|_| assert!(waits.poll().is_pending()));
        sender.send(polls);
        drop(waits);
        assert_eq!(receiver.clone().try_changed(), Ok(Some(polls)));
        assert_eq!(receiver.try_changed(), Ok(Some(polls)));
    }
    let last = sender.clone();
    drop(sender);
    assert_eq!(receiver.try_changed(), Ok(None));
    last.send(9);
    drop(last);
    assert_eq!(Task::new(receiver.changed()).poll(), Poll::Ready(Ok(9)));
    assert_eq!(receiver.try_changed(), Err(Closed(())));
    assert_eq!((late.get(), late.try_changed()), (9, Ok(Some(9))));
}

#[test]
fn a_oneshot_delivers_once_or_says_who_is_gone() {
    let (sender, receiver) = oneshot::channel();
    let mut waits = Task::new(receiver);
    assert!(waits.poll().is_pending() && waits.poll().is_pending());
    assert!(!sender.is_closed());
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!((waits.wakes(), waits.poll()), (1, Poll::Ready(Ok(1))));
    assert_eq!(waits.poll(), Poll::Ready(Err(Closed(()))));

    let (sender, receiver) = oneshot::channel::<u8>();
    let mut waits = Task::new(receiver);
    assert!(waits.poll().is_pending());
    drop(sender);
    assert_eq!((waits.wakes(), waits.poll()), (1, Poll::Ready(Err(Closed(())))));

    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(2), Err(Closed(2)));

    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(receiver.try_recv(), Ok(None));
    assert_eq!(sender.send(3), Ok(()));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(Some(3)), Err(Closed(()))));
}

#[test]
fn values_are_dropped_once_wherever_they_are() {
    let value = Arc::new(());
    let (sender, receiver) = channel(2);
    sender.try_send(value.clone()).unwrap();
    sender.try_send(value.clone()).unwrap();
    let mut waits = Task::new(sender.send(value.clone()));
    assert!(waits.poll().is_pending());
    assert_eq!(Arc::strong_count(&value), 4);
    drop(receiver.try_recv());
    assert_eq!(Arc::strong_count(&value), 3);
    drop(receiver);
    assert_eq!(Arc::strong_count(&value), 2, "what is left goes with the last receiver");
    assert!(matches!(waits.poll(), Poll::Ready(Err(Closed(_)))));

    let (sender, receiver) = broadcast::channel(2);
    (0..5).for_each(|_| sender.send(value.clone()));
    let (once, taken) = oneshot::channel();
    once.send(value.clone()).unwrap();
    let (state, _) = watch::channel(value.clone());
    state.send(value.clone());
    drop((waits, sender, receiver, taken, state));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_stream_ends_after_the_last_value() {
    let (sender, receiver) = channel(3);
    (0..3).for_each(|value| sender.try_send(value).unwrap());
    drop(sender);
    let mut values = pin!(receiver.into_stream());
    let mut next = Task::new(core::future::poll_fn(|context| values.as_mut().poll_next(context)));
    let got: Vec<_> = (0..5).map(|_| next.poll()).collect();
    assert_eq!(got, [Some(0), Some(1), Some(2), None, None].map(Poll::Ready));
}

#[test]
fn what_is_shared_may_be_sent_as_its_values_may() {
    use super::super::{Event, Mutex, MutexGuard, ReadGuard, Receiver, RwLock, Sender, Values};
    use core::cell::Cell;

    fn returned<T: Send>(_: impl Fn() -> T) {}
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}

    let event = Event::new();
    returned(|| event.wait());
    let (sender, receiver) = channel::<Cell<u8>>(1);
    returned(|| sender.send(Cell::new(0)));
    returned(|| receiver.recv());
    shared::<Mutex<Cell<u8>>>();
    sent::<MutexGuard<'_, Cell<u8>>>();
    shared::<MutexGuard<'_, u8>>();
    shared::<RwLock<u8>>();
    sent::<ReadGuard<'_, u8>>();
    shared::<Sender<Cell<u8>>>();
    shared::<Receiver<Cell<u8>>>();
    shared::<Values<Cell<u8>>>();
    sent::<oneshot::Receiver<Cell<u8>>>();
    shared::<watch::Receiver<Cell<u8>>>();
    shared::<broadcast::Sender<Cell<u8>>>();
}
