//! What the boot loader told the kernel, in one place, the same for every loader.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use freestone_protocol::kernel_tests::KEY_MARK;

use crate::memory::map::MemoryMap;
use crate::once::Once;

/// The protocol by which the image was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Xen's PVH protocol, also spoken by QEMU: `hvm_start_info` of this version.
    Pvh {
        /// 0 has no memory map, 1 has one.
        version: u32,
    },
    /// Multiboot2, spoken by GRUB: kernels with `entry!`'s option `multiboot2: on`.
    Multiboot2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protocol::Pvh { version } => write!(f, "PVH, start_info version {version}"),
            Protocol::Multiboot2 => f.write_str("Multiboot2"),
        }
    }
}

/// The hypervisor that runs the kernel, as CPUID reports it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hypervisor {
    /// CPUID reports none.
    None,
    /// Xen.
    Xen,
    /// Linux KVM.
    Kvm,
    /// QEMU without an accelerator.
    Tcg,
    /// Another one, with its twelve-byte signature.
    Other([u8; 12]),
}

impl Hypervisor {
    /// The hypervisor with this CPUID signature (leaf 0x4000_0000, EBX ECX EDX).
    pub(crate) const fn from_signature(signature: [u8; 12]) -> Hypervisor {
        match &signature {
            b"XenVMMXenVMM" => Hypervisor::Xen,
            b"KVMKVMKVM\0\0\0" => Hypervisor::Kvm,
            b"TCGTCGTCGTCG" => Hypervisor::Tcg,
            _ => Hypervisor::Other(signature),
        }
    }
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hypervisor::None => f.write_str("none"),
            Hypervisor::Xen => f.write_str("Xen"),
            Hypervisor::Kvm => f.write_str("KVM"),
            Hypervisor::Tcg => f.write_str("QEMU TCG"),
            Hypervisor::Other(signature) => write!(f, "{}", signature.escape_ascii()),
        }
    }
}

impl fmt::Debug for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file that the loader put into memory beside the kernel (QEMU's `-initrd`, a Xen module).
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Its bytes; they stay ours for ever.
    pub bytes: &'static [u8],
    /// Its command line, empty if it has none.
    pub command_line: &'static [u8],
}

/// Where a module is: [`Module`] before memory is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its first byte.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// Its command line; an empty one may be `None`.
    pub command_line: Option<&'static [u8]>,
}

impl Loaded {
    /// No module. All zeros, so that a list of them is made by one fill.
    pub(crate) const NOTHING: Loaded = Loaded { start: 0, end: 0, command_line: None };
}

/// How many modules are kept.
pub const MAX_MODULES: usize = 8;

/// What the loader told, plus what the boot code found out by itself.
#[derive(Debug)]
pub struct BootInfo {
    pub(crate) protocol: Protocol,
    /// The hypervisor's CPUID signature.
    pub(crate) signature: Option<[u8; 12]>,
    pub(crate) command_line: &'static [u8],
    pub(crate) memory: MemoryMap,
    /// In RAM that is mapped and reserved: the boot code refuses any other.
    pub(crate) modules: [Loaded; MAX_MODULES],
    pub(crate) rsdp: Option<u64>,
    pub(crate) image: Range<u64>,
    pub(crate) entry_ticks: u64,
    pub(crate) main_ticks: u64,
}

impl BootInfo {
    /// The protocol by which the image was started.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The hypervisor that runs the kernel.
    pub fn hypervisor(&self) -> Hypervisor {
        self.signature.map_or(Hypervisor::None, Hypervisor::from_signature)
    }

