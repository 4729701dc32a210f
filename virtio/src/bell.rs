//! How a device is told to look at a queue.

use core::ptr::NonNull;

/// One queue's notification: one store, or one write to a port.
#[derive(Clone, Copy, Debug)]
pub struct Bell {
    place: Place,
    /// The number of the queue.
    value: u16,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Word(NonNull<u32>),
    Half(NonNull<u16>),
    Port(u16),
    #[cfg(test)]
    Counter(&'static core::sync::atomic::AtomicU32),
}

// SAFETY: a register has no processor that it belongs to.
unsafe impl Send for Bell {}

impl Bell {
    /// By a register of 32 bits.
    ///
    /// # Safety
    ///
    /// - It is a device's register for notifications, mapped for good, and writing to it changes no memory but what the
    ///   device was given. So are those of the other two.
    pub unsafe fn word(register: NonNull<u32>, queue: u16) -> Bell {
        Bell { place: Place::Word(register), value: queue }
    }

    /// By a register of 16 bits.
    ///
    /// # Safety
    ///
    /// - As for [`word`](Self::word).
    pub unsafe fn half(register: NonNull<u16>, queue: u16) -> Bell {
        Bell { place: Place::Half(register), value: queue }
    }

    /// By a port of 16 bits.
    ///
    /// # Safety
    ///
    /// - As for [`word`](Self::word).
    pub unsafe fn port(port: u16, queue: u16) -> Bell {
        Bell { place: Place::Port(port), value: queue }
    }

    #[cfg(test)]
    pub(crate) fn counter(counter: &'static core::sync::atomic::AtomicU32) -> Bell {
        Bell { place: Place::Counter(counter), value: 0 }
    }

    /// Tells the device to look.
    #[inline]
    pub fn ring(&self) {
        match self.place {
            // SAFETY: the makers' promise.
            Place::Word(register) => unsafe {
                register.write_volatile(u32::from(self.value).to_le());
            },
            // SAFETY: the makers' promise.
            Place::Half(register) => unsafe { register.write_volatile(self.value.to_le()) },
            // SAFETY: the makers' promise.
            Place::Port(port) => unsafe { crate::ports::write_half(port, self.value) },
            #[cfg(test)]
            Place::Counter(counter) => {
                counter.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            }
        }
    }
}
