//! The local APIC: ends interrupts, sends them to this processor, and has a [timer](super::apic_timer::Timer).
//!
//! Its registers are MSRs where the processor has x2APIC, and a page of memory elsewhere (xAPIC).
//!
//! Of its own sources all are masked but one: NMIs from outside, by which a watchdog or QEMU's monitor asks a machine
//! that hangs. On which of two lines they come the MADT says; everywhere it is LINT1, on a rising edge.
//!
//! One processor so far. Source: Intel SDM volume 3, chapter 12 (APIC), 12.12 (x2APIC).

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::devices::acpi;
use crate::interrupts::words::Polarity;
use crate::memory::access::MapError;
use crate::memory::address::{PAGE_SIZE, PhysAddr};
use crate::memory::mapping::map_mmio;
use crate::x86_64::cpu;
use crate::x86_64::trap::frame::FIRST_INTERRUPT;
use crate::x86_64::trap::interrupts;

/// The vector of interrupts that were withdrawn after the processor had been told. Those are not ended, by the manual;
/// others, which were sent to this vector, are.
pub(crate) const SPURIOUS: u8 = 0xff;

const APIC_BASE: u32 = 0x1b;
const ENABLED: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;

/// Registers by their offset in the page; the MSR's number is 0x800 and a sixteenth of that.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Register {
    Id = 0x20,
    TaskPriority = 0x80,
    EndOfInterrupt = 0xb0,
    SpuriousVector = 0xf0,
    /// Of vectors 32 to 63: which are being handled.
    InService1 = 0x110,
    /// The same of vectors 224 to 255.
    InService7 = 0x170,
    InterruptCommand = 0x300,
    TimerVector = 0x320,
    Line0 = 0x350,
    Line1 = 0x360,
    InitialCount = 0x380,
    CurrentCount = 0x390,
    Divider = 0x3e0,
}

pub(super) const MASKED: u32 = 1 << 16;
const ACTIVE_LOW: u32 = 1 << 13;
const NMI: u32 = 4 << 8;

/// Why there is no local APIC to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The processor has none.
    Absent,
    /// Its page cannot be mapped.
    Unmappable(MapError),
    /// It does not answer, or its timer does not count.
    Dead,
    /// All interrupt vectors are taken.
    NoVector,
    /// Somebody else has the timer.
    Taken,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Absent => f.write_str("the processor has no local APIC"),
            Error::Unmappable(error) => {
                write!(f, "the local APIC's page cannot be mapped: {error}")
            }
            Error::Dead => f.write_str("the local APIC does not answer"),
            Error::NoVector => f.write_str("all interrupt vectors are taken"),
            Error::Taken => f.write_str("somebody else has the local APIC's timer"),
        }
    }
}

impl core::error::Error for Error {}

const OFF: u64 = 0;
const MSRS: u64 = 1;
/// One of these, or where the page is.
static HERE: AtomicU64 = AtomicU64::new(OFF);

/// Whether the registers are MSRs.
pub fn is_x2apic() -> bool {
    HERE.load(Ordering::Relaxed) == MSRS
}

/// Whether [`start`] has succeeded.
pub fn is_on() -> bool {
    HERE.load(Ordering::Relaxed) != OFF
}

/// Turns it on: every interrupt accepted, its own sources masked, NMIs from outside let in. Does nothing if it is on.
pub fn start() -> Result<(), Error> {
    if is_on() {
        return Ok(());
    }
    let lines = lines();
    interrupts::without(|| if is_on() { Ok(()) } else { turn_on(lines) })
}

/// Known to others when all is done: an NMI may come at any time.
fn turn_on(lines: [u32; 2]) -> Result<(), Error> {
    const HAS_APIC: u32 = 1 << 9;
    const HAS_X2APIC: u32 = 1 << 21;
    let [_, _, c, d] = cpu::cpuid(1, 0);
    if d & HAS_APIC == 0 {
        return Err(Error::Absent);
    }
    // SAFETY: the MSR exists where there is an APIC.
    let base = unsafe { cpu::read_msr(APIC_BASE) };
    let here = if c & HAS_X2APIC != 0 {
        // SAFETY: as above; from off or xAPIC to x2APIC is an allowed step if each bit comes in its turn.
        unsafe {
            cpu::write_msr(APIC_BASE, base | ENABLED);
            cpu::write_msr(APIC_BASE, base | ENABLED | X2APIC);
        }
        MSRS
    } else {
        // SAFETY: as above.
        unsafe { cpu::write_msr(APIC_BASE, base | ENABLED) };
        let address = base & 0x000f_ffff_ffff_f000;
        map_mmio(PhysAddr::new(address), PAGE_SIZE).map_err(Error::Unmappable)?;
        address
    };
    let local = Local(here);
    if !answers(&local) {
        return Err(Error::Dead);
    }
    // An NMI's handler, or a single step's, may have turned it on since, and have set its timer, which is not to be masked.
    // One that comes from here on is refused.
    if TURNING.swap(true, Ordering::Acquire) {
        return Err(Error::Unmappable(MapError::Busy));
    }
    if !is_on() {
        local.write(Register::TimerVector, MASKED);
        local.write(Register::Line0, lines[0]);
        local.write(Register::Line1, lines[1]);
        local.write(Register::TaskPriority, 0);
        interrupts::set_end_of_interrupt(end_of_interrupt);
        HERE.store(here, Ordering::Release);
    }
    TURNING.store(false, Ordering::Release);
    Ok(())
}

