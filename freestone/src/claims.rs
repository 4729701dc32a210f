//! Which virtio devices have a driver.

use core::sync::atomic::{AtomicU64, Ordering};

use freestone_platform::devices::virtio::{Device, Place};

/// More than any kernel drives.
const MOST: usize = 64;

/// Those that have been opened; 0 for none.
static OPENED: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// Whether the caller is the first to ask for this device. Interrupts call what a driver has registered for ever, so there is
/// one driver for a device and no second.
pub fn claim(device: &Device) -> bool {
    const PCI: u64 = 1 << 63;
    let key = match device.place() {
        Place::Mmio(registers, _) => registers.as_u64(),
        Place::Pci(function) => {
            let at = function.address();
            let parts = [at.bus, at.device, at.function];
            PCI | parts
                .into_iter()
                .fold(u64::from(at.segment), |key, part| key << 8 | u64::from(part))
        }
    };
    let order = Ordering::Relaxed;
    for slot in &OPENED {
        match slot.compare_exchange(0, key, order, order) {
            Ok(_) => return true,
            Err(other) if other == key => return false,
            Err(_) => {}
        }
    }
    false
}
