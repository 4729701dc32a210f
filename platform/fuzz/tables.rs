//! Memory that holds what the input says where it says, read as ACPI tables: once as it is, and once with lengths and
//! checksums made right, which no search would find. `run.sh` says how to start it.
#![no_main]

use freestone_platform::devices::acpi::{Bus, Error, Memory, Register, Tables};
use libfuzzer_sys::fuzz_target;

/// Address and bytes, each in an allocation of its own, so that the sanitizer sees what is read behind it.
struct Pieces(Vec<(u64, Box<[u8]>)>);

impl Pieces {
    /// The format of `src/devices/acpi/data`: address, length, bytes.
    fn parse(mut input: &[u8]) -> Pieces {
        let mut pieces = Vec::new();
        while let Some((head, rest)) = input.split_first_chunk::<12>() {
            let address = u64::from_le_bytes(head[..8].try_into().unwrap());
            let len = u32::from_le_bytes(head[8..].try_into().unwrap()) as usize;
            let (bytes, rest) = rest.split_at(len.min(rest.len()));
            pieces.push((address, bytes.into()));
            input = rest;
        }
        Pieces(pieces)
    }

    fn mend(&mut self) {
        for (_, bytes) in &mut self.0 {
            if bytes.starts_with(b"RSD PTR ") {
                if bytes.len() >= 20 {
                    add_up(&mut bytes[..20], 8);
                }
                if bytes.len() >= 36 {
                    bytes[20..24].copy_from_slice(&36_u32.to_le_bytes());
                    add_up(&mut bytes[..36], 32);
                }
            } else if bytes.len() >= 36 {
                let len = (bytes.len() as u32).to_le_bytes();
                bytes[4..8].copy_from_slice(&len);
                add_up(bytes, 9);
            }
        }
    }
}

/// Changes the byte at `at` so that all add up to 0.
fn add_up(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
}

impl Memory for &Pieces {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        self.0.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..)?.get(..len)
        })
    }
}

/// A machine where nothing answers.
struct Nobody;

impl Bus for Nobody {
    fn read(&self, _: Register) -> u16 {
        u16::MAX
    }

    fn write(&self, _: Register, _: u16) {}

    fn write_byte(&self, _: Register, _: u8) {}
}

fn read(pieces: &Pieces) -> Result<(), Error> {
    let start = pieces.0.first().map_or(0, |piece| piece.0);
    let len = pieces.0.first().map_or(0, |piece| piece.1.len() as u64);
    let _ = Tables::find(pieces, None, start..start.saturating_add(len));
    let tables = Tables::find(pieces, Some(start), 0..0)?;
    if let Ok(controllers) = tables.controllers() {
        let _ = (controllers.entries().count(), controllers.io_apics().count());
        let _ = (controllers.local_apic(), controllers.has_8259());
        for irq in 0..=255 {
            let _ = controllers.isa(irq);
        }
    }
    let _ = (tables.hpet(), tables.reset());
    let _ = (tables.pci_spaces().map(Iterator::count), tables.virtio_devices().map(Iterator::count));
    tables.power_off().map(|how| how.carry_out(&Nobody))
}

fuzz_target!(|input: &[u8]| {
    let mut pieces = Pieces::parse(input);
    for _ in 0..2 {
        if let Err(error) = read(&pieces) {
            assert!(error.to_string().len() > 10);
        }
        pieces.mend();
    }
});
