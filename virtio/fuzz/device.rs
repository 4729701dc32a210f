//! A device that the input makes: its features, its configuration, and at each step what stands in its used rings and in the
//! buffers that it was given. Beside it a network driver and a console, which must neither panic nor hang, nor hand out what
//! is not theirs. `run.sh` says how to start it.
//!
//! The device writes where it was told to only: see the crate's page.
#![no_main]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use embassy_net_driver::{Driver, RxToken, TxToken};
use freestone_virtio::console::Console;
use freestone_virtio::memory::{Memory, Pages};
use freestone_virtio::net::Net;
use freestone_virtio::{Attention, Bell, Interrupt, Messages, Places, Transport};
use libfuzzer_sys::fuzz_target;

const PAGE: usize = 4096;
const NET: u32 = 1;
const CONSOLE: u32 = 3;
const VERSION_1: u64 = 1 << 32;

/// The longest that a frame can be: headers of Ethernet and IPv6, and 64 KiB.
const LONGEST_FRAME: usize = 14 + 40 + 65_535;

struct Host;

struct HostPages(NonNull<u8>, Layout);

// SAFETY: its owner's alone.
unsafe impl Send for HostPages {}

// SAFETY: zeroed, aligned, and the owner's until it is dropped.
unsafe impl Pages for HostPages {
    fn start(&self) -> NonNull<u8> {
        self.0
    }

    fn len(&self) -> usize {
        self.1.size()
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }
}

impl Drop for HostPages {
    fn drop(&mut self) {
        // SAFETY: `zeroed` got it so.
        unsafe { dealloc(self.0.as_ptr(), self.1) }
    }
}

// SAFETY: the device sees memory where it is.
unsafe impl Memory for Host {
    type Pages = HostPages;

    fn zeroed(bytes: usize) -> Option<HostPages> {
        let layout = Layout::from_size_align(bytes.next_multiple_of(PAGE), PAGE).ok()?;
        // SAFETY: drivers ask for something.
        NonNull::new(unsafe { alloc_zeroed(layout) }).map(|start| HostPages(start, layout))
    }

    fn address(bytes: NonNull<[u8]>) -> Option<u64> {
        Some(bytes.cast::<u8>().as_ptr().expose_provenance() as u64)
    }
}

/// What the input says of a device, and what its driver has told it.
struct Device {
    kind: u32,
    is_legacy: bool,
    features: u64,
    most: u16,
    has_fixed_len: bool,
    config: Cell<[u8; 16]>,
    status: Cell<u8>,
    queues: RefCell<Vec<Option<Queue>>>,
}

struct Queue {
    places: Places,
    /// How far it has read the available ring, and written the used one.
    seen: u16,
    used: u16,
}

fn at<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

impl Queue {
    fn half(&self, address: u64) -> u16 {
        // SAFETY: in the queue's pages, which its driver keeps until it has reset the device.
        unsafe { at::<u16>(address).read_volatile() }
    }

    fn set_half(&self, address: u64, value: u16) {
        // SAFETY: as above.
        unsafe { at::<u16>(address).write_volatile(value) }
    }

    /// The next chain's first descriptor, whose buffers get these bytes again and again, behind a header that says so many
    /// buffers.
    fn fill(&mut self, bytes: &[u8], len: usize, buffers: u16) -> Option<u16> {
        if self.half(self.places.available + 2) == self.seen {
            return None;
        }
        let slot = u64::from(self.seen % self.places.len);
        let head = self.half(self.places.available + 4 + 2 * slot);
        self.seen = self.seen.wrapping_add(1);
        let (mut next, mut left, mut pieces) = (head, len, 0);
        loop {
            let descriptor = self.places.descriptors + 16 * u64::from(next);
            // SAFETY: as in `half`.
            let (address, size) = unsafe {
                (at::<u64>(descriptor).read_volatile(), at::<u32>(descriptor + 8).read_volatile())
            };
            let flags = self.half(descriptor + 12);
            for offset in 0..(size as usize).min(left) {
                let byte = match offset {
                    10 => buffers as u8,
                    11 => (buffers >> 8) as u8,
                    _ => bytes.get(offset % bytes.len().max(1)).copied().unwrap_or(0),
                };
                if flags & 2 != 0 {
                    // SAFETY: the driver has given it to be written to.
                    unsafe { at::<u8>(address + offset as u64).write_volatile(byte) }
                } else {
                    // SAFETY: the driver has given it to be read.
                    let _ = unsafe { at::<u8>(address + offset as u64).read_volatile() };
                }
            }
            left = left.saturating_sub(size as usize);
            pieces += 1;
            assert!(pieces <= self.places.len, "a chain that does not end");
            if flags & 1 == 0 {
                return Some(head);
            }
            next = self.half(descriptor + 14);
        }
    }

