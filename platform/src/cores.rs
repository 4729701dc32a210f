//! Numbers of cores. Only one core runs so far: code that depends on which core runs it uses [`BOOT`].

/// The core that boots the kernel, and the only one that runs.
pub const BOOT: usize = 0;
