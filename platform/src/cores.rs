//! Which core this is. There is one so far: what depends on that says so by asking here.

/// The core that boots the kernel, and the only one that runs.
pub const BOOT: usize = 0;
