//! One request, as a future.

use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::buffer::{Buffer, Kept};
use super::config::SECTOR_BYTES;
use super::shared::{Begun, Shared};
use super::slots::Order;
use super::{Error, Failed};
use crate::memory::Memory;
use crate::transport::Transport;

/// What is asked for, as the device is told (5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Command {
    Read = 0,
    Write = 1,
    Flush = 4,
    Identity = 8,
    Discard = 11,
    WriteZeroes = 13,
}

/// A request. It begins when it is first polled, and gives the buffer back when it has ended. One that is longer than the
/// [device takes](super::Properties::most_bytes) is done part by part.
#[must_use = "a request begins when it is awaited"]
pub struct Request<'a, T: Transport, M: Memory, B: Buffer> {
    shared: &'a Shared<T, M>,
    command: Command,
    stage: Stage,
    /// Where the next part begins.
    sector: u64,
    address: u64,
    /// How much is left with it, in bytes.
    left: usize,
    /// How much of that is under way.
    flying: u32,
    buffer: Kept,
    _buffer: PhantomData<B>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    New,
    /// With a ticket, 0 for none yet.
    Waiting(u64),
    /// In this slot.
    Flying(u16),
    Over,
}

// A buffer may be moved.
impl<T: Transport, M: Memory, B: Buffer> Unpin for Request<'_, T, M, B> {}

impl<'a, T: Transport, M: Memory, B: Buffer> Request<'a, T, M, B> {
    #[inline]
    pub(super) fn new(
        shared: &'a Shared<T, M>,
        command: Command,
        sector: u64,
        mut buffer: B,
    ) -> Self {
        let left = buffer.bytes().len();
        // What is wrong is said when it is polled.
        let address = if left == 0 { Some(0) } else { buffer.address::<M>() };
        Request {
            shared,
            command,
            stage: Stage::New,
            sector,
            address: address.unwrap_or(NOWHERE),
            left,
            flying: 0,
            buffer: Kept::new(buffer),
            _buffer: PhantomData,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.command == Command::Write {
            self.shared.check_writable()?;
        }
        if matches!(self.command, Command::Read | Command::Write) {
            if !self.left.is_multiple_of(SECTOR_BYTES) {
                return Err(Error::Uneven);
            }
            self.shared.check_range(self.sector, (self.left / SECTOR_BYTES) as u64)?;
        }
        if self.address == NOWHERE { Err(Error::Scattered) } else { Ok(()) }
    }

    fn order(&mut self) -> Order {
        self.flying = self.left.min(self.shared.properties().most_bytes as usize) as u32;
        Order {
            kind: self.command as u32,
            sector: self.sector,
            address: self.address,
            len: self.flying,
            is_written: matches!(self.command, Command::Read | Command::Identity),
        }
    }

    /// The next part is done.
    fn advance(&mut self) {
        self.sector += u64::from(self.flying) / SECTOR_BYTES as u64;
        self.address += u64::from(self.flying);
        self.left -= self.flying as usize;
        self.stage = if self.left == 0 { Stage::Over } else { Stage::Waiting(0) };
    }

    fn poll_parts(&mut self, context: &mut Context) -> Poll<Result<(), Error>> {
        let waker = context.waker();
        loop {
            match self.stage {
                Stage::New => {
                    self.check()?;
                    self.stage = Stage::Waiting(0);
                }
                Stage::Waiting(mut ticket) => {
                    let order = self.order();
                    let begun = self.shared.begin(&order, &mut self.buffer, &mut ticket, waker)?;
                    match begun {
                        Begun::Flying(slot) => self.stage = Stage::Flying(slot),
                        Begun::Waiting => {
                            self.stage = Stage::Waiting(ticket);
                            return Poll::Pending;
                        }
                    }
                }
                Stage::Flying(slot) => {
                    let (result, buffer) = ready!(self.shared.poll(slot, waker));
                    self.buffer = buffer;
                    self.stage = Stage::Over;
                    result?;
                    self.advance();
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// No address of a device's: there is nothing behind it.
const NOWHERE: u64 = u64::MAX;

impl<T: Transport, M: Memory, B: Buffer> Future for Request<'_, T, M, B> {
    type Output = Result<B, Failed<B>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Self::Output> {
        let result = ready!(self.poll_parts(context));
        self.leave();
        let buffer = core::mem::replace(&mut self.buffer, Kept::none());
        // SAFETY: `new` has made it of a `B`. What came back from the slot is what was put into it.
        let buffer = unsafe { buffer.into::<B>() };
        Poll::Ready(match (result, buffer) {
            (Ok(()), Some(buffer)) => Ok(buffer),
            (Ok(()), None) => panic!("a request that has ended is polled"),
            (Err(error), buffer) => Err(Failed { error, buffer }),
        })
    }
}

impl<T: Transport, M: Memory, B: Buffer> Request<'_, T, M, B> {
    /// Lets go of what it waits for.
    fn leave(&mut self) {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Flying(slot) => self.shared.abandon(slot),
            Stage::Waiting(ticket) if ticket != 0 => self.shared.stop_waiting(ticket),
            _ => {}
        }
    }
}

impl<T: Transport, M: Memory, B: Buffer> Drop for Request<'_, T, M, B> {
    fn drop(&mut self) {
        self.leave();
    }
}
