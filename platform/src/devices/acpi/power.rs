//! Power off and reset, as described by the FADT and one package of AML.
//!
//! To sleep in state S5, "soft off", a machine wants a number that only its AML knows: the package `\_S5`. It is
//! looked for by its bytes, which every compiler writes alike, in the DSDT and then in the SSDTs. Methods
//! that firmware would like to be run before (`\_PTS`) are not run.
//!
//! Sources: ACPI 6.5, 4.8.3.2.1 (PM1 control), 4.8.3.7 (sleep registers), 5.2.9 (FADT), 7.4.2 (`_Sx`), 20.2 (AML).

use core::iter;

use super::{DSDT, Error, FADT, Memory, SSDT, Tables, byte, field, long, virtio, word};
use crate::interrupts::words::Wire;
use crate::memory::address::PhysAddr;

/// A register that the tables name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// At an I/O port.
    Port(u16),
    /// At a physical address.
    Memory(u64),
}

impl Register {
    /// A generic address structure (5.2.3.2). `None` if it is 0, or in a space that is not known.
    fn generic(bytes: [u8; 12]) -> Option<Register> {
        let [space, _, _, _, address @ ..] = bytes;
        match (space, u64::from_le_bytes(address)) {
            (_, 0) => None,
            (0, address) => Some(Register::Memory(address)),
            (1, address) => u16::try_from(address).ok().map(Register::Port),
            _ => None,
        }
    }
}

/// How the machine is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOff {
    /// By the control registers of ACPI's fixed hardware, 16 bits wide.
    Fixed {
        /// PM1a and PM1b; many machines have the first only.
        control: [Option<Register>; 2],
        /// The sleep type that each of them wants, 0 to 7.
        sleep_type: [u8; 2],
        /// What turns ACPI on, should it be off: a port, and a value for it.
        enable: Option<(u16, u8)>,
    },
    /// By the sleep control register of a machine without that, 8 bits wide.
    Reduced {
        /// The register.
        control: Register,
        /// The sleep type, 0 to 7.
        sleep_type: u8,
    },
}

/// How registers are reached. Reading one that is not there gives all ones, as buses do.
pub trait Bus {
    /// Reads 16 bits.
    fn read(&self, register: Register) -> u16;
    /// Writes 16 bits.
    fn write(&self, register: Register, value: u16);
    /// Writes 8 bits.
    fn write_byte(&self, register: Register, value: u8);
}

/// How often the first control register is read before ACPI is taken to be on, or never to come on: a port takes
/// about 1 us on real hardware, firmware up to some hundred milliseconds.
pub(super) const PATIENCE: usize = 500_000;

const ACPI_IS_ON: u16 = 1 << 0;
const SLEEP_TYPE: u16 = 7 << 10;
const SLEEP: u16 = 1 << 13;

impl PowerOff {
    /// Asks the machine to go off. It comes back if the machine does not obey at once.
    pub fn carry_out(&self, bus: &impl Bus) {
        match *self {
            PowerOff::Reduced { control, sleep_type } => {
                const SLEEP: u8 = 1 << 5;
                bus.write_byte(control, sleep_type << 2 | SLEEP);
            }
            PowerOff::Fixed { control, sleep_type, enable } => {
                let [first, _] = control;
                let is_on = || first.is_some_and(|first| bus.read(first) & ACPI_IS_ON != 0);
                if let Some((port, value)) = enable.filter(|_| !is_on()) {
                    bus.write_byte(Register::Port(port), value);
                    // If it does not come on, there is nothing better than to go on.
                    let _ = (0..PATIENCE).any(|_| is_on());
                }
                // The type in both registers first, then the order to sleep in both.
                for order in [0, SLEEP] {
                    for (register, sleep_type) in control.into_iter().zip(sleep_type) {
                        let Some(register) = register else { continue };
                        let kept = bus.read(register) & !(SLEEP_TYPE | SLEEP);
                        bus.write(register, kept | u16::from(sleep_type) << 10 | order);
                    }
                }
            }
        }
    }

    /// The registers in it that are in memory.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = u64> {
        let registers = match *self {
            PowerOff::Fixed { control, .. } => control,
            PowerOff::Reduced { control, .. } => [Some(control), None],
        };
        registers.into_iter().flatten().filter_map(|register| match register {
            Register::Memory(address) => Some(address),
            Register::Port(_) => None,
        })
    }
}

/// How the machine is reset: a byte, and where to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Where.
    pub register: Register,
    /// What.
    pub value: u8,
}

const RESET_SUPPORTED: u32 = 1 << 10;
const HARDWARE_REDUCED: u32 = 1 << 20;

/// The FADT, field by field. Older ones are shorter: what they lack reads as 0.
struct Fadt<'a>(&'a [u8]);

