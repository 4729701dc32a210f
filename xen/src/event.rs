//! Event channels: signals to a guest from Xen, another guest, or itself.
//!
//! A channel's end in a guest is a [`Port`], a small number. Each port has two bits in the shared page:
//! *pending*, which Xen sets, and *mask*, which the guest sets to keep Xen from reporting it. For a pending bit that
//! is not masked, Xen sets a second bit, for the word that the first is in, and a byte that says that anything is
//! pending. If that byte was 0, Xen raises an interrupt: the *upcall*, by the vector of [`Xen::set_upcall_vector`].
//!
//! ```text
//! vcpu_info.evtchn_upcall_pending   1 byte    anything at all?
//! vcpu_info.evtchn_pending_sel      64 bits   in which words?
//! evtchn_pending, evtchn_mask       64 words of 64 bits
//! ```
//!
//! The guest's side of it is [`SharedInfo::take_events`], in the upcall's handler. Events are not counted: of
//! two that come before the guest looks, it sees one.
//!
//! This is the two-level form, which every Xen has: 4096 ports.
//!
//! Source: `public/event_channel.h`; `public/xen.h`, `struct shared_info`; `public/hvm/hvm_op.h`.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use crate::hypercall::{Hypercall, address, check, number};
use crate::shared::SELF;
use crate::{Error, SharedInfo, Xen};

/// `EVTCHNOP_*`.
mod operation {
    pub const BIND_INTERDOMAIN: u64 = 0;
    pub const BIND_VIRQ: u64 = 1;
    pub const CLOSE: u64 = 3;
    pub const SEND: u64 = 4;
    pub const ALLOC_UNBOUND: u64 = 6;
    pub const BIND_IPI: u64 = 7;
    pub const UNMASK: u64 = 9;
}

/// `HVMOP_set_evtchn_upcall_vector`.
const SET_UPCALL_VECTOR: u64 = 23;

/// How many ports a guest has.
pub const MOST_PORTS: usize = 4096;

/// The guest's end of an event channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(u32);

impl Port {
    /// The port with that number, as the toolstack or the store tells it. Whether there is such a channel,
    /// Xen says when it is used. `None` if there cannot be.
    pub const fn new(number: u32) -> Option<Self> {
        if number > 0 && (number as usize) < MOST_PORTS { Some(Self(number)) } else { None }
    }

    /// Its number: below [`MOST_PORTS`].
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A guest, as another one calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(pub u16);

impl Domain {
    /// The caller, whatever its number.
    pub const SELF: Self = Self(SELF);
}

/// What Xen tells by an event where a machine has an interrupt. `VIRQ_*`; those of dom0 are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Virq {
    /// The timer of [`Xen::set_timer`] has run out. One per virtual CPU.
    Timer = 0,
    /// Somebody asks the guest to describe its state. One per virtual CPU.
    Debug = 1,
}

/// `struct evtchn_bind_virq`.
#[repr(C)]
pub(crate) struct BindVirq {
    pub virq: u32,
    pub vcpu: u32,
    pub port: u32,
}

/// `struct evtchn_bind_ipi`.
#[repr(C)]
pub(crate) struct BindIpi {
    pub vcpu: u32,
    pub port: u32,
}

/// `struct evtchn_alloc_unbound`.
#[repr(C)]
pub(crate) struct AllocUnbound {
    pub dom: u16,
    pub remote_dom: u16,
    pub port: u32,
}

/// `struct evtchn_bind_interdomain`.
#[repr(C)]
pub(crate) struct BindInterdomain {
    pub remote_dom: u16,
    pub remote_port: u32,
    pub local_port: u32,
}

/// `struct xen_hvm_evtchn_upcall_vector`.
#[repr(C)]
pub(crate) struct UpcallVector {
    pub vcpu: u32,
    pub vector: u8,
}

const _: () = assert!(size_of::<BindVirq>() == 12 && size_of::<BindIpi>() == 8);
const _: () = assert!(size_of::<AllocUnbound>() == 8 && offset_of!(AllocUnbound, port) == 4);
const _: () =
    assert!(size_of::<BindInterdomain>() == 12 && offset_of!(BindInterdomain, remote_port) == 4);
const _: () = assert!(size_of::<UpcallVector>() == 8 && offset_of!(UpcallVector, vector) == 4);

impl Xen {
    /// Has a virtual CPU told of its events by `vector`, an interrupt through its local APIC, which the handler
    /// ends there like any other.
    ///
    /// - Since: Xen 4.6.
    /// - Blocks: no.
    /// - Source: `public/hvm/hvm_op.h`, `HVMOP_set_evtchn_upcall_vector`.
    pub fn set_upcall_vector(self, vcpu: u32, vector: u8) -> Result<(), Error> {
        set_upcall_vector(&self.gate, vcpu, vector)
    }

    /// A channel by which Xen tells a virtual CPU of something. At most one of each kind per virtual CPU.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_bind_virq`.
    pub fn bind_virq(self, virq: Virq, vcpu: u32) -> Result<Port, Error> {
        bind_virq(&self.gate, virq, vcpu)
    }

    /// A channel by which any of the guest's virtual CPUs tells this one: an inter-processor interrupt.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_bind_ipi`.
    pub fn bind_ipi(self, vcpu: u32) -> Result<Port, Error> {
        bind_ipi(&self.gate, vcpu)
    }

    /// The end of a channel whose other end `remote`, and nobody else, may take.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_alloc_unbound`.
    pub fn offer_channel(self, remote: Domain) -> Result<Port, Error> {
        offer_channel(&self.gate, remote)
    }

