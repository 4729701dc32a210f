//! A console: bytes that come and go, by one port.
//!
//! What is written is collected, and sent with one notification when it is [flushed](Console::flush) or its buffers are full.
//! What is received lies in the driver's buffers until it is read.
//!
//! One task has the console: it may wait for bytes and for room at the same time, by the `poll` functions. A host that does not
//! read lets writers wait for ever; who wants a limit gives the future up, which loses nothing.
//!
//! Who has no task any more, in a panic, writes by [`Emergency`].
//!
//! Ports beyond the first (`VIRTIO_CONSOLE_F_MULTIPORT`) are not used.
//!
//! Source: VIRTIO 1.2, 5.3.

use core::future::poll_fn;
use core::mem::ManuallyDrop;
use core::task::{Context, Poll, ready};

use crate::interrupt::{Attention, Messages};
use crate::memory::{Memory, Pages};
use crate::queue::{Lying, Queue, Segment};
use crate::transport::{
    EVENT_INDEX, Error, Features, Transport, consistent, is_lost, limited, negotiate, reset, start,
};

/// The console's number (5.3.1).
pub const KIND: u32 = 3;

/// It says how large it is.
const SIZE: u64 = 1 << 0;
/// It takes bytes by its configuration.
const EMERGENCY_WRITE: u64 = 1 << 2;
const COLUMNS_AT: u16 = 0;
const ROWS_AT: u16 = 2;
const EMERGENCY_AT: u16 = 8;

/// Of the first port (5.3.2).
const RECEIVES: u16 = 0;
const TRANSMITS: u16 = 1;

const BUFFERS: usize = 16;
const BUFFER_BYTES: usize = 256;

type ByteQueue<P> = Queue<BUFFERS, P>;

/// A console in use.
pub struct Console<T: Transport, M: Memory> {
    device: T,
    attention: &'static Attention,
    /// These two go when the device has been reset.
    input: ManuallyDrop<Side<M::Pages>>,
    output: ManuallyDrop<Side<M::Pages>>,
    /// The buffer that is read: its number, where reading goes on, and where it ends.
    reading: Option<(u16, usize, usize)>,
    /// The buffer that is written to, and how much is in it.
    writing: Option<(u16, usize)>,
    has_size: bool,
    error: Option<Error>,
}

/// Output by a console's configuration (5.3.4, `VIRTIO_CONSOLE_F_EMERG_WRITE`): one access for each byte, with no queue, no
/// memory, no interrupt and no wait. The device takes it at any time, brought up or not, beside a [`Console`] too, in any
/// context. It is no way to write much: each byte takes the host as long as a notification does.
#[derive(Debug)]
pub struct Emergency<T: Transport>(T);

impl<T: Transport> Emergency<T> {
    /// `None` if it is no console, or one without this.
    pub fn new(device: T) -> Option<Emergency<T>> {
        let has_it = device.kind() == KIND && device.features() & EMERGENCY_WRITE != 0;
        has_it.then_some(Emergency(device))
    }

    /// Writes all of `bytes`.
    pub fn write(&self, bytes: &[u8]) {
        for byte in bytes {
            self.0.set_config_word(EMERGENCY_AT, u32::from(*byte));
        }
    }
}

/// A queue and its buffers.
struct Side<P> {
    queue: ByteQueue<P>,
    pages: P,
    count: u16,
    /// A bit for each buffer that the device does not have, and nobody uses.
    free: u16,
}

const _: () = assert!(BUFFERS == u16::BITS as usize);

impl<P: Pages> Side<P> {
    fn new<M: Memory<Pages = P>>(
        device: &impl Transport,
        index: u16,
        features: &Features,
        messages: Messages,
    ) -> Result<Self, Error> {
        let len = ByteQueue::<P>::len(device, index)?;
        let memory = |bytes| M::zeroed(bytes).ok_or(Error::NoMemory);
        let (pages, data) = (memory(ByteQueue::<P>::bytes(len))?, memory(BUFFERS * BUFFER_BYTES)?);
        let queue = ByteQueue::new(device, index, len, pages, features, messages.queues)?;
        let count = queue.count();
        let free = u16::MAX >> (u16::BITS - u32::from(count));
        Ok(Side { queue, pages: data, count, free })
    }

