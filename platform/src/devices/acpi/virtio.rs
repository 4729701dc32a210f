//! virtio devices that are in AML and nowhere else: where their registers are, and on which wire they interrupt.
//!
//! QEMU's microvm and Firecracker describe each by a device whose `_HID` is "LNRO0005" and whose `_CRS` is a
//! constant: a template of resources, which compilers write alike. It is looked for by its bytes; what would have to
//! be computed is not found.
//!
//! Source: ACPI 6.5, 6.4 (resource data types), 20.2 (AML).

use core::iter;

use super::{half, word};
use crate::interrupts::words::{Polarity, Trigger, Wire};
use crate::memory::address::PhysAddr;

const KIND: &[u8] = b"LNRO0005";
const RESOURCES: &[u8] = b"\x08_CRS\x11";

/// Each device of the kind in these bytes.
pub fn devices(aml: &[u8]) -> impl Iterator<Item = (PhysAddr, Wire)> {
    let mut rest = aml;
    let devices = iter::from_fn(move || {
        rest = after(rest, KIND)?;
        Some(rest)
    });
    devices.filter_map(|device| {
        // Its own resources, not those of the next.
        let end = device.windows(KIND.len()).position(|bytes| bytes == KIND);
        resources(device.get(..end.unwrap_or(device.len()))?)
    })
}

/// What is behind the first of these.
fn after<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    // By the first byte first: tables have thousands.
    let (first, _) = wanted.split_first()?;
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|byte| byte == first)?;
        if let Some(after) = rest[at..].strip_prefix(wanted) {
            return Some(after);
        }
        rest = &rest[at + 1..];
    }
}

/// Memory and interrupt in the first template of resources.
fn resources(device: &[u8]) -> Option<(PhysAddr, Wire)> {
    // A buffer: its length as AML, its size as a number, and then the bytes.
    let rest = after(device, RESOURCES)?;
    let rest = rest.get(1 + usize::from(rest.first()? >> 6)..)?;
    let (size, rest) = match rest {
        [0x0a, size, rest @ ..] => (usize::from(*size), rest),
        [0x0b, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        _ => return None,
    };
    let mut rest = rest.get(..size)?;
    let (mut registers, mut wire) = (None, None);
    while let [tag, ..] = *rest {
        const IS_LARGE: u8 = 0x80;
        const END: u8 = 0x0f;
        const MEMORY: u8 = 0x86;
        const INTERRUPT: u8 = 0x89;
        let (head, len) = if tag & IS_LARGE != 0 {
            (3, usize::from(half(rest, 1)?))
        } else {
            (1, usize::from(tag & 7))
        };
        let body = rest.get(head..head + len)?;
        match tag {
            // 32 bits, fixed: rights, base, length.
            MEMORY => registers = Some(word(body, 1)?),
            // Flags, how many, the first.
            INTERRUPT => wire = Some((*body.first()?, word(body, 2)?)),
            _ if tag >> 3 == END => break,
            _ => {}
        }
        rest = rest.get(head + len..)?;
    }
    let (flags, line) = wire?;
    let trigger = if flags & 2 != 0 { Trigger::Edge } else { Trigger::Level };
    let polarity = if flags & 4 != 0 { Polarity::Low } else { Polarity::High };
    Some((PhysAddr::new(registers?.into()), Wire { line, trigger, polarity }))
}