    /// Says that a chain was used, and goes on by so much.
    fn give(&mut self, id: u32, len: u32, step: u16) {
        let entry = self.places.used + 4 + 8 * u64::from(self.used % self.places.len);
        for (offset, word) in [(0, id), (4, len)] {
            // SAFETY: as in `half`.
            unsafe { at::<u32>(entry + offset).write_volatile(word) }
        }
        self.used = self.used.wrapping_add(step);
        self.set_half(self.places.used + 2, self.used);
    }
}

static REGISTER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl Device {
    fn config<const N: usize>(&self, offset: u16) -> [u8; N] {
        let config = self.config.get();
        std::array::from_fn(|at| config.get(usize::from(offset) + at).copied().unwrap_or(0))
    }
}

struct Handle<'a>(&'a Device);

impl Transport for Handle<'_> {
    fn kind(&self) -> u32 {
        self.0.kind
    }
    fn status(&self) -> u8 {
        self.0.status.get()
    }
    fn set_status(&self, status: u8) {
        if status == 0 {
            self.0.queues.borrow_mut().clear();
        }
        self.0.status.set(status);
    }
    fn features(&self) -> u64 {
        self.0.features
    }
    fn accept(&self, _: u64) {}
    fn is_legacy(&self) -> bool {
        self.0.is_legacy
    }
    fn generation(&self) -> u32 {
        0
    }
    fn config_byte(&self, offset: u16) -> u8 {
        self.0.config::<1>(offset)[0]
    }
    fn config_half(&self, offset: u16) -> u16 {
        u16::from_le_bytes(self.0.config(offset))
    }
    fn config_word(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.0.config(offset))
    }
    fn set_config_word(&self, _: u16, _: u32) {}
    fn most(&self, _: u16) -> u16 {
        self.0.most
    }
    fn has_fixed_len(&self) -> bool {
        self.0.has_fixed_len
    }
    unsafe fn give(&self, index: u16, places: Places, _: Option<u16>) -> Option<Bell> {
        let mut queues = self.0.queues.borrow_mut();
        let len = queues.len().max(usize::from(index) + 1);
        queues.resize_with(len, || None);
        queues[usize::from(index)] = Some(Queue { places, seen: 0, used: 0 });
        // SAFETY: a word of memory that nobody reads.
        Some(unsafe { Bell::word(NonNull::new(REGISTER.as_ptr())?, index) })
    }
    fn give_config_message(&self, _: u16) -> bool {
        true
    }
    fn interrupt(&self) -> Interrupt {
        Interrupt::NONE
    }
}

/// What happens next, of four bytes, and what it is done with: the bytes that follow.
fn step(device: &Device, attention: &Attention, [what, low, high, more]: [u8; 4], rest: &[u8]) {
    let number = u16::from_le_bytes([low, high]);
    let index = usize::from(what >> 3 & 1);
    let mut queues = device.queues.borrow_mut();
    let Some(Some(queue)) = queues.get_mut(index) else { return };
    let bytes = &rest[..rest.len().min(80)];
    match what & 7 {
        // As devices do.
        0..=2 => {
            let len = usize::from(number % 2049);
            let buffers = if more < 128 { 1 } else { u16::from(more) - 128 };
            if let Some(head) = queue.fill(bytes, len, buffers) {
                queue.give(head.into(), len as u32, 1);
            }
        }
        3 => {
            if let Some(head) = queue.fill(bytes, 2048, more.into()) {
                queue.give(head.into(), u32::from(number) << (more & 31), 1);
            }
        }
        4 => queue.give(number.into(), more.into(), 1),
        5 => queue.give(u32::from(more), number.into(), number),
        6 => {
            let mut config = device.config.get();
            config[usize::from(low) % 16] = high;
            device.config.set(config);
            attention.on_config();
        }
        _ => attention.on_queue(),
    }
}