    /// The buffer of this number.
    fn bytes(&mut self, id: u16) -> &mut [u8; BUFFER_BYTES] {
        let start = usize::from(id) * BUFFER_BYTES;
        assert!(start + BUFFER_BYTES <= self.pages.len(), "there is a buffer for each descriptor");
        // SAFETY: inside the pages, which are this one's. The device does not have the buffer while the reference lives.
        unsafe { self.pages.start().byte_add(start).cast().as_mut() }
    }

    /// Gives the device a buffer, or what is in it.
    fn offer(&mut self, id: u16, len: usize, is_written: bool) {
        let address = self.pages.address() + (usize::from(id) * BUFFER_BYTES) as u64;
        self.queue.describe(id, Segment { address, len: len as u32, is_written }, None);
        self.queue.offer(id);
    }

    fn take_back(&mut self) -> Result<(), Lying> {
        while let Some((id, _)) = self.queue.take()? {
            self.free |= 1 << id;
        }
        Ok(())
    }

    /// A buffer that is free.
    fn next_free(&mut self) -> Option<u16> {
        let id = self.free.trailing_zeros() as u16;
        (self.free != 0).then(|| {
            self.free &= self.free - 1;
            id
        })
    }
}

impl<T: Transport, M: Memory> Console<T, M> {
    /// Brings a console up. `is_over` ends the wait for the device.
    ///
    /// # Errors
    ///
    /// It is no console, refuses what it must take, does not answer, or there is no memory.
    pub fn new(
        device: T,
        attention: &'static Attention,
        messages: Messages,
        is_over: impl FnMut() -> bool,
    ) -> Result<Self, Error> {
        let features = negotiate(&device, KIND, SIZE | EVENT_INDEX, is_over)?;
        let side = |index| Side::new::<M>(&device, index, &features, messages);
        // Until it is started, the device may use neither, so their memory may go.
        let (mut input, output) = (side(RECEIVES)?, side(TRANSMITS)?);
        if let Some(message) = messages.config {
            // Without it a console that is gone is seen later.
            let _ = device.give_config_message(message);
        }
        for id in 0..input.count {
            input.offer(id, BUFFER_BYTES, true);
        }
        start(&device, &features);
        input.queue.tell();
        Ok(Console {
            device,
            attention,
            input: ManuallyDrop::new(input),
            output: ManuallyDrop::new(output),
            reading: None,
            writing: None,
            has_size: features.has(SIZE),
            error: None,
        })
    }

    /// How many columns and rows it has, if it says so.
    pub fn size(&self) -> Option<(u16, u16)> {
        let read = || (self.device.config_half(COLUMNS_AT), self.device.config_half(ROWS_AT));
        consistent(&self.device, read).filter(|_| self.has_size)
    }

    /// Why the device is not used any more, if it is not.
    pub fn error(&self) -> Option<Error> {
        self.error
    }

    /// How many times the device was told to look, for both queues.
    pub fn notifications(&self) -> u64 {
        self.input.queue.rings() + self.output.queue.rings()
    }

    /// The device has lied, asks to be reset, or is gone.
    #[cold]
    fn give_up(&mut self) -> Error {
        self.error = Some(Error::Lying);
        let _ = reset(&self.device, limited());
        Error::Lying
    }

