//! Memory for what is long: an amount that is known from the beginning, so that no number of clients, however slow, can
//! take what the kernel itself lives on. Who wants some waits for it; if that takes long, the one goes who has let others wait
//! longest.

use core::time::Duration;

use embassy_futures::select::{Either, select};
use freestone_task::sync::Semaphore;

use crate::connection::Server;
use crate::response::Code;

/// What making an answer may take, in bytes: the longest value, and what it is read into.
pub const ANSWER: usize = 160 * 1024;
/// How long somebody waits before another is told to go, and then for that.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many bytes, for whoever wants some.
#[derive(Debug)]
pub struct Memory {
    bytes: Semaphore,
    /// Each permit makes one of those go who have some and wait for their clients.
    leaves: Semaphore,
}

impl Memory {
    /// Nobody has any of it yet.
    pub fn new(bytes: usize) -> Memory {
        Memory { bytes: Semaphore::new(bytes), leaves: Semaphore::new(0) }
    }

    /// Waits for memory.
    ///
    /// # Errors
    ///
    /// [`Code::Unavailable`]: there is none, for some time.
    pub async fn lend(&self, server: &impl Server, bytes: usize) -> Result<Loan<'_>, Code> {
        if let Some(permit) = self.bytes.try_acquire(bytes) {
            permit.forget();
            return Ok(Loan { memory: self, bytes });
        }
        for is_last in [false, true] {
            if let Either::First(Ok(permit)) =
                select(self.bytes.acquire(bytes), server.sleep(PATIENCE)).await
            {
                permit.forget();
                return Ok(Loan { memory: self, bytes });
            }
            if !is_last && self.leaves.available() == 0 {
                self.leaves.add(1);
            }
        }
        Err(Code::Unavailable)
    }

    /// `work`, which waits for a client and has memory; none if others have waited too long for that.
    pub async fn unless_wanted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let wanted = async {
            if let Ok(permit) = self.leaves.acquire(1).await {
                permit.forget();
            }
        };
        match select(work, wanted).await {
            Either::First(done) => Some(done),
            Either::Second(()) => None,
        }
    }
}

/// Memory that somebody may take, until this is dropped.
#[derive(Debug)]
pub struct Loan<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Loan<'_> {
    /// From now on it is so many bytes.
    ///
    /// # Errors
    ///
    /// [`Code::Unavailable`] if they are more, and are not there.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Code> {
        let lender = &self.memory.bytes;
        match bytes.checked_sub(self.bytes) {
            Some(more) => lender.try_acquire(more).ok_or(Code::Unavailable)?.forget(),
            None => lender.add(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.memory.bytes.add(self.bytes);
    }
}
