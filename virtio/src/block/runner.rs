//! The task that waits for a device in the place of all requests, and watches that they are answered.

use alloc::rc::Rc;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use super::Error;
use super::shared::Shared;
use crate::memory::Memory;
use crate::transport::Transport;

/// What makes a disk run: a future that is spawned, in the executor whose tasks use the disk.
pub struct Runner<T: Transport, M: Memory>(Rc<Shared<T, M>>);

/// Into so many naps a limit is divided, or into more.
const NAPS: u32 = 8;
/// The longest nap: a device that is gone is noticed after that.
const LONGEST_NAP: Duration = Duration::from_secs(1);

impl<T: Transport, M: Memory> Runner<T, M> {
    pub(super) fn new(shared: Rc<Shared<T, M>>) -> Self {
        Runner(shared)
    }

    /// Runs until there is no handle any more. A request that is not answered within `limit`, and an eighth of it, is the end
    /// of the disk. `sleep` gives a future that is ready after that time; there is one at a time, and none while
    /// there are no requests.
    ///
    /// # Errors
    ///
    /// Why the device is used no more.
    pub async fn run<S: Future<Output = ()>>(
        self,
        limit: Duration,
        mut sleep: impl FnMut(Duration) -> S,
    ) -> Result<(), Error> {
        let nap = (limit / NAPS).clamp(Duration::from_millis(1), LONGEST_NAP);
        let naps = u32::try_from(limit.as_millis().div_ceil(nap.as_millis())).unwrap_or(u32::MAX);
        let shared = &*self.0;
        let mut sleeping = pin!(None::<S>);
        poll_fn(|context| {
            shared.on_runner(context.waker());
            if Rc::strong_count(&self.0) == 1 {
                return Poll::Ready(Ok(()));
            }
            shared.round(context.waker());
            loop {
                if let Some(error) = shared.error() {
                    return Poll::Ready(Err(error));
                }
                match sleeping.as_mut().as_pin_mut() {
                    Some(sleep) => {
                        if sleep.poll(context).is_pending() {
                            return Poll::Pending;
                        }
                        sleeping.set(None);
                        shared.after_nap(naps);
                    }
                    None => {
                        let is_busy = shared.flying() != 0;
                        shared.set_watched(is_busy);
                        if !is_busy {
                            return Poll::Pending;
                        }
                        sleeping.set(Some(sleep(nap)));
                    }
                }
            }
        })
        .await
    }
}

impl<T: Transport, M: Memory> Drop for Runner<T, M> {
    fn drop(&mut self) {
        self.0.fail(Error::Stopped);
    }
}