/// Whether somebody writes its registers.
static TURNING: AtomicBool = AtomicBool::new(false);

/// What to write for LINT0 and LINT1.
fn lines() -> [u32; 2] {
    let id = cpu::cpuid(1, 0)[1] >> 24;
    let tables = acpi::tables();
    let controllers = tables.as_ref().ok().and_then(|tables| tables.controllers().ok());
    lines_with(controllers.into_iter().flat_map(|controllers| controllers.nmis(id)))
}

/// The same, with these lines for NMIs. Where none is told it is LINT1.
fn lines_with(nmis: impl Iterator<Item = (u8, Polarity)>) -> [u32; 2] {
    let mut lines = [MASKED; 2];
    for (line, polarity) in nmis {
        if let Some(line) = lines.get_mut(usize::from(line)) {
            *line = NMI | if polarity == Polarity::Low { ACTIVE_LOW } else { 0 };
        }
    }
    if lines == [MASKED; 2] { [MASKED, NMI] } else { lines }
}

fn end_of_interrupt(vector: u8) {
    if is_from_here(&here(), vector) {
        write(Register::EndOfInterrupt, 0);
    }
}

/// Whether the interrupt came from here and is to be ended here. Those of the legacy controllers go past it, as what was
/// withdrawn does, and to end one would end another; their vectors may be used here too.
fn is_from_here(registers: &impl Registers, vector: u8) -> bool {
    let being_handled = match vector {
        SPURIOUS => Register::InService7,
        vector if interrupts::LEGACY.contains(&vector) => Register::InService1,
        _ => return true,
    };
    registers.read(being_handled) & 1 << (vector % 32) != 0
}

/// Enables it by software. Whether it keeps what was written, which a bus without it does not.
fn answers(registers: &impl Registers) -> bool {
    const SOFTWARE_ENABLED: u32 = 1 << 8;
    let wanted = SOFTWARE_ENABLED | u32::from(SPURIOUS);
    registers.write(Register::SpuriousVector, wanted);
    registers.read(Register::SpuriousVector) == wanted
}

/// Registers as the tests on the host have them too.
pub(super) trait Registers {
    fn read(&self, register: Register) -> u32;
    fn write(&self, register: Register, value: u32);
}

/// This processor's: what [`HERE`] holds.
pub(super) struct Local(u64);

impl Registers for Local {
    fn read(&self, register: Register) -> u32 {
        let offset = register as u32;
        if self.0 == MSRS {
            // SAFETY: the registers named here exist in x2APIC mode, and reading them changes nothing.
            return unsafe { cpu::read_msr(0x800 + (offset >> 4)) } as u32;
        }
        let page = self.0 as *const u32;
        // SAFETY: `turn_on` mapped the page before it made this, or let it be found; the offset is in it.
        unsafe { page.byte_add(offset as usize).read_volatile() }
    }

    fn write(&self, register: Register, value: u32) {
        let offset = register as u32;
        if self.0 == MSRS {
            // SAFETY: as in `read`; what is written is for this file to get right.
            return unsafe { cpu::write_msr(0x800 + (offset >> 4), value.into()) };
        }
        let page = self.0 as *mut u32;
        // SAFETY: as in `read`.
        unsafe { page.byte_add(offset as usize).write_volatile(value) }
    }
}

/// Not before [`start`] has succeeded.
pub(super) fn here() -> Local {
    Local(HERE.load(Ordering::Relaxed))
}

fn read(register: Register) -> u32 {
    here().read(register)
}

pub(super) fn write(register: Register, value: u32) {
    here().write(register, value);
}

fn must_be_on() {
    assert!(is_on(), "the local APIC is off: apic::start() first");
}

