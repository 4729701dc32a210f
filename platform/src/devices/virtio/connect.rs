//! Interrupts of virtio devices: messages where there are two of them, one for queues and one for changes of the
//! configuration; else the wire, which devices may share.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU16, Ordering};

use freestone_virtio::{Attention, Messages};

use super::device::{Device, Place};
use crate::devices::pci::Function;
use crate::interrupts::words::Wire;
use crate::interrupts::{self, Frame, Handler, LineError, Outcome};
use crate::lock::Lock;

/// Why a device cannot interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// All vectors are taken.
    NoVector,
    /// Too many devices share wires, or this is a handler that interrupts another such call.
    Busy,
    /// The function has neither messages nor a wire that the machine knows.
    NoWire,
    /// There is no line for its wire.
    Line(LineError),
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConnectError::NoVector => f.write_str("all interrupt vectors are taken"),
            ConnectError::Busy => f.write_str("too many devices share a wire"),
            ConnectError::NoWire => f.write_str("the device has neither messages nor a wire"),
            ConnectError::Line(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConnectError {}

impl Device {
    /// Has its interrupts call `attention`: before its driver begins, which is told what this returns. Once for a device.
    ///
    /// # Errors
    ///
    /// As [`ConnectError`] says.
    pub fn connect(&self, attention: &'static Attention) -> Result<Messages, ConnectError> {
        match self.place {
            Place::Mmio(_, wire) => by_wire(wire, attention),
            Place::Pci(function) => by_messages(function, attention)
                .or_else(|_| by_wire(function.wire().ok_or(ConnectError::NoWire)?, attention)),
        }
    }
}

fn word(attention: &'static Attention) -> usize {
    ptr::from_ref(attention).expose_provenance()
}

/// # Safety
///
/// - [`word`] made it.
unsafe fn attention(word: usize) -> &'static Attention {
    // SAFETY: the caller's promise: it is there for ever.
    unsafe { &*ptr::with_exposed_provenance(word) }
}

fn on_queue(_: &mut Frame, word: usize) -> Outcome {
    // SAFETY: registered with such a word.
    unsafe { attention(word) }.on_queue();
    Outcome::Handled
}

fn on_config(_: &mut Frame, word: usize) -> Outcome {
    // SAFETY: registered with such a word.
    unsafe { attention(word) }.on_config();
    Outcome::Handled
}

fn by_messages(
    function: Function,
    attention: &'static Attention,
) -> Result<Messages, ConnectError> {
    let table = function.message_table().map_err(|_| ConnectError::NoWire)?;
    let route = |entry: u16, handler: Handler| {
        let vector = interrupts::allocate(handler, word(attention));
        let vector = vector.ok_or(ConnectError::NoVector)?;
        let routed = table.route(entry, vector);
        routed.inspect_err(|_| interrupts::release(vector)).map_err(|_| ConnectError::NoWire)?;
        Ok(entry)
    };
    let done = route(0, on_queue).and_then(|queues| {
        // A device with one message says nothing of changes.
        let config = if table.len() > 1 { Some(route(1, on_config)?) } else { None };
        Ok(Messages { queues: Some(queues), config })
    });
    done.inspect_err(|_| function.use_wire())
}

/// A wire and the devices on it.
struct Shared {
    /// The wire's line, one more; 0 for none.
    line: AtomicU16,
    devices: [AtomicPtr<Attention>; MOST_DEVICES],
}

const MOST_WIRES: usize = 32;
const MOST_DEVICES: usize = 8;

static WIRES: [Shared; MOST_WIRES] = [const {
    Shared {
        line: AtomicU16::new(0),
        devices: [const { AtomicPtr::new(ptr::null_mut()) }; MOST_DEVICES],
    }
}; MOST_WIRES];

static CHANGE: Lock<()> = Lock::new(());

fn on_wire(_: &mut Frame, index: usize) -> Outcome {
    for device in &WIRES[index % MOST_WIRES].devices {
        let device = device.load(Ordering::Acquire);
        if device.is_null() {
            break;
        }
        // SAFETY: from a reference to what is there for ever.
        unsafe { &*device }.on_wire();
    }
    Outcome::Handled
}

fn by_wire(wire: Wire, attention: &'static Attention) -> Result<Messages, ConnectError> {
    CHANGE.with(|()| add(wire, attention)).unwrap_or(Err(ConnectError::Busy))
}

fn add(wire: Wire, attention: &'static Attention) -> Result<Messages, ConnectError> {
    let name = u16::try_from(wire.line + 1).map_err(|_| ConnectError::NoWire)?;
    let own = |shared: &Shared| {
        matches!(shared.line.load(Ordering::Relaxed), 0)
            || shared.line.load(Ordering::Relaxed) == name
    };
    let index = WIRES.iter().position(own).ok_or(ConnectError::Busy)?;
    let shared = &WIRES[index];
    let free = shared.devices.iter().find(|device| device.load(Ordering::Relaxed).is_null());
    free.ok_or(ConnectError::Busy)?.store(ptr::from_ref(attention).cast_mut(), Ordering::Release);
    if shared.line.load(Ordering::Relaxed) == 0 {
        let connected =
            interrupts::allocate(on_wire, index).ok_or(ConnectError::NoVector).and_then(|vector| {
                let line = interrupts::connect(wire, vector);
                line.inspect_err(|_| interrupts::release(vector)).map_err(ConnectError::Line)
            });
        match connected {
            Ok(line) => {
                shared.line.store(name, Ordering::Relaxed);
                line.unmask();
            }
            Err(error) => {
                shared.devices[0].store(ptr::null_mut(), Ordering::Release);
                return Err(error);
            }
        }
    }
    Ok(Messages::default())
}
