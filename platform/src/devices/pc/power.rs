//! Ending the machine: debug exit, Xen's shutdown, the verdict on the consoles, power off, halt.
//!
//! How a machine is powered off stands in ACPI's tables. They are read by [`prepare`] and not at the end: a
//! panic must not depend on them, and the reader is not in images that do not ask for it. Without it the port that
//! QEMU's `pc` and `q35` have is tried.

use core::fmt::Write as _;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, Ordering};

use freestone_rt::console;
use freestone_xen::Reason;

use crate::devices::acpi::{self, Bus, PowerOff, Register};
use crate::devices::pc::uart16550;
use crate::exit::verdict::Exit;
use crate::hypervisor::xen;
use crate::memory::access::MapError;
use crate::memory::address::PhysAddr;
use crate::memory::mapping::map_mmio;
use crate::once::Once;
use crate::x86_64::cpu;

/// QEMU's `isa-debug-exit`, where `cargo freestone` puts it.
pub const DEBUG_EXIT: u16 = 0xf4;

/// ACPI's PM1a control register as QEMU's `pc` and `q35` place it, and "sleep enable, type S5" for
/// their tables (ACPI 6.5, 4.8.3.2.1). A write to an empty port elsewhere.
const PM1A_CONTROL: u16 = 0x604;
const POWER_OFF: u16 = 1 << 13;

/// Tries every way out that this machine may have, best first.
pub(crate) fn end(verdict: Exit) -> ! {
    if let Some(xen) = xen() {
        let reason = match verdict {
            Exit::Success => Reason::PowerOff,
            Exit::Failure | Exit::Crash => Reason::Crash,
        };
        // Refused to most unprivileged guests by release builds of Xen; the reason is left to them.
        let _ = xen.console_write(verdict.last_line().as_bytes());
        // Comes back only if Xen refuses; then the ways below are tried.
        let _ = xen.shutdown(reason);
    }
    // SAFETY: port 0xf4 ends the machine or, where nothing answers, does nothing; ending it
    // is what the caller asked for, so no state is left to protect.
    unsafe { cpu::outb(DEBUG_EXIT, verdict.code()) };
    // Nothing took it. Whoever reads the consoles gets it as the last line.
    let _ = console::emergency().write_str(verdict.last_line());
    let prepared = SWITCH_OFF.load(Ordering::Acquire);
    if prepared.is_null() {
        // SAFETY: as above.
        unsafe { cpu::outw(PM1A_CONTROL, POWER_OFF) };
    } else {
        // SAFETY: `prepare` stores `switch_off`, a `fn()`, and nothing else is ever stored.
        unsafe { core::mem::transmute::<*mut (), fn()>(prepared)() };
    }
    cpu::halt()
}

/// [`switch_off`], or null before [`prepare`].
static SWITCH_OFF: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

static HOW: Once<MaybeUninit<PowerOff>> = Once::new(MaybeUninit::uninit());

/// Why the machine cannot be powered off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// ACPI's tables do not say how.
    Tables(acpi::Error),
    /// The register that they name cannot be mapped.
    Unmappable(u64, MapError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Tables(error) => error.fmt(f),
            Error::Unmappable(address, error) => {
                write!(f, "the register at {address:#x} that ACPI powers off with: {error}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// See [`crate::exit::prepare_power_off`].
pub fn prepare() -> Result<(), Error> {
    if !SWITCH_OFF.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let how = acpi::tables().and_then(|tables| tables.power_off()).map_err(Error::Tables)?;
    for address in how.in_memory() {
        let unmappable = |error| Error::Unmappable(address, error);
        let start = PhysAddr::try_new(address).ok_or(unmappable(MapError::BadRange))?;
        map_mmio(start, size_of::<u16>() as u64).map_err(unmappable)?;
    }
    cpu::without_interrupts(|| {
        if SWITCH_OFF.load(Ordering::Relaxed).is_null() {
            // SAFETY: one processor, not interrupted, so nobody else writes; nobody reads before the pointer is set.
            unsafe { (*HOW.get()).write(how) };
            SWITCH_OFF.store(switch_off as fn() as *mut (), Ordering::Release);
        }
    });
    Ok(())
}

fn switch_off() {
    // The verdict's line is still in the UART, and on a real one would be cut.
    uart16550::drain();
    // SAFETY: `prepare` wrote it before it let this function be found.
    unsafe { (*HOW.get()).assume_init_ref() }.carry_out(&Machine);
}

/// This machine's ports, and its memory at its own address.
struct Machine;

impl Bus for Machine {
    fn read(&self, register: Register) -> u16 {
        match register {
            // SAFETY: reading a power control register changes nothing.
            Register::Port(port) => unsafe { cpu::inw(port) },
            // SAFETY: `prepare` mapped it.
            Register::Memory(address) => unsafe { pointer::<u16>(address).read_volatile() },
        }
    }

    fn write(&self, register: Register, value: u16) {
        match register {
            // SAFETY: called to end the machine only, so no state is left to protect.
            Register::Port(port) => unsafe { cpu::outw(port, value) },
            // SAFETY: as above, and `prepare` mapped it.
            Register::Memory(address) => unsafe { pointer::<u16>(address).write_volatile(value) },
        }
    }

    fn write_byte(&self, register: Register, value: u8) {
        match register {
            // SAFETY: as in `write`.
            Register::Port(port) => unsafe { cpu::outb(port, value) },
            // SAFETY: as in `write`.
            Register::Memory(address) => unsafe { pointer::<u8>(address).write_volatile(value) },
        }
    }
}

fn pointer<T>(address: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address as usize)
}
