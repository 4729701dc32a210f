//! Xen's event channels: a function for each port, called when its event comes.
//!
//! All events come by one interrupt, the upcall, whose handler looks at the shared page and calls the registered functions.
//! It comes through the local APIC and is ended there like every other interrupt. (A vector of the older kind,
//! `HVM_PARAM_CALLBACK_IRQ`, bypasses the APIC, and ending it there would end another interrupt.)
//!
//! One processor so far.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use freestone_xen::{Port, SharedInfo, Xen};

use super::shared_clock;
use super::trap::frame::{Frame, Outcome};
use super::trap::interrupts;
use crate::cores;
use crate::devices::pc::apic;
use crate::hypervisor;
use crate::slot::Slot;

/// What is called with the port whose event came and the word it was registered with: in the upcall's handler, with
/// interrupts off.
pub type Handler = fn(Port, usize);

/// Ports that can have a handler. Xen gives the lowest that is free, so this is how many may be open at once.
pub const MOST: usize = 256;

static HANDLERS: [Slot; MOST] = [const { Slot::empty() }; MOST];
static IS_ON: AtomicBool = AtomicBool::new(false);

/// The registered functions.
pub(crate) fn slots() -> &'static [Slot] {
    &HANDLERS
}

/// Why there are no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// This is no Xen, or it does not share its page.
    NoXen,
    /// There is no local APIC for the upcall to come by, or no vector.
    Apic(apic::Error),
    /// The port's number is beyond [`MOST`].
    TooMany,
    /// Xen refuses.
    Xen(freestone_xen::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoXen => f.write_str("there are no event channels: this is not Xen"),
            Error::Apic(error) => write!(f, "event channels need the local APIC: {error}"),
            Error::TooMany => {
                write!(f, "an event channel's port is beyond the {MOST} with handlers")
            }
            Error::Xen(error) => write!(f, "Xen refuses the event channel: {error}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<freestone_xen::Error> for Error {
    fn from(error: freestone_xen::Error) -> Self {
        Error::Xen(error)
    }
}

/// Turns events on: all ports masked, the upcall handled. Does nothing if they are on. Returns the key to
/// Xen's calls, to open channels by.
pub fn start() -> Result<Xen, Error> {
    let (xen, shared) = both()?;
    apic::start().map_err(Error::Apic)?;
    // Who came in between would have the ports masked again that it has let in.
    interrupts::without(
        || if IS_ON.load(Ordering::Relaxed) { Ok(()) } else { turn_on(xen, shared) },
    )?;
    Ok(xen)
}

fn turn_on(xen: Xen, shared: SharedInfo) -> Result<(), Error> {
    shared.mask_all();
    let vector = interrupts::allocate(upcall, 0).ok_or(Error::Apic(apic::Error::NoVector))?;
    if let Err(error) = xen.set_upcall_vector(cores::BOOT as u32, vector) {
        interrupts::release(vector);
        return Err(error.into());
    }
    IS_ON.store(true, Ordering::Relaxed);
    Ok(())
}

/// The page that Xen shares; `None` elsewhere.
pub fn shared() -> Option<SharedInfo> {
    shared_clock::xen_page()
}

/// Has `handler` called with `word` when the port's event comes, and lets it in.
pub fn handle(port: Port, handler: Handler, word: usize) -> Result<(), Error> {
    let xen = start()?;
    let slot = HANDLERS.get(port.number() as usize).ok_or(Error::TooMany)?;
    interrupts::without(|| slot.set(handler as *mut (), word));
    Ok(xen.unmask(port)?)
}

/// Keeps the port's events out until [`unmask`]. They stay pending.
pub fn mask(port: Port) {
    if let Ok((_, shared)) = both() {
        shared.mask(port);
    }
}

/// Lets the port's events in; one that is pending comes at once.
pub fn unmask(port: Port) -> Result<(), Error> {
    Ok(both()?.0.unmask(port)?)
}

/// Takes the handler away and gives the port back to Xen.
pub fn close(port: Port) -> Result<(), Error> {
    let (xen, shared) = both()?;
    shared.mask(port);
    if let Some(slot) = HANDLERS.get(port.number() as usize) {
        slot.clear();
    }
    Ok(xen.close(port)?)
}

fn both() -> Result<(Xen, SharedInfo), Error> {
    hypervisor::xen().zip(shared()).ok_or(Error::NoXen)
}

/// Whose event it is that nobody handles: masked, so that it comes no more.
fn upcall(_frame: &mut Frame, _word: usize) -> Outcome {
    let Some(shared) = shared() else { return Outcome::Unhandled };
    let mut outcome = Outcome::Handled;
    shared.take_events(cores::BOOT, |port| {
        let slot = HANDLERS.get(port.number() as usize);
        match slot.and_then(Slot::get) {
            // SAFETY: `handle` registers `Handler`s only.
            Some((handler, word)) => unsafe {
                core::mem::transmute::<*mut (), Handler>(handler)(port, word);
            },
            None => {
                shared.mask(port);
                outcome = Outcome::Unhandled;
            }
        }
        // One handler may let interrupts in; the next one is called without them.
        interrupts::disable();
    });
    outcome
}
