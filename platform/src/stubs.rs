//! A placeholder machine: every name that [`arch`](crate::arch) requires, with no hardware behind it.
//!
//! It proves that the rest of this crate needs nothing else: `tests/seam.rs` builds the crate with it, by
//! `--cfg freestone_machine="stubs"`, for processors that have no machine yet. To write one, begin with a copy of this file.

#![expect(missing_docs, reason = "the names and their meaning stand in `arch`")]

use core::ops::Range;

pub(crate) const RSDP_AREA: Range<u64> = 0..0;

pub(crate) mod boot {
    use core::fmt;

    use crate::boot_info::{Loaded, MAX_MODULES, Protocol};
    use crate::image::Image;
    use crate::memory::map::MemoryMap;

    pub const LOW_MEMORY: u64 = 0;

    #[derive(Debug)]
    pub enum Error {
        NoMemory,
        TooMuch,
        OutOfReach(&'static str, u64),
    }

    #[derive(Debug)]
    pub enum MapError {
        Inseparable,
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Error::OutOfReach(what, at) => write!(f, "{what} at {at:#x}"),
                Error::NoMemory | Error::TooMuch => fmt::Debug::fmt(self, f),
            }
        }
    }

    impl fmt::Display for MapError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self, f)
        }
    }

    pub struct StartInfo {
        pub command_line: &'static [u8],
        pub modules: [Loaded; MAX_MODULES],
        pub rsdp: Option<u64>,
        pub memory: MemoryMap,
    }

    impl StartInfo {
        pub fn protocol(&self) -> Protocol {
            Protocol::Pvh { version: 0 }
        }

        pub fn stray_module(&self) -> Option<&Loaded> {
            None
        }
    }

    pub fn silence() {}

    pub unsafe fn begin(_entry_ticks: u64) {}

    pub type Reader = unsafe fn(u64) -> Result<StartInfo, Error>;

    pub fn root_pointer(_address: u64, _len: usize) -> Option<&'static [u8]> {
        None
    }

    pub fn complete(_memory: &mut MemoryMap) -> Result<(), Error> {
        Ok(())
    }

    pub unsafe fn protect(_image: &Image, _memory: &mut MemoryMap) -> Result<(), MapError> {
        Ok(())
    }

    pub unsafe fn end() {}
}

pub(crate) mod clock {
    use core::time::Duration;

    use crate::time::rate::{Rate, Source};

    pub const FASTEST_HERTZ: u64 = 1_000_000_000;

    pub fn nanoseconds_since_boot() -> Option<u64> {
        None
    }

    pub fn wall() -> Option<Duration> {
        None
    }

    pub fn battery() -> Option<Duration> {
        None
    }

    pub fn rate() -> Rate {
        Rate { hertz: FASTEST_HERTZ, source: Source::Assumed }
    }
}

pub(crate) mod consoles {
    pub fn detect() {}

    pub fn listen(_vector: u8) -> Result<(), super::lines::Error> {
        Err(super::lines::Error::Absent)
    }

    pub fn take() -> Option<u8> {
        None
    }
}

pub(crate) mod cpu {
    pub fn ticks() -> u64 {
        0
    }

    pub fn without_interrupts<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    pub fn hypervisor_signature() -> Option<[u8; 12]> {
        None
    }
}

pub(crate) mod entropy {
    pub fn word() -> Option<fn() -> Option<u64>> {
        None
    }
}

pub(crate) mod lines {
    use core::fmt;

