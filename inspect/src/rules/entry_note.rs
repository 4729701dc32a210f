//! How a boot loader gets in.

use object::elf;

use super::{Report, Rule, Severity, Subject};
use crate::elf::{Machine, Note, Section, Segment};
use crate::image::{Image, XEN_PHYS32_ENTRY};

pub(super) const RULE: Rule = Rule {
    name: "entry-note",
    severity: Severity::Error,
    summary: "no boot loader will find a way into this image",
    explanation: "Boot loaders know a kernel by a mark in it: PVH (QEMU, Xen, Firecracker) by an ELF note of \
owner `Xen` and type 18 with the entry's physical address; Xen PV by its notes 1 and 6; Multiboot by the number \
0x1badb002 in the first 8 KiB, Multiboot2 by 0xe85250d6 in the first 32 KiB; Limine by its request numbers, the Rust \
`bootloader` crate by a section. None of these is here, or the entry it names is not in code, or loaders will read \
the PVH note wrongly, as its segment is aligned to more than 4 or holds more than notes. Notes are easily \
lost to the linker's garbage collection: KEEP them in the linker script and give them a PT_NOTE segment of their own; \
name the part (`:rodata`) of the output section that follows, and let that be read-only as well, so that linkers put \
what the script does not name behind it and not into the notes. \
`freestone::entry!` puts a PVH note in.",
    matters_for_boot: true,
    check,
};

/// XEN_ELFNOTE_ENTRY (xen/include/public/elfnote.h).
const PV_ENTRY: u32 = 1;

/// A mark, its alignment, and within how many bytes of the file it must be.
const MULTIBOOT: (u32, usize, usize) = (0x1bad_b002, 4, 8 << 10);
const MULTIBOOT2: (u32, usize, usize) = (0xe852_50d6, 8, 32 << 10);

/// Every Limine request begins with these two numbers.
const LIMINE: [u64; 2] = [0xc7b1_dd30_df4c_8b88, 0x0a82_e883_a194_f07b];

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let pvh = image.note("Xen", XEN_PHYS32_ENTRY).copied();
    let others = [
        image.note("Xen", PV_ENTRY).is_some().then_some("Xen PV"),
        has_multiboot(image).then_some("Multiboot"),
        has_multiboot2(image).then_some("Multiboot2"),
        has_limine(image).then_some("Limine"),
        image.section(".bootloader-config").is_some().then_some("the bootloader crate"),
    ];
    let others: Vec<_> = others.into_iter().flatten().collect();
    let Some(pvh) = pvh else {
        let is_x86 = matches!(image.machine, Machine::X86_64 | Machine::X86);
        if others.is_empty() && !is_x86 {
            report.cannot("how loaders enter an image is known for x86 only");
        } else if others.is_empty() {
            report.add(
                Severity::Error,
                "no PVH, Xen PV, Multiboot, Multiboot2, Limine or bootloader-crate entry is in this image",
            );
        }
        return;
    };
    let Some(entry) = image.pvh_entry() else {
        let message = "the PVH note must hold an address of 4 or 8 bytes";
        report.add(Severity::Error, message).at(pvh.address);
        return;
    };
    if !is_code_at(image, entry) {
        let message = format!(
            "the PVH entry {entry:#x} is not the physical address of code: it lies in no executable segment"
        );
        report.add(Severity::Error, message).at(entry);
    }
    segment_of_the_note(image, &pvh, report);
}

/// QEMU steps through the segment by its alignment, if that is more than a note's own.
fn segment_of_the_note(image: &Image<'_>, pvh: &Note<'_>, report: &mut Report) {
    const NOTE_ALIGNMENT: u64 = 4;
    let holds = |s: &&Segment<'_>| s.kind == elf::PT_NOTE.0 && s.contains(pvh.address);
    let Some(segment) = image.segments.iter().find(holds) else { return };
    // Linkers may call a section a note because it is in this segment: what it holds must be one too.
    let end = segment.address.saturating_add(image.notes_len(segment.data) as u64);
    let is_stray = |s: &&Section<'_>| {
        let is_note = s.kind == elf::SHT_NOTE.0 || s.name.starts_with(".note");
        let is_read = is_note && s.address.saturating_add(s.size) <= end;
        s.is_loaded() && s.size > 0 && !is_read && segment.contains(s.address)
    };
    let strays: Vec<_> = image.sections.iter().filter(is_stray).map(|s| &*s.name).collect();
    if !strays.is_empty() {
        let message = format!("the PVH note's segment holds {}, no notes", strays.join(", "));
        report.add(Severity::Error, message).at(segment.address);
    }
    if segment.align > NOTE_ALIGNMENT {
        let message = format!(
            "the PVH note's segment is aligned to {}: QEMU takes that for the alignment of what is in a note, and \
             reads the entry from elsewhere",
            segment.align
        );
        report.add(Severity::Error, message).at(segment.address);
    }
}

fn is_code_at(image: &Image<'_>, physical: u64) -> bool {
    image.segments.iter().filter(|s| s.is_loaded() && s.is_executable()).any(|segment| {
        let offset = physical.checked_sub(segment.physical);
        offset.is_some_and(|offset| offset < segment.data.len() as u64)
    })
}

fn numbers(
    bytes: &[u8],
    (mark, align, within): (u32, usize, usize),
) -> impl Iterator<Item = &[u8]> {
    let starts = (0..bytes.len().min(within)).step_by(align);
    starts.map(|at| &bytes[at..]).filter(move |rest| number(rest, 0) == Some(mark))
}

fn number(bytes: &[u8], index: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.as_chunks().0.get(index)?))
}

/// Mark, flags and checksum are zero together.
fn has_multiboot(image: &Image<'_>) -> bool {
    numbers(image.bytes(), MULTIBOOT).any(|header| {
        let sum = (0..3).try_fold(0_u32, |sum, i| Some(sum.wrapping_add(number(header, i)?)));
        sum == Some(0)
    })
}

/// Mark, architecture, length and checksum are zero together.
fn has_multiboot2(image: &Image<'_>) -> bool {
    numbers(image.bytes(), MULTIBOOT2).any(|header| {
        let sum = (0..4).try_fold(0_u32, |sum, i| Some(sum.wrapping_add(number(header, i)?)));
        sum == Some(0)
    })
}

fn has_limine(image: &Image<'_>) -> bool {
    let mark = LIMINE.map(u64::to_le_bytes).concat();
    let mut segments = image.segments.iter().filter(|s| s.is_loaded());
    segments.any(|segment| memchr::memmem::find(segment.data, &mark).is_some())
}