/// This processor's number in messages.
///
/// # Panics
///
/// If the APIC is not on.
pub fn id() -> u32 {
    must_be_on();
    if is_x2apic() { read(Register::Id) } else { read(Register::Id) >> 24 }
}

/// Sends this processor the interrupt `vector`.
///
/// # Panics
///
/// If the APIC is not on, or `vector` is an exception's.
pub fn send_to_self(vector: u8) {
    must_be_on();
    assert!(vector >= FIRST_INTERRUPT, "an interrupt's vector is 32 or more");
    const SELF: u32 = 1 << 18;
    const ASSERT: u32 = 1 << 14;
    write(Register::InterruptCommand, SELF | ASSERT | u32::from(vector));
}

/// Sends this processor an NMI.
///
/// # Panics
///
/// If the APIC is not on.
pub fn send_nmi_to_self() {
    must_be_on();
    const ASSERT: u32 = 1 << 14;
    let id = id();
    if is_x2apic() {
        // SAFETY: the command register is one MSR of 64 bits; a message to ourselves.
        unsafe { cpu::write_msr(0x830, u64::from(id) << 32 | u64::from(NMI | ASSERT)) };
        return;
    }
    let page = here().0 as *mut u32;
    // SAFETY: as in `Local::write`: the upper half of the command is at 0x310, and only kept until the lower comes.
    unsafe { page.byte_add(0x310).write_volatile(id << 24) };
    write(Register::InterruptCommand, NMI | ASSERT);
}

/// What a device writes where to raise an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The address to be written.
    pub address: u64,
    /// The 32-bit word to be written there.
    pub data: u32,
}

/// The message-signalled interrupt (MSI) that raises `vector` on the processor with the APIC number
/// `destination`, fixed, on an edge. `None` if the number has no place in a message, which has 8 bits for it.
///
/// Source: Intel SDM volume 3, 12.11 (message signalled interrupts).
pub(crate) const fn message(vector: u8, destination: u32) -> Option<Message> {
    if destination > 0xff || vector < FIRST_INTERRUPT {
        return None;
    }
    Some(Message { address: 0xfee0_0000 | (destination as u64) << 12, data: vector as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Registers that keep what is written, or not.
    struct Model {
        kept: Cell<u32>,
        /// What every register reads as.
        stuck: Option<u32>,
    }

    impl Model {
        fn new(stuck: Option<u32>) -> Model {
            Model { kept: Cell::new(0xff), stuck }
        }
    }

    impl Registers for Model {
        fn read(&self, _: Register) -> u32 {
            self.stuck.unwrap_or(self.kept.get())
        }

        fn write(&self, _: Register, value: u32) {
            self.kept.set(value);
        }
    }

    #[test]
    fn a_bus_without_an_apic_does_not_answer() {
        assert!(answers(&Model::new(None)));
        for stuck in [0, u32::MAX, 0xff, 0x100] {
            assert!(!answers(&Model::new(Some(stuck))), "{stuck:#x}");
        }
    }

    #[test]
    fn nmis_come_on_the_lines_that_are_told_or_on_the_usual_one() {
        use Polarity::{High, Low};
        let with = |nmis: &[(u8, Polarity)]| lines_with(nmis.iter().copied());
        assert_eq!(with(&[]), [0x1_0000, 0x400]);
        assert_eq!(with(&[(1, High)]), [0x1_0000, 0x400]);
        assert_eq!(with(&[(1, Low)]), [0x1_0000, 0x2400]);
        assert_eq!(with(&[(0, High)]), [0x400, 0x1_0000]);
        assert_eq!(with(&[(0, Low), (1, High)]), [0x2400, 0x400]);
        assert_eq!(with(&[(2, High), (255, Low)]), [0x1_0000, 0x400]);
    }

    #[test]
    fn interrupts_that_go_past_the_apic_are_not_ended() {
        let in_service = |bits| Model::new(Some(bits));
        for vector in 0x20..=u8::MAX {
            let may_be_others = vector < 0x30 || vector == SPURIOUS;
            let bits = 1 << (vector % 32);
            assert!(is_from_here(&in_service(bits), vector));
            assert_eq!(is_from_here(&in_service(!bits), vector), !may_be_others);
        }
    }

    #[test]
    fn messages_are_what_the_manual_draws() {
        let message =
            |vector, destination| message(vector, destination).map(|m| (m.address, m.data));
        assert_eq!(message(0x41, 0), Some((0xfee0_0000, 0x41)));
        assert_eq!(message(0xdf, 0xab), Some((0xfeea_b000, 0xdf)));
        assert_eq!(message(0x41, 256), None);
        assert_eq!(message(31, 0), None);
    }
}
