//! The machines that a kernel can be booted on, and the ranges of their memory and cores.

use std::ops::RangeInclusive;

/// Machines that start a PVH kernel by `-kernel`; the first is the default, it starts quickest.
pub const MACHINES: [&str; 3] = ["microvm", "q35", "pc"];

/// Where kernels can be booted; the first is the default.
pub const PLACES: [&str; 3] = [QEMU, XEN, KVM];
pub const QEMU: &str = "qemu";
pub const XEN: &str = "xen";
pub const KVM: &str = "kvm-nested";

/// Memory in MiB. Less is less than any of the machines boots with; beyond it QEMU's command line, too, would begin to
/// misread it.
pub const MEMORY: RangeInclusive<u32> = 2..=1 << 24;

/// Unless asked otherwise, in MiB.
pub const MEMORY_MIB: u32 = 64;

/// How many processors a machine can have.
pub const CORES: RangeInclusive<u32> = 1..=255;