    fn check(&mut self) -> Result<(), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.attention.take_news() && is_lost(&self.device) {
            return Err(self.give_up());
        }
        Ok(())
    }

    /// Reads what has come: one byte at least, unless `bytes` is empty.
    ///
    /// # Errors
    ///
    /// `Lying`: the device is used no more.
    pub async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|context| self.poll_read(context, bytes)).await
    }

    /// Takes some of `bytes` to be sent: one byte at least, unless it is empty.
    ///
    /// # Errors
    ///
    /// `Lying`: the device is used no more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        poll_fn(|context| self.poll_write(context, bytes)).await
    }

    /// [`write`](Self::write), until all was taken.
    ///
    /// # Errors
    ///
    /// `Lying`: the device is used no more.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let taken = self.write(bytes).await?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Sends what was written, and waits until the device has taken all of it.
    ///
    /// # Errors
    ///
    /// `Lying`: the device is used no more.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// As [`read`](Self::read).
    pub fn poll_read(
        &mut self,
        context: &mut Context,
        bytes: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        self.check()?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (id, at, end) = match self.reading {
            Some(reading) => reading,
            None => match ready!(self.poll_input(context)) {
                Ok((id, end)) => (id, 0, end),
                Err(Lying) => return Poll::Ready(Err(self.give_up())),
            },
        };
        let len = bytes.len().min(end - at);
        bytes[..len].copy_from_slice(&self.input.bytes(id)[at..at + len]);
        self.reading = (at + len < end).then_some((id, at + len, end));
        if self.reading.is_none() {
            self.input.offer(id, BUFFER_BYTES, true);
            self.input.queue.tell();
        }
        Poll::Ready(Ok(len))
    }

    /// The next buffer with something in it, and how much.
    fn poll_input(&mut self, context: &mut Context) -> Poll<Result<(u16, usize), Lying>> {
        for is_registered in [false, true] {
            // A device that gives nothing again and again has as many turns as buffers.
            for _ in 0..BUFFERS {
                let Some((id, len)) = self.input.queue.take()? else { break };
                match len as usize {
                    0 => self.input.offer(id, BUFFER_BYTES, true),
                    len @ 1..=BUFFER_BYTES => return Poll::Ready(Ok((id, len))),
                    _ => return Poll::Ready(Err(Lying)),
                }
            }
            self.input.queue.tell();
            if is_registered {
                context.waker().wake_by_ref();
                break;
            }
            self.attention.register(context.waker());
            if !self.input.queue.ask(1) {
                break;
            }
        }
        Poll::Pending
    }

    /// As [`write`](Self::write).
    pub fn poll_write(
        &mut self,
        context: &mut Context,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        self.check()?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (id, at) = match self.writing {
            Some(writing) => writing,
            None => match ready!(self.poll_room(context)) {
                Ok(id) => (id, 0),
                Err(Lying) => return Poll::Ready(Err(self.give_up())),
            },
        };
        let len = bytes.len().min(BUFFER_BYTES - at);
        self.output.bytes(id)[at..at + len].copy_from_slice(&bytes[..len]);
        self.writing = Some((id, at + len));
        if at + len == BUFFER_BYTES {
            self.offer_written();
        }
        Poll::Ready(Ok(len))
    }

    fn offer_written(&mut self) {
        if let Some((id, len)) = self.writing.take() {
            self.output.offer(id, len, false);
        }
    }

    /// A buffer to write to.
    fn poll_room(&mut self, context: &mut Context) -> Poll<Result<u16, Lying>> {
        if self.output.free == 0 {
            self.output.take_back()?;
        }
        if self.output.free == 0 {
            self.output.queue.tell();
            self.attention.register(context.waker());
            if self.output.queue.ask(1) {
                self.output.take_back()?;
            }
        }
        match self.output.next_free() {
            Some(id) => {
                self.output.queue.hush();
                Poll::Ready(Ok(id))
            }
            None => Poll::Pending,
        }
    }

    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, context: &mut Context) -> Poll<Result<(), Error>> {
        self.check()?;
        self.offer_written();
        self.output.queue.tell();
        match self.poll_sent(context) {
            Poll::Ready(Err(Lying)) => Poll::Ready(Err(self.give_up())),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_sent(&mut self, context: &mut Context) -> Poll<Result<(), Lying>> {
        self.output.take_back()?;
        let left = self.output.queue.flying();
        if left != 0 {
            self.attention.register(context.waker());
            if !self.output.queue.ask(left) {
                return Poll::Pending;
            }
            self.output.take_back()?;
        }
        self.output.queue.hush();
        if self.output.queue.flying() == 0 {
            return Poll::Ready(Ok(()));
        }
        // It says that all is sent, and it is not.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Transport, M: Memory> Drop for Console<T, M> {
    fn drop(&mut self) {
        if reset(&self.device, limited()).is_ok() {
            // SAFETY: they are used no more. A device that does not stop keeps its memory.
            unsafe {
                ManuallyDrop::drop(&mut self.input);
                ManuallyDrop::drop(&mut self.output);
            }
        }
    }
}

#[cfg(test)]
mod tests;