    /// The command line, without its final zero. Empty if there is none. Command lines, those of modules
    /// included, have 4096 bytes in all; what is longer is cut.
    pub fn command_line_bytes(&self) -> &'static [u8] {
        self.command_line
    }

    /// The command line as text: up to the first byte that is not UTF-8.
    pub fn command_line(&self) -> &'static str {
        match core::str::from_utf8(self.command_line) {
            Ok(text) => text,
            Err(error) => {
                let valid = self.command_line.get(..error.valid_up_to()).unwrap_or_default();
                core::str::from_utf8(valid).unwrap_or_default()
            }
        }
    }

    /// The words of the command line.
    pub fn arguments(&self) -> impl Iterator<Item = &'static str> {
        self.command_line().split_ascii_whitespace()
    }

    /// Whether `word` is one of the [`arguments`](Self::arguments).
    pub fn has_argument(&self, word: &str) -> bool {
        self.arguments().any(|argument| argument == word)
    }

    /// What follows `KEY=` in the first argument that begins so.
    pub fn argument(&self, key: &str) -> Option<&'static str> {
        self.arguments().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
    }

    /// The memory map. What was [`free`](MemoryMap::free) when the kernel started belongs to
    /// [`Frames`](crate::memory::Frames), but for what a heap
    /// [took](crate::memory::heap_share).
    pub fn memory(&self) -> &MemoryMap {
        &self.memory
    }

    /// Files loaded beside the kernel, at most [`MAX_MODULES`].
    pub fn modules(&self) -> impl Iterator<Item = Module> {
        self.modules.iter().filter(|module| module.start < module.end).map(|module| {
            let len = (module.end - module.start) as usize;
            // SAFETY: mapped RAM, see the field; reserved in the memory map, so nobody else has it, and
            // the loader's bytes are there for ever.
            let bytes = unsafe { core::slice::from_raw_parts(module.start as *const u8, len) };
            Module { bytes, command_line: module.command_line.unwrap_or_default() }
        })
    }

    /// Physical address of ACPI's root pointer, if the loader gave one.
    pub fn rsdp(&self) -> Option<u64> {
        self.rsdp
    }

    /// Physical range of the kernel image, stacks included.
    pub fn image(&self) -> Range<u64> {
        self.image.clone()
    }

    /// The cycle counter at the image's first instruction. Under `cargo freestone run --icount` one
    /// tick is one guest instruction.
    pub fn entry_ticks(&self) -> u64 {
        self.entry_ticks
    }

    /// Ticks of the cycle counter from the image's first instruction to the call of `main`.
    pub fn boot_ticks(&self) -> u64 {
        self.main_ticks.wrapping_sub(self.entry_ticks)
    }
}
/// For [`boot`](crate::boot).
pub(crate) static BOOT_INFO: Once<MaybeUninit<BootInfo>> = Once::new(MaybeUninit::uninit());

/// Whether [`BOOT_INFO`] and [`SECRET`] are written.
pub(crate) static STARTED: AtomicBool = AtomicBool::new(false);

/// What the loader told, from the moment on when `main` is called.
pub fn boot_info() -> Option<&'static BootInfo> {
    // SAFETY: `boot` writes it, once, before it sets the flag.
    STARTED.load(Ordering::Acquire).then(|| unsafe { (*BOOT_INFO.get()).assume_init_ref() })
}

/// What [`take_secret`] gives away, once.
pub(crate) static SECRET: Once<&[u8]> = Once::new(&[]);
static IS_SECRET_TAKEN: AtomicBool = AtomicBool::new(false);

/// A command line, and what a runner tells this kernel's first code and nobody else.
pub(crate) fn apart(line: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let mut end = 0;
    while line.get(end).is_some_and(|&byte| byte != KEY_MARK) {
        end += 1;
    }
    (line.get(..end).unwrap_or_default(), line.get(end + 1..).unwrap_or_default())
}

/// The text behind the mark on the command line, for the first caller; after that nothing.
#[doc(hidden)]
pub fn take_secret() -> &'static [u8] {
    if !STARTED.load(Ordering::Acquire) || IS_SECRET_TAKEN.swap(true, Ordering::Relaxed) {
        return &[];
    }
    // SAFETY: `boot` wrote it before it set `STARTED`; nobody has written since.
    unsafe { *SECRET.get() }
}