impl Fadt<'_> {
    fn flags(&self) -> u32 {
        word(self.0, 112).unwrap_or(0)
    }

    fn generic(&self, offset: usize) -> Option<Register> {
        field(self.0, offset).and_then(Register::generic)
    }

    /// A register that has a 32-bit field, a port, and since revision 3 a generic one, which counts.
    fn port(&self, old: usize, new: usize) -> Option<Register> {
        let port = || {
            let port = word(self.0, old).and_then(|port| u16::try_from(port).ok());
            port.filter(|&port| port != 0).map(Register::Port)
        };
        self.generic(new).or_else(port)
    }

    fn dsdt(&self) -> u64 {
        let old = word(self.0, 40).unwrap_or(0).into();
        long(self.0, 140).filter(|&address| address != 0).unwrap_or(old)
    }

    fn enable(&self) -> Option<(u16, u8)> {
        let port = word(self.0, 48).and_then(|port| u16::try_from(port).ok())?;
        let value = byte(self.0, 52)?;
        (port != 0 && value != 0).then_some((port, value))
    }
}

impl<M: Memory> Tables<M> {
    /// How the machine is switched off.
    pub fn power_off(&self) -> Result<PowerOff, Error> {
        let (table, _) = self.first(FADT)?;
        let fadt = Fadt(table);
        let sleep_type = self.sleep_type(&fadt)?;
        if fadt.flags() & HARDWARE_REDUCED != 0 {
            let control = fadt.generic(244);
            let control = control.ok_or(Error::Unusable(FADT, "it has no sleep register"))?;
            return Ok(PowerOff::Reduced { control, sleep_type: sleep_type[0] });
        }
        let control = [fadt.port(64, 172), fadt.port(68, 184)];
        if control[0].is_none() {
            return Err(Error::Unusable(FADT, "it has no PM1 control register"));
        }
        let is_odd = |register: &Register| matches!(register, Register::Memory(at) if at & 1 != 0);
        if control.iter().flatten().any(is_odd) {
            return Err(Error::Unusable(FADT, "a PM1 control register is at an odd address"));
        }
        Ok(PowerOff::Fixed { control, sleep_type, enable: fadt.enable() })
    }

    /// How the machine is reset.
    pub fn reset(&self) -> Result<Reset, Error> {
        let (table, _) = self.first(FADT)?;
        let fadt = Fadt(table);
        let register = fadt.generic(116).filter(|_| fadt.flags() & RESET_SUPPORTED != 0);
        match (register, byte(table, 128)) {
            (Some(register), Some(value)) => Ok(Reset { register, value }),
            _ => Err(Error::Unusable(FADT, "it has no reset register")),
        }
    }

    fn sleep_type(&self, fadt: &Fadt) -> Result<[u8; 2], Error> {
        for aml in self.aml(fadt.dsdt())? {
            if let Some(found) = soft_off(aml?) {
                return Ok(found);
            }
        }
        Err(Error::Unusable(DSDT, "it has no \\_S5, the sleep type of \"off\""))
    }

    /// All code of the firmware: the DSDT first.
    fn aml(&self, dsdt: u64) -> Result<impl Iterator<Item = Result<&[u8], Error>>, Error> {
        let first = iter::once((DSDT, dsdt));
        let others = self.all(SSDT)?.map(|address| (SSDT, address));
        Ok(first.chain(others).map(|(signature, address)| self.table(signature, address)))
    }

    /// What it says of virtio devices that are on no bus: registers and wire of each. Code that is damaged is passed
    /// over.
    pub fn virtio_devices(&self) -> Result<impl Iterator<Item = (PhysAddr, Wire)>, Error> {
        let (table, _) = self.first(FADT)?;
        Ok(self.aml(Fadt(table).dsdt())?.flatten().flat_map(virtio::devices))
    }
}

/// The first two elements of the package `\_S5` in these bytes.
pub(super) fn soft_off(aml: &[u8]) -> Option<[u8; 2]> {
    const NAME: &[u8] = b"_S5_";
    let mut places = aml.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    places.find_map(|(at, _)| {
        let before = aml.get(..at)?;
        let before = before.strip_suffix(b"\\").unwrap_or(before);
        const NAME_OP: u8 = 0x08;
        (before.last() == Some(&NAME_OP)).then(|| package(aml.get(at + NAME.len()..)?)).flatten()
    })
}

/// The first two numbers of a package.
fn package(aml: &[u8]) -> Option<[u8; 2]> {
    const PACKAGE_OP: u8 = 0x12;
    let [PACKAGE_OP, rest @ ..] = aml else { return None };
    // The length is one byte and as many more as its upper two bits say. It is as good as the elements are.
    let rest = rest.get(1 + usize::from(rest.first()? >> 6)..)?;
    let (_, rest) = rest.split_first().filter(|(count, _)| **count >= 2)?;
    let (first, rest) = number(rest)?;
    let (second, _) = number(rest)?;
    Some([first, second])
}

/// A sleep type, 0 to 7, and what is behind it.
fn number(aml: &[u8]) -> Option<(u8, &[u8])> {
    let (value, rest) = match aml {
        [value @ 0..=1, rest @ ..] | [0x0a, value, rest @ ..] | [0x0b, value, 0, rest @ ..] => {
            (*value, rest)
        }
        [0x0c, value, 0, 0, 0, rest @ ..] => (*value, rest),
        _ => return None,
    };
    (value < 8).then_some((value, rest))
}
