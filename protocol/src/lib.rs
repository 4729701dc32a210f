//! What a kernel and the host tool must agree on: numbers, lines and layouts, each defined in one place.
//!
//! The only code computes one number from another; there are no dependencies and nothing to link.
//!
//! ```
//! use freestone_protocol::exit;
//!
//! // What QEMU ends with when a kernel writes its verdict to the debug-exit device.
//! assert_eq!(exit::qemu_status(exit::SUCCESS), 33);
//! ```

#![no_std]

/// The verdict on a run.
pub mod exit {
    /// All is well: the byte for QEMU's `isa-debug-exit` device.
    pub const SUCCESS: u8 = 0x10;
    /// The kernel did its work and the answer is no.
    pub const FAILURE: u8 = 0x11;
    /// The kernel could not go on.
    pub const CRASH: u8 = 0x12;

    /// QEMU's own status after a byte was written to that device (QEMU, `hw/misc/debugexit.c`).
    pub const fn qemu_status(byte: u8) -> i32 {
        (byte as i32) << 1 | 1
    }

    /// In front of the word of a verdict, on the last line of a console where no device takes it. The mark keeps it apart
    /// from what kernels print.
    pub const LINE: &[u8] = b"\x1efreestone verdict: ";

    /// The whole lines: success, failure, crash. Padded to one length, which saves a table.
    pub const LINES: [[u8; 29]; 3] = [
        *b"\x1efreestone verdict: success \n",
        *b"\x1efreestone verdict: failure \n",
        *b"\x1efreestone verdict: crash   \n",
    ];
}

/// The entry of an image: an ELF note (Xen, `public/elfnote.h`).
pub mod entry {
    /// Whose note it is.
    pub const NAME: &[u8] = b"Xen";
    /// Its type, `XEN_ELFNOTE_PHYS32_ENTRY`: the physical address where a loader enters in 32-bit mode.
    pub const PHYS32_ENTRY: u32 = 18;
    /// The alignment of notes, and of the segment with them: QEMU takes the segment's for theirs.
    pub const NOTE_ALIGNMENT: u64 = 4;
}

/// What an image asks of the machine that boots it: ELF notes, which only an image has that uses what they ask for. There
/// may be several of a type, in any order; together they say what is asked for.
pub mod wants {
    /// Whose notes they are; types 1 and 2 of this owner are promises about interrupt entry.
    pub const NAME: &[u8] = b"Freestone";
    /// The type of a note that asks for a network device. Its descriptor has [`PORT_BYTES`] for each port that the kernel
    /// serves, none if the note only asks for the device.
    pub const NETWORK: u32 = 3;
    /// The type of a note that asks for a disk. Its descriptor is empty.
    pub const DISK: u32 = 4;
    /// The type of a note that says that the kernel ends in order, when it likes to, after [`CTRL_C`] has come from its
    /// console, and not by itself. Its descriptor is empty.
    pub const CONSOLE_END: u32 = 5;
    /// What ends such a kernel: ETX (ASCII), which terminals make of Ctrl-C.
    pub const CTRL_C: u8 = 3;

    /// The size of a served port: its number in the low 16 bits and its protocol in the next 8, as one little-endian word.
    pub const PORT_BYTES: usize = 4;
    /// TCP, by its number in IP (IANA, "Assigned Internet Protocol Numbers").
    pub const TCP: u8 = 6;
    /// UDP, by its number in IP.
    pub const UDP: u8 = 17;

    /// The word of a port that is served.
    pub const fn port(protocol: u8, number: u16) -> u32 {
        (protocol as u32) << 16 | number as u32
    }
}

/// The table of functions' names; its format stands in `freestone_rt::symbols`.
pub mod names {
    /// How a table begins.
    pub const MAGIC: [u8; 8] = *b"FSNAMES\x01";
    /// Where the words' places begin.
    pub const WORDS_AT: usize = 28;
    /// How many words there are.
    pub const WORDS: usize = 128;
    /// Where the text of words begins.
    pub const TEXT_AT: usize = WORDS_AT + 2 * (WORDS + 1);
    /// The type of the program header that the linker script leaves room by.
    pub const ROOM: u32 = 0x6673_6e6d;
}

/// Tests inside a kernel.
pub mod kernel_tests {
    /// The symbols around the table of tests.
    pub const START: &str = "freestone_tests_start";
    /// One past its end.
    pub const END: &str = "freestone_tests_end";

    /// A record of the table, in bytes: addresses and lengths of 8 bytes each, then two flags.
    pub const RECORD_BYTES: usize = 64;
    /// Where the address of the name is; its length is 8 bytes behind.
    pub const NAME: usize = 0;
    /// The same of the reason to ignore it.
    pub const REASON: usize = 32;
    /// Where the flag is that it is ignored.
    pub const IGNORED: usize = 57;

    /// What a line of the harness's begins with, which no test can say: ASCII "record separator".
    pub const MARK: u8 = 0x1e;
    /// In front of the key of a boot, behind the command line: ASCII "unit separator".
    pub const KEY_MARK: u8 = 0x1f;
}

/// Link arguments.
pub mod link {
    /// The variable that tells the façade's build script that the tool gives them.
    pub const BY_TOOL: &str = "FREESTONE_LINKED_BY_TOOL";
}
