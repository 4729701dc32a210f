//! Event channels: what each call passes to Xen, and taking events from a page that a fake Xen writes to.

use core::cell::RefCell;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::collections::BTreeSet;
use std::thread;
use std::vec::Vec;

use super::{Fake, refusing};
use crate::event::{self, AllocUnbound, BindInterdomain, BindIpi, BindVirq, UpcallVector};
use crate::shared::RawShared;
use crate::vcpu::{self, SingleShot};
use crate::{Domain, Error, MOST_PORTS, Page, Port, SharedInfo, Virq};

/// A Xen that answers one event-channel operation by changing its structure.
fn operation<T>(want: u64, change: impl Fn(&mut T)) -> Fake<impl Fn(u64, [u64; 5]) -> i64> {
    Fake(move |number, [op, address, ..]: [u64; 5]| {
        assert_eq!((number, op), (32, want));
        // SAFETY: the calls pass a structure of their own.
        change(unsafe { &mut *with_exposed_provenance_mut::<T>(address as usize) });
        0
    })
}

fn port(number: u32) -> Port {
    Port::new(number).expect("a port's number")
}

#[test]
fn ports_come_from_the_field_that_xen_fills() {
    let xen = operation(1, |arg: &mut BindVirq| {
        assert_eq!((arg.virq, arg.vcpu, arg.port), (0, 3, 0));
        arg.port = 9;
    });
    assert_eq!(event::bind_virq(&xen, Virq::Timer, 3), Ok(port(9)));
    let xen = operation(7, |arg: &mut BindIpi| {
        assert_eq!((arg.vcpu, arg.port), (2, 0));
        arg.port = 4095;
    });
    assert_eq!(event::bind_ipi(&xen, 2), Ok(port(4095)));
    let xen = operation(6, |arg: &mut AllocUnbound| {
        assert_eq!((arg.dom, arg.remote_dom, arg.port), (0x7ff0, 5, 0));
        arg.port = 1;
    });
    assert_eq!(event::offer_channel(&xen, Domain(5)), Ok(port(1)));
    let xen = operation(0, |arg: &mut BindInterdomain| {
        assert_eq!((arg.remote_dom, arg.remote_port, arg.local_port), (0x7ff0, 8, 0));
        arg.local_port = 70;
    });
    assert_eq!(event::take_channel(&xen, Domain::SELF, 8), Ok(port(70)));
}

#[test]
fn a_port_without_bits_is_refused() {
    for number in [0, 4096, u32::MAX] {
        let xen = operation(7, |arg: &mut BindIpi| arg.port = number);
        assert_eq!(event::bind_ipi(&xen, 0), Err(Error::ENOSPC));
        assert_eq!(Port::new(number), None);
    }
}

#[test]
fn a_port_is_all_that_the_other_operations_are_told() {
    for want in [3, 4, 9] {
        let xen = operation(want, |arg: &mut u32| assert_eq!(*arg, 77));
        assert_eq!(event::on_port(&xen, want, port(77)), Ok(()));
    }
    assert_eq!(event::on_port(&refusing(22), 4, port(77)), Err(Error::EINVAL));
}

#[test]
fn the_upcall_and_the_timer_are_told_the_cpu() {
    let xen = Fake(|number, [op, address, ..]: [u64; 5]| {
        assert_eq!((number, op), (34, 23));
        // SAFETY: `set_upcall_vector` passes its own.
        let arg = unsafe { &*with_exposed_provenance::<UpcallVector>(address as usize) };
        assert_eq!((arg.vcpu, arg.vector), (1, 0xd0));
        0
    });
    assert_eq!(event::set_upcall_vector(&xen, 1, 0xd0), Ok(()));
    let xen = Fake(|number, [op, vcpu, address, ..]: [u64; 5]| {
        assert_eq!((number, op, vcpu), (24, 8, 1));
        // SAFETY: `set_timer` passes its own.
        let arg = unsafe { &*with_exposed_provenance::<SingleShot>(address as usize) };
        assert_eq!((arg.timeout_abs_ns, arg.flags), (u64::MAX, 0));
        0
    });
    assert_eq!(vcpu::set_timer(&xen, 1, u64::MAX), Ok(()));
    let xen = Fake(|number, args| {
        assert_eq!((number, args), (24, [9, 1, 0, 0, 0]));
        0
    });
    assert_eq!(vcpu::stop_timer(&xen, 1), Ok(()));
    assert_eq!(vcpu::set_timer(&refusing(3), 9, 0), Err(Error::ESRCH));
}

