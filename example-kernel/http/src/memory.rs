//! Memory for what is long: an amount that is known from the beginning, so that no number of clients, however slow, can
//! take what the kernel itself lives on. Who wants some waits for it; if that takes long, the one goes who has let others wait
//! longest.

use core::cell::Cell;
use core::time::Duration;

use embassy_futures::select::{Either, select};
use freestone_task::sync::Event;

use crate::connection::Server;
use crate::line::Line;
use crate::response::Code;

/// What making an answer may take, in bytes: the longest value, and what it is read into.
pub const ANSWER: usize = 160 * 1024;
/// How long somebody waits before another is told to go, and then for that.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many bytes, for whoever wants some.
#[derive(Debug)]
pub struct Memory {
    free: Cell<usize>,
    /// How many wait for some.
    wanted: Cell<usize>,
    freed: Event,
    /// Who is called has some, waits for its client, and goes.
    leaves: Line,
}

impl Memory {
    /// Nobody has any of it yet.
    pub fn new(bytes: usize) -> Memory {
        let (free, wanted) = (Cell::new(bytes), Cell::new(0));
        Memory { free, wanted, freed: Event::new(), leaves: Line::default() }
    }

    /// Waits for memory.
    ///
    /// # Errors
    ///
    /// [`Code::Unavailable`]: there is none, for some time.
    pub async fn lend(&self, server: &impl Server, bytes: usize) -> Result<Loan<'_>, Code> {
        if self.wanted.get() == 0 && self.take(bytes) {
            return Ok(Loan { memory: self, bytes });
        }
        let _wanting = Wanting::new(self);
        for is_last in [false, true] {
            let taking = async {
                loop {
                    let freed = self.freed.wait();
                    if self.take(bytes) {
                        return;
                    }
                    freed.await;
                }
            };
            if let Either::First(()) = select(taking, server.sleep(PATIENCE)).await {
                return Ok(Loan { memory: self, bytes });
            }
            if !is_last {
                self.leaves.call();
            }
        }
        Err(Code::Unavailable)
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.free.get().checked_sub(bytes);
        left.inspect(|left| self.free.set(*left)).is_some()
    }

    fn give_back(&self, bytes: usize) {
        self.free.set(self.free.get() + bytes);
        if self.wanted.get() > 0 {
            self.freed.pulse();
        }
    }

    /// `work`, which waits for a client and has memory; none if others have waited too long for that.
    pub async fn unless_wanted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match select(work, self.leaves.wait()).await {
            Either::First(done) => Some(done),
            Either::Second(()) => None,
        }
    }
}

/// Somebody who waits for memory, until this is dropped.
struct Wanting<'a>(&'a Memory);

impl Wanting<'_> {
    fn new(memory: &Memory) -> Wanting<'_> {
        memory.wanted.set(memory.wanted.get() + 1);
        Wanting(memory)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.wanted.set(self.0.wanted.get() - 1);
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
        match bytes.checked_sub(self.bytes) {
            Some(more) if !self.memory.take(more) => return Err(Code::Unavailable),
            Some(_) => {}
            None => self.memory.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}
