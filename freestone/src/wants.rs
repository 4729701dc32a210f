//! What a kernel asks of the machine that boots it, in its image: a network, the ports that it serves, a disk, an end by Ctrl-C.
//!
//! ```no_run
//! // A web server: `cargo freestone run` forwards a port of the host's to it.
//! freestone::wants::tcp_port::<80>();
//! ```
//!
//! Each call puts an ELF note into the image and has no instructions. `cargo freestone run` reads the notes and gives QEMU's
//! machine the devices; other loaders do not look at them. No call is needed for the devices to work.
//!
//! Each note lies in a section of its own that no linker keeps by itself. The code of the function refers to it, by a relocation
//! that changes nothing (`R_X86_64_NONE` and its like), so linkers keep the note if they keep the code that the call was
//! inlined into, and only then: a kernel that does not use the network has no byte of it. The layout of the notes stands in
//! `freestone_protocol::wants`.

use core::arch::asm;

use freestone_protocol::wants;

pub use freestone_protocol::wants::CTRL_C;

/// A note of `$kind` with one descriptor word, or none.
macro_rules! note {
    ($kind:expr $(, $word:expr)?) => {
        // Sections of one name are one in an object file, so the name tells notes apart.
        // SAFETY: no instruction is emitted. The bytes go to a section of their own, and the relocation of type "none" at this
        // place of the code changes no byte there.
        unsafe {
            asm!(
                concat!(".pushsection .note.Freestone.{kind}", $(note!(@name $word),)? ", \"a\", @progbits"),
                ".balign 4",
                "2:",
                ".long 10, 4f - 3f, {kind}",
                ".asciz \"Freestone\"",
                ".balign 4",
                "3:",
                $(note!(@line $word),)?
                "4:",
                ".popsection",
                ".reloc ., BFD_RELOC_NONE, 2b",
                kind = const $kind,
                $(word = const $word,)?
                options(nomem, nostack, preserves_flags),
            );
        }
    };
    (@name $word:expr) => { ".{word}" };
    (@line $word:expr) => { ".long {word}" };
}

/// Asks for a network device. What drives one calls this.
#[doc(hidden)]
#[inline(always)]
pub fn network() {
    note!(wants::NETWORK);
}

/// Asks for a disk. What drives one calls this.
#[doc(hidden)]
#[inline(always)]
pub fn disk() {
    note!(wants::DISK);
}

/// Says that the kernel goes on until [`CTRL_C`] comes from its console, and ends in order then: `cargo freestone run` sets it no
/// limit of time, and passes on the Ctrl-C of a terminal.
#[inline(always)]
pub fn console_end() {
    note!(wants::CONSOLE_END);
}

/// Says that the kernel serves this TCP port: `cargo freestone run` gives it a network, and forwards a port of the host's.
#[inline(always)]
pub fn tcp_port<const PORT: u16>() {
    note!(wants::NETWORK, wants::port(wants::TCP, PORT));
}

/// The same with a UDP port.
#[inline(always)]
pub fn udp_port<const PORT: u16>() {
    note!(wants::NETWORK, wants::port(wants::UDP, PORT));
}