fn page() -> SharedInfo {
    SharedInfo::of(Box::leak(Box::new(Page::new())))
}

/// What Xen does when an event comes. Whether it raises the upcall.
fn send(shared: &RawShared, port: u32) -> bool {
    let (word, bit) = ((port / 64) as usize, 1 << (port % 64));
    let was_pending = shared.evtchn_pending[word].fetch_or(bit, SeqCst) & bit != 0;
    let is_masked = shared.evtchn_mask[word].load(SeqCst) & bit != 0;
    if was_pending || is_masked {
        return false;
    }
    let vcpu = &shared.vcpu_info[0];
    let was_selected = vcpu.evtchn_pending_sel.fetch_or(1 << word, SeqCst) & 1 << word != 0;
    !was_selected && vcpu.evtchn_upcall_pending.swap(1, SeqCst) == 0
}

fn taken(shared: SharedInfo) -> Vec<u32> {
    let mut ports = Vec::new();
    shared.take_events(0, |port| ports.push(port.number()));
    ports
}

#[test]
fn every_port_is_taken_once_and_in_order() {
    let shared = page();
    for number in 1..MOST_PORTS as u32 {
        assert!(send(shared.0, number));
        assert!(!send(shared.0, number), "still pending");
        assert_eq!(taken(shared), [number]);
    }
    assert_eq!(taken(shared), []);
    let all = [4095, 1, 64, 63, 700].map(|number| (send(shared.0, number), number).1);
    assert_eq!(taken(shared), BTreeSet::from(all).into_iter().collect::<Vec<_>>());
    shared.take_events(32, |_| panic!("there are 32 CPUs in the page"));
}

#[test]
fn masked_events_stay_pending() {
    let shared = page();
    shared.mask(port(65));
    assert!(!send(shared.0, 65));
    assert!(send(shared.0, 66));
    assert_eq!(taken(shared), [66]);
    // `EVTCHNOP_unmask`.
    shared.0.evtchn_mask[1].store(0, SeqCst);
    shared.0.evtchn_pending[1].store(0, SeqCst);
    assert!(send(shared.0, 65));
    assert_eq!(taken(shared), [65]);
    shared.mask_all();
    assert!((1..4096).all(|number| !send(shared.0, number)));
    assert_eq!(taken(shared), []);
}

#[test]
fn what_comes_while_events_are_taken_raises_the_upcall_again() {
    let shared = page();
    assert!(send(shared.0, 5) && !send(shared.0, 6));
    let raised = RefCell::new(Vec::new());
    let mut ports = Vec::new();
    shared.take_events(0, |port| {
        ports.push(port.number());
        // The same one again, and one in another word.
        let again = [port.number(), 100].map(|number| send(shared.0, number));
        raised.borrow_mut().push(again);
    });
    assert_eq!(ports, [5, 6], "it looks once");
    assert_eq!(*raised.borrow(), [[true, false], [false, false]]);
    assert_eq!(taken(shared), [5, 6, 100]);
}

/// No event is lost between a sender and a guest that only looks when it is told.
#[test]
fn no_event_is_lost_between_two_processors() {
    const EACH: u64 = if cfg!(miri) { 100 } else { 200_000 };
    const PORTS: [u32; 4] = [1, 2, 64, 4095];
    static SENT: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
    let shared = page();
    let (upcall, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut seen = [0; 4];
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=EACH {
                for (port, sent) in PORTS.into_iter().zip(&SENT) {
                    sent.store(round, SeqCst);
                    if send(shared.0, port) {
                        upcall.store(true, SeqCst);
                    }
                }
            }
            is_over.store(true, SeqCst);
        });
        loop {
            let ended = is_over.load(SeqCst);
            if upcall.swap(false, SeqCst) {
                shared.take_events(0, |port| {
                    let index = PORTS.iter().position(|&p| p == port.number()).unwrap();
                    seen[index] = SENT[index].load(SeqCst);
                });
            } else if ended {
                break;
            }
        }
    });
    assert_eq!(seen, [EACH; 4], "whoever was told last has seen the last one");
}