    /// The other end of a channel that `remote` offers to this guest, as its port `theirs`. An event is pending
    /// on it at once, in place of those that came before.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_bind_interdomain`.
    pub fn take_channel(self, remote: Domain, theirs: u32) -> Result<Port, Error> {
        take_channel(&self.gate, remote, theirs)
    }

    /// Sends an event to the channel's other end; to this end, if it is an inter-processor interrupt's.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_send`.
    pub fn notify(self, port: Port) -> Result<(), Error> {
        on_port(&self.gate, operation::SEND, port)
    }

    /// Lets a port's events in, and raises the upcall if one is pending.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_unmask`.
    pub fn unmask(self, port: Port) -> Result<(), Error> {
        on_port(&self.gate, operation::UNMASK, port)
    }

    /// Gives a port back. The other end may be taken anew.
    ///
    /// - Since: Xen 3.0.
    /// - Blocks: no.
    /// - Source: `public/event_channel.h`, `EVTCHNOP_close`.
    pub fn close(self, port: Port) -> Result<(), Error> {
        on_port(&self.gate, operation::CLOSE, port)
    }
}

pub(crate) fn set_upcall_vector(via: &impl Hypercall, vcpu: u32, vector: u8) -> Result<(), Error> {
    let arg = UpcallVector { vcpu, vector };
    let args = [SET_UPCALL_VECTOR, address(&raw const arg), 0, 0, 0];
    // SAFETY: Xen reads `arg`. Interrupts that come by this vector meet whatever gate the guest has for it.
    check(unsafe { via.call(number::HVM_OP, args) })?;
    Ok(())
}

pub(crate) fn bind_virq(via: &impl Hypercall, virq: Virq, vcpu: u32) -> Result<Port, Error> {
    let mut arg = BindVirq { virq: virq as u32, vcpu, port: 0 };
    change(via, operation::BIND_VIRQ, &mut arg)?;
    port(arg.port)
}

pub(crate) fn bind_ipi(via: &impl Hypercall, vcpu: u32) -> Result<Port, Error> {
    let mut arg = BindIpi { vcpu, port: 0 };
    change(via, operation::BIND_IPI, &mut arg)?;
    port(arg.port)
}

pub(crate) fn offer_channel(via: &impl Hypercall, remote: Domain) -> Result<Port, Error> {
    let mut arg = AllocUnbound { dom: SELF, remote_dom: remote.0, port: 0 };
    change(via, operation::ALLOC_UNBOUND, &mut arg)?;
    port(arg.port)
}

pub(crate) fn take_channel(
    via: &impl Hypercall,
    remote: Domain,
    theirs: u32,
) -> Result<Port, Error> {
    let mut arg = BindInterdomain { remote_dom: remote.0, remote_port: theirs, local_port: 0 };
    change(via, operation::BIND_INTERDOMAIN, &mut arg)?;
    port(arg.local_port)
}

pub(crate) fn on_port(via: &impl Hypercall, operation: u64, port: Port) -> Result<(), Error> {
    change(via, operation, &mut port.number())
}

fn change<T>(via: &impl Hypercall, operation: u64, arg: &mut T) -> Result<(), Error> {
    let args = [operation, address(&raw mut *arg), 0, 0, 0];
    // SAFETY: Xen reads `arg`, which is the structure that belongs to the operation, and may write to it.
    check(unsafe { via.call(number::EVENT_CHANNEL_OP, args) })?;
    Ok(())
}

/// A port that Xen has given. One that this form has no bits for was made for another; it is of no use.
fn port(number: u32) -> Result<Port, Error> {
    Port::new(number).ok_or(Error::ENOSPC)
}

impl SharedInfo {
    /// Keeps all events from raising the upcall: where a guest begins, as ports are bound that nobody handles.
    pub fn mask_all(&self) {
        for word in &self.0.evtchn_mask {
            word.store(!0, Ordering::SeqCst);
        }
    }

    /// Keeps a port's events from raising the upcall. They stay pending until [`Xen::unmask`].
    pub fn mask(&self, port: Port) {
        let (index, bit) = place(port);
        if let Some(word) = self.0.evtchn_mask.get(index) {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// Takes the events of a virtual CPU that are pending and not masked, and calls `handle` for each, once, in
    /// the order of their ports. For the upcall's handler, on that CPU.
    ///
    /// It looks once, so it ends after [`MOST_PORTS`] calls whatever the other guests send: what comes
    /// meanwhile raises the upcall again.
    pub fn take_events(&self, vcpu: usize, mut handle: impl FnMut(Port)) {
        let Some(vcpu) = self.0.vcpu_info.get(vcpu) else { return };
        // In this order: an event that comes after the byte was cleared finds 0, and raises the upcall.
        vcpu.evtchn_upcall_pending.store(0, Ordering::SeqCst);
        for index in bits(vcpu.evtchn_pending_sel.swap(0, Ordering::SeqCst)) {
            let [pending, mask] = [&self.0.evtchn_pending, &self.0.evtchn_mask];
            let (Some(pending), Some(mask)) = (pending.get(index), mask.get(index)) else { return };
            for bit in bits(pending.load(Ordering::SeqCst) & !mask.load(Ordering::SeqCst)) {
                // Before the handler: what comes while it runs is a new event.
                pending.fetch_and(!(1 << bit), Ordering::SeqCst);
                handle(Port((index * 64 + bit) as u32));
            }
        }
    }
}

/// The word of a port, and its bit in there.
fn place(port: Port) -> (usize, u64) {
    ((port.0 / 64) as usize, 1 << (port.0 % 64))
}

/// The numbers of the bits that are set, from the lowest.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(lowest)
    })
}
