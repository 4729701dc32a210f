//! Xen's event channels: to oneself, by both ends of a channel, masked, closed, without a handler; and Xen's
//! own timer beside the local APIC's.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use freestone::platform::x86_64::{cpu, xen_events as events};
use freestone::xen::{Domain, Port, Virq, Xen};
use freestone::{BootInfo, Exit, interrupts, println, time, timer};

freestone::entry!(main, audit: exit);

static COUNT: AtomicU32 = AtomicU32::new(0);
static LAST: AtomicU32 = AtomicU32::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);

fn note(port: Port, _word: usize) {
    assert!(interrupts::in_handler() && !interrupts::are_enabled());
    COUNT.fetch_add(1, Ordering::Relaxed);
    LAST.store(port.number(), Ordering::Relaxed);
    TICKS.store(cpu::ticks(), Ordering::Relaxed);
}

fn note_timer(_: usize) {
    TICKS.store(cpu::ticks(), Ordering::Relaxed);
}

/// Runs `f` with interrupts on; how many events came, and the last one's port.
fn during(f: impl FnOnce()) -> (u32, u32) {
    let before = COUNT.load(Ordering::Relaxed);
    interrupts::enable();
    f();
    interrupts::disable();
    (COUNT.load(Ordering::Relaxed) - before, LAST.load(Ordering::Relaxed))
}

fn to_itself(xen: Xen) -> Result<(), events::Error> {
    let port = xen.bind_ipi(0)?;
    let send = || xen.notify(port).expect("an open port");
    assert_eq!(during(send).0, 0, "masked until it has a handler");
    interrupts::enable();
    events::handle(port, note, 0)?;
    interrupts::disable();
    assert_eq!(COUNT.load(Ordering::Relaxed), 1, "and pending meanwhile");
    assert_eq!(during(|| (0..1000).for_each(|_| send())), (1000, port.number()));
    // Without interrupts, two are one.
    send();
    send();
    assert_eq!(during(|| {}).0, 1);
    events::mask(port);
    assert_eq!(during(send).0, 0);
    assert_eq!(during(|| events::unmask(port).expect("an open port")).0, 1);
    events::close(port)?;
    assert!(xen.notify(port).is_err(), "nobody can be told by a closed port");
    Ok(())
}

fn by_both_ends(xen: Xen) -> Result<(), events::Error> {
    let offered = xen.offer_channel(Domain::SELF)?;
    let taken = xen.take_channel(Domain::SELF, offered.number())?;
    assert!(xen.take_channel(Domain::SELF, offered.number()).is_err(), "there are two ends");
    events::handle(offered, note, 0)?;
    // An end that was just taken has an event pending.
    let (count, port) = during(|| events::handle(taken, note, 0).expect("an open port"));
    assert!(count >= 1 && port == taken.number());
    assert_eq!(during(|| xen.notify(taken).expect("open")), (1, offered.number()));
    assert_eq!(during(|| xen.notify(offered).expect("open")), (1, taken.number()));
    // Nobody handles it: reported once, and masked from then on.
    let stray = xen.bind_ipi(0)?;
    let unexpected = interrupts::unexpected();
    events::unmask(stray)?;
    during(|| (0..10).for_each(|_| xen.notify(stray).expect("open")));
    assert_eq!(interrupts::unexpected() - unexpected, 1);
    [offered, taken, stray].into_iter().try_for_each(events::close)
}

/// Waits for a handler to note its time, for ten seconds at most. Cycles from the deadline to the handler.
fn lateness(deadline: u64) -> Option<u64> {
    let limit = time::now() + Duration::from_secs(10);
    while TICKS.load(Ordering::Relaxed) == 0 {
        if time::now() > limit {
            return None;
        }
        interrupts::wait();
    }
    Some(TICKS.swap(0, Ordering::Relaxed).saturating_sub(deadline))
}

const AHEAD: u64 = 1_000_000;

fn timers(xen: Xen) -> Result<(), events::Error> {
    let port = xen.bind_virq(Virq::Timer, 0)?;
    assert!(xen.bind_virq(Virq::Timer, 0).is_err(), "one per virtual CPU");
    events::handle(port, note, 0)?;
    let ticks_ahead = (u128::from(AHEAD) * u128::from(time::rate().hertz) / 1_000_000_000) as u64;
    timer::start().expect("a timer");
    TICKS.store(0, Ordering::Relaxed);
    let mut late = [[0; 2]; 101];
    for [xens, apics] in &mut late {
        let begin = cpu::ticks();
        xen.set_timer(0, system_time() + AHEAD)?;
        *xens = lateness(begin + ticks_ahead).expect("Xen's timer fires");
        let begin = cpu::ticks();
        timer::after(Duration::from_nanos(AHEAD), note_timer, 0).expect("room");
        *apics = lateness(begin + ticks_ahead).expect("the APIC's timer fires");
    }
    let [xens, apics] = [0, 1].map(|which| {
        late.sort_unstable_by_key(|pair| pair[which]);
        late[late.len() / 2][which]
    });
    println!("cycles late: Xen's timer {xens}, the local APIC's {apics}");
    xen.set_timer(0, 0)?;
    assert!(lateness(cpu::ticks()).is_some(), "a moment that has been comes at once");
    xen.set_timer(0, system_time() + 500 * AHEAD)?;
    xen.stop_timer(0)?;
    let count = COUNT.load(Ordering::Relaxed);
    timer::sleep(Duration::from_millis(700));
    assert_eq!(COUNT.load(Ordering::Relaxed), count, "a stopped timer does not fire");
    events::close(port)
}

fn system_time() -> u64 {
    events::shared().and_then(|shared| shared.system_time(0).ok()).expect("Xen keeps the time").0
}

fn main(_boot: &'static BootInfo) -> Exit {
    let done = events::start().and_then(|xen| {
        to_itself(xen)?;
        by_both_ends(xen)?;
        timers(xen)
    });
    match done {
        Ok(()) => {
            println!("events: {}", COUNT.load(Ordering::Relaxed));
            Exit::Success
        }
        Err(error) => {
            println!("{error}");
            Exit::Failure
        }
    }
}
