//! Channels against a naive model: every short sequence of operations, and long random ones.
//!
//! Futures are polled and dropped at any time, also those that were granted something and have not looked.

use alloc::vec::Vec;
use core::task::Poll;

use proptest::prelude::*;

use super::super::{Closed, TrySendError, channel};
use super::line::Model as Permits;
use super::{Task, every_sequence};

#[derive(Clone, Copy, Debug)]
enum Step {
    StartSend,
    StartRecv,
    TrySend,
    TryRecv,
    /// Of the futures that are left: the one with this number, counted round.
    Poll(usize),
    Cancel(usize),
    DropSender,
    DropReceiver,
}

/// What a channel should do.
struct Model {
    values: Vec<u32>,
    room: Permits,
    items: Permits,
    senders: usize,
    receivers: usize,
}

impl Model {
    fn poll_send(&mut self, who: usize, value: u32) -> Poll<Result<(), Closed<u32>>> {
        self.room.poll(who, 1).map(|granted| self.push(granted, value))
    }

    fn push(&mut self, granted: Result<(), Closed>, value: u32) -> Result<(), Closed<u32>> {
        if granted.is_err() || self.receivers == 0 {
            return Err(Closed(value));
        }
        self.values.push(value);
        self.items.add(1);
        Ok(())
    }

    fn poll_recv(&mut self, who: usize) -> Poll<Option<u32>> {
        self.items.poll(who, 1).map(|_| self.pop())
    }

    fn pop(&mut self) -> Option<u32> {
        if self.values.is_empty() {
            return None;
        }
        self.room.add(1);
        Some(self.values.remove(0))
    }

    fn drop_sender(&mut self) {
        self.senders -= 1;
        if self.senders == 0 {
            self.items.close();
        }
    }

    fn drop_receiver(&mut self) {
        self.receivers -= 1;
        if self.receivers == 0 {
            self.values.clear();
            self.room.close();
        }
    }
}

/// A future under way. It has an end of the channel of its own, as a task would.
enum Underway {
    Send(usize, u32, Task<'static, Result<(), Closed<u32>>>),
    Recv(usize, Task<'static, Option<u32>>),
}

fn compare(capacity: usize, steps: impl IntoIterator<Item = Step>) {
    let (sender, receiver) = channel(capacity);
    let (mut sender, mut receiver) = (Some(sender), Some(receiver));
    let (room, items) = (Permits::new(capacity), Permits::new(0));
    let mut model = Model { values: Vec::new(), room, items, senders: 1, receivers: 1 };
    let mut underway = Vec::new();

    for (number, step) in steps.into_iter().enumerate() {
        let value = number as u32;
        match step {
            Step::StartSend => {
                let Some(sender) = sender.clone() else { continue };
                model.senders += 1;
                // Half of them wait for room only.
                let send = Task::new(async move {
                    if value.is_multiple_of(2) {
                        return sender.send(value).await;
                    }
                    let slot = sender.reserve().await.map_err(|Closed(())| Closed(value))?;
                    slot.send(value)
                });
                underway.push(Underway::Send(number, value, send));
            }
            Step::StartRecv => {
                let Some(receiver) = receiver.clone() else { continue };
                model.receivers += 1;
                // Half of them are streams.
                let recv = if number.is_multiple_of(2) {
                    Task::new(async move { receiver.recv().await })
                } else {
                    let mut values = alloc::boxed::Box::pin(receiver.into_stream());
                    Task::new(core::future::poll_fn(move |context| {
                        futures_core::Stream::poll_next(values.as_mut(), context)
                    }))
                };
                underway.push(Underway::Recv(number, recv));
            }
            Step::TrySend => {
                let Some(sender) = &sender else { continue };
                let want = match model.room.try_acquire(1) {
                    Poll::Ready(granted) => model
                        .push(granted, value)
                        .map_err(|Closed(value)| TrySendError::Closed(value)),
                    Poll::Pending => Err(TrySendError::Full(value)),
                };
                assert_eq!(sender.try_send(value), want);
            }
            Step::TryRecv => {
                let Some(receiver) = &receiver else { continue };
                let want = match model.items.try_acquire(1) {
                    Poll::Ready(_) => model.pop().map(Some).ok_or(Closed(())),
                    Poll::Pending => Ok(None),
                };
                assert_eq!(receiver.try_recv(), want);
            }
            Step::Poll(which) if !underway.is_empty() => {
                let which = which % underway.len();
                let is_ready = match &mut underway[which] {
                    Underway::Send(who, value, task) => {
                        let got = task.poll();
                        assert_eq!(got, model.poll_send(*who, *value));
                        got.is_ready()
                    }
                    Underway::Recv(who, task) => {
                        let got = task.poll();
                        assert_eq!(got, model.poll_recv(*who));
                        got.is_ready()
                    }
                };
                if is_ready {
                    cancel(&mut model, underway.remove(which));
                }
            }
            Step::Cancel(which) if !underway.is_empty() => {
                let which = which % underway.len();
                cancel(&mut model, underway.remove(which));
            }
            Step::Poll(_) | Step::Cancel(_) => {}
            Step::DropSender => {
                if sender.take().is_some() {
                    model.drop_sender();
                }
            }
            Step::DropReceiver => {
                if receiver.take().is_some() {
                    model.drop_receiver();
                }
            }
        }
        for underway in &underway {
            let (who, wakes, has_told) = match underway {
                Underway::Send(who, _, task) => (who, task.wakes(), model.room.has_told(*who)),
                Underway::Recv(who, task) => (who, task.wakes(), model.items.has_told(*who)),
            };
            assert_eq!(wakes, has_told.into(), "future {who} after step {number}");
        }
    }
}

/// Drops a future and with it an end of the channel, whether it is done or not.
fn cancel(model: &mut Model, underway: Underway) {
    match underway {
        Underway::Send(who, _, task) => {
            drop(task);
            model.room.cancel(who);
            model.drop_sender();
        }
        Underway::Recv(who, task) => {
            drop(task);
            model.items.cancel(who);
            model.drop_receiver();
        }
    }
}

#[test]
fn a_channel_is_as_its_model_in_every_short_sequence() {
    use Step::*;
    const STEPS: [Step; 8] =
        [StartSend, StartRecv, Poll(0), Poll(1), Cancel(0), Cancel(1), DropSender, DropReceiver];
    every_sequence(STEPS.len(), 6, |sequence| {
        let steps: Vec<Step> = sequence.iter().map(|&step| STEPS[step]).collect();
        // Shown only if the comparison fails.
        std::println!("{steps:?}");
        compare(1, steps);
    });
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::StartSend),
        6 => Just(Step::StartRecv),
        2 => Just(Step::TrySend),
        2 => Just(Step::TryRecv),
        16 => (0..8_usize).prop_map(Step::Poll),
        4 => (0..8_usize).prop_map(Step::Cancel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_channel_is_as_its_model_in_long_sequences(
        capacity in 1..4_usize,
        mut steps in prop::collection::vec(any_step(), 1..120),
        first_drop in any::<prop::sample::Index>(),
        second_drop in any::<prop::sample::Index>(),
        is_sender_first in any::<bool>(),
    ) {
        // The ends go late enough that something happens before, and early enough that something happens after.
        let [first, second] = if is_sender_first {
            [Step::DropSender, Step::DropReceiver]
        } else {
            [Step::DropReceiver, Step::DropSender]
        };
        steps.insert(first_drop.index(steps.len()), first);
        steps.insert(second_drop.index(steps.len()), second);
        compare(capacity, steps);
    }
}