fn network(device: &Device, attention: &'static Attention, buffers: u16, input: &[u8]) {
    let mut looks = 0;
    let is_over = || {
        looks += 1;
        looks > 8
    };
    let messages = Messages::default();
    let Ok(mut net) =
        Net::<_, Host>::new(Handle(device), attention, messages, buffers, [2; 6], is_over)
    else {
        return;
    };
    let context = &mut Context::from_waker(Waker::noop());
    for (at, four) in input.as_chunks::<4>().0.iter().enumerate() {
        let rest = &input[(at + 1) * 4..];
        match four {
            [0xff, low, high, more] => {
                let len = usize::from(u16::from_le_bytes([*low, *high]) % 1515).max(1);
                let Some(room) = net.transmit(context) else { continue };
                room.consume(len, |frame| {
                    // A segment of TCP to begin with, which may go on where the last one has ended.
                    let header = [
                        2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64,
                        6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0x80, 7, 0, 0, 0, 0, 0, 0, 0, 9,
                        0x50, 0x10, 0x20, 0, 0, 0, 0, 0,
                    ];
                    for (to, from) in frame.iter_mut().zip(header) {
                        *to = from;
                    }
                    if let Some(lens) = frame.get_mut(16..18) {
                        lens.copy_from_slice(&((len as u16).saturating_sub(14)).to_be_bytes());
                    }
                    if let Some(sequence) = frame.get_mut(38..42) {
                        let sum = net_sequence(at, *more, len);
                        sequence.copy_from_slice(&sum.to_be_bytes());
                    }
                    for pair in rest.as_chunks::<2>().0.iter().take(usize::from(*more & 3)) {
                        if let Some(byte) = frame.get_mut(usize::from(pair[0])) {
                            *byte = pair[1];
                        }
                    }
                });
            }
            [0xfe, ..] => {
                net.link_state(context);
            }
            [0xfd, ..] => {
                if let Some((frame, room)) = net.receive(context) {
                    let sum: u64 = frame.consume(|frame| {
                        assert!((14..=LONGEST_FRAME).contains(&frame.len()));
                        frame.iter().map(|byte| u64::from(*byte)).sum()
                    });
                    room.consume(60, |frame| frame.fill(sum as u8));
                }
            }
            _ => step(device, attention, *four, rest),
        }
    }
}

/// Where segments of one length go on, each behind the last.
fn net_sequence(at: usize, more: u8, len: usize) -> u32 {
    let payload = len.saturating_sub(54) as u32;
    if more & 0x80 == 0 { payload.wrapping_mul(at as u32) } else { u32::from(more) }
}

fn console(device: &Device, attention: &'static Attention, input: &[u8]) {
    let mut looks = 0;
    let is_over = || {
        looks += 1;
        looks > 8
    };
    let messages = Messages::default();
    let Ok(mut console) = Console::<_, Host>::new(Handle(device), attention, messages, is_over)
    else {
        return;
    };
    let context = &mut Context::from_waker(Waker::noop());
    let mut bytes = [0; 300];
    for (at, four) in input.as_chunks::<4>().0.iter().enumerate() {
        let len = usize::from(u16::from_le_bytes([four[1], four[2]])) % bytes.len();
        match four[0] {
            0xff => {
                let written = console.poll_write(context, &bytes[..len]);
                assert!(!matches!(written, Poll::Ready(Ok(count)) if count > len));
            }
            0xfe => {
                let _ = console.poll_flush(context);
            }
            0xfd => {
                let read = console.poll_read(context, &mut bytes[..len]);
                assert!(!matches!(read, Poll::Ready(Ok(count)) if count > len));
            }
            0xfc => {
                let _ = console.size();
            }
            _ => step(device, attention, *four, &input[(at + 1) * 4..]),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((head, rest)) = input.split_first_chunk::<8>() else { return };
    static ATTENTION: Attention = Attention::new(Interrupt::NONE);
    let [kind, flags, a, b, c, d, most, buffers] = *head;
    let device = Device {
        kind: if kind & 1 == 0 { NET } else { CONSOLE },
        is_legacy: flags & 1 != 0,
        features: u64::from(u32::from_le_bytes([a, b, c, d]))
            | if flags & 2 == 0 { VERSION_1 } else { 0 },
        most: if flags & 4 == 0 { 1 << (most % 16) } else { u16::from(most) },
        has_fixed_len: flags & 8 != 0,
        config: Cell::default(),
        status: Cell::new(0),
        queues: RefCell::default(),
    };
    match device.kind {
        NET => network(&device, &ATTENTION, u16::from(buffers), rest),
        _ => console(&device, &ATTENTION, rest),
    }
});