    use crate::interrupts::words::Wire;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Error {
        Absent,
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("there is no machine")
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Line(());

    impl Line {
        pub fn mask(&self) {}

        pub fn unmask(&self) {}
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Message {
        pub address: u64,
        pub data: u32,
    }

    pub fn connect(_wire: Wire, _vector: u8) -> Result<Line, Error> {
        Err(Error::Absent)
    }

    pub fn message(_vector: u8) -> Result<Message, Error> {
        Err(Error::Absent)
    }

    pub fn pci(_irq: u8) -> Result<Wire, Error> {
        Err(Error::Absent)
    }
}

pub(crate) mod more_handlers {
    use crate::slot::Slot;

    pub fn slots() -> &'static [Slot] {
        &[]
    }
}

pub(crate) mod one_shot {
    use core::fmt;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Error {
        Absent,
        NoVector,
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("there is no machine")
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TimerKind {
        Count,
    }

    #[derive(Debug)]
    pub struct Timer(());

    impl Timer {
        pub fn start(_vector: u8) -> Result<Timer, Error> {
            Err(Error::Absent)
        }
    }

    pub(crate) fn fire_in(_nanoseconds: u64) {}

    pub(crate) fn stop() {}

    pub(crate) fn vector() -> u8 {
        0
    }
}

pub(crate) mod page_table {
    pub(crate) mod format {
        pub const HIGHEST: u64 = 1 << 47;
    }

    pub(crate) mod active {
        use core::ops::Range;

        use crate::memory::access::{Access, MapError};
        use crate::memory::address::PhysAddr;

        pub fn is_busy() -> bool {
            false
        }

        pub fn highest_physical() -> u64 {
            super::format::HIGHEST
        }

        pub fn map_device(_pages: Range<u64>) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn map_firmware(
            _pages: Range<u64>,
            _is_ram: impl Fn(u64) -> bool,
        ) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn map(_pages: Range<u64>, _to: u64, _access: Access) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn map_guard(_page: Range<u64>) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn unmap(_pages: Range<u64>) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn protect(_pages: Range<u64>, _access: Access) -> Result<(), MapError> {
            Err(MapError::TooEarly)
        }

        pub fn translate(_address: u64) -> Option<(PhysAddr, Access)> {
            None
        }
    }

    pub(crate) mod audit {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Audit {
            pub pages: u64,
        }

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Violation {
            Unlooked,
        }

        pub fn audit() -> Result<Audit, Violation> {
            Err(Violation::Unlooked)
        }

        pub fn audit_at_exit() {}
    }
}

pub(crate) mod pci_ports {
    pub fn read(_address: u32) -> u32 {
        u32::MAX
    }

    pub fn write(_address: u32, _value: u32) {}
}

pub(crate) mod power {
    use crate::exit::verdict::Exit;

    pub use super::lines::Error;

    pub fn end(_verdict: Exit) -> ! {
        loop {
            core::hint::spin_loop();
        }
    }

    pub fn prepare() -> Result<(), Error> {
        Err(Error::Absent)
    }
}

pub(crate) mod trap {
    pub(crate) mod frame {
        #[derive(Debug)]
        pub struct Frame(());

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Outcome {
            Handled,
            Unhandled,
        }

        pub type Handler = fn(&mut Frame, usize) -> Outcome;
    }

    pub(crate) mod interrupts {
        use crate::slot::Slot;

        use super::frame::Handler;

        pub use crate::arch::cpu::without_interrupts as without;

        pub fn handle(_vector: u8, _handler: Handler, _word: usize) {}

        pub fn allocate(_handler: Handler, _word: usize) -> Option<u8> {
            None
        }

        pub fn release(_vector: u8) {}

        pub fn enable() {}

        pub fn disable() {}

        pub fn are_enabled() -> bool {
            false
        }

        pub fn wait() {}

        pub fn in_handler() -> bool {
            false
        }

        pub fn unexpected() -> u64 {
            0
        }

        pub(crate) fn slots() -> &'static [Slot] {
            &[]
        }
    }

    pub(crate) mod stacks {
        use core::ops::Range;

        use crate::stacks::named::Named;

        pub fn all() -> &'static [Named] {
            &[]
        }

        pub unsafe fn set_boot(_range: Range<u64>) {}

        pub unsafe fn call_on(_top: u64, function: extern "C" fn(*mut ()), argument: *mut ()) {
            function(argument);
        }
    }

    pub mod traps {
        use crate::slot::Slot;

        pub(crate) fn slots() -> &'static [Slot] {
            &[]
        }

        pub(crate) fn in_handler() -> bool {
            false
        }
    }
}
