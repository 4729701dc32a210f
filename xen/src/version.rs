//! Which Xen this is and what it can do.
//!
//! Source: `public/version.h`, `XENVER_*`, and `public/features.h`, `XENFEAT_*`.

use core::fmt;

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen};

/// `XENVER_version`.
const VERSION: u64 = 0;
/// `XENVER_extraversion`.
const EXTRA_VERSION: u64 = 1;
/// `XENVER_get_features`.
const GET_FEATURES: u64 = 6;

/// Xen's version. Shown as `4.17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What follows the version, such as `.4-rc1`: up to 15 bytes, chosen when Xen was built.
///
/// Shown with anything but printable ASCII escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraVersion([u8; 16]);

impl ExtraVersion {
    /// The bytes in front of the first zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for ExtraVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

bitflags::bitflags! {
    /// What Xen offers to this guest. Bits without a name here are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Page tables need no write protection.
        const WRITABLE_PAGE_TABLES = 1 << 0;
        /// Descriptor tables need no write protection.
        const WRITABLE_DESCRIPTOR_TABLES = 1 << 1;
        /// Xen translates guest-physical addresses; the guest sees no others.
        const AUTO_TRANSLATED_PHYSMAP = 1 << 2;
        /// The guest's kernel runs in supervisor mode (ring 0).
        const SUPERVISOR_MODE_KERNEL = 1 << 3;
        /// Page directories may lie above 4 GiB in PAE mode.
        const PAE_PGDIR_ABOVE_4GB = 1 << 4;
        /// `MMU_PT_UPDATE_PRESERVE_AD` exists.
        const MMU_PT_UPDATE_PRESERVE_AD = 1 << 5;
        /// `MMU_CLEAR_PAGE` and `MMU_COPY_PAGE` exist.
        const HIGHMEM_ASSIST = 1 << 6;
        /// Grants can be mapped with the guest's own page-table bits.
        const GNTTAB_MAP_AVAIL_BITS = 1 << 7;
        /// Events can be delivered by an interrupt vector.
        const HVM_CALLBACK_VECTOR = 1 << 8;
        /// The shared clock may be used by an HVM or PVH guest.
        const HVM_SAFE_PVCLOCK = 1 << 9;
        /// Physical interrupts can be routed to events.
        const HVM_PIRQS = 1 << 10;
        /// The guest is, or may be, dom0.
        const DOM0 = 1 << 11;
        /// `XENMEMF_vnode` is understood.
        const MEMORY_OP_VNODE_SUPPORTED = 1 << 13;
        /// Arm: hypercalls by the SMC calling convention.
        const ARM_SMCCC_SUPPORTED = 1 << 14;
        /// The ACPI root pointer may lie anywhere.
        const LINUX_RSDP_UNRESTRICTED = 1 << 15;
        /// Guest-physical addresses differ from the machine's.
        const NOT_DIRECT_MAPPED = 1 << 16;
        /// Guest-physical addresses are the machine's.
        const DIRECT_MAPPED = 1 << 17;

        const _ = !0;
    }
}

/// `struct xen_feature_info`.
#[repr(C)]
pub(crate) struct FeatureInfo {
    pub submap_idx: u32,
    pub submap: u32,
}

const _: () = assert!(size_of::<FeatureInfo>() == 8);
const _: () = assert!(core::mem::offset_of!(FeatureInfo, submap) == 4);

impl Xen {
    /// Xen's version.
    ///
    /// - Since: before PVH.
    /// - Blocks: no.
    /// - Source: `public/version.h`, `XENVER_version`.
    pub fn version(self) -> Result<Version, Error> {
        version(&self.gate)
    }

    /// What follows the version.
    ///
    /// - Since: before PVH.
    /// - Blocks: no.
    /// - Source: `public/version.h`, `XENVER_extraversion`.
    pub fn extra_version(self) -> Result<ExtraVersion, Error> {
        extra_version(&self.gate)
    }

    /// What Xen offers to this guest.
    ///
    /// The interface has room for further words of features. There is only one so far.
    ///
    /// - Since: before PVH.
    /// - Blocks: no.
    /// - Source: `public/version.h`, `XENVER_get_features`, sub-map 0.
    pub fn features(self) -> Result<Features, Error> {
        features(&self.gate)
    }
}

pub(crate) fn version(via: &impl Hypercall) -> Result<Version, Error> {
    // SAFETY: without an argument no memory is touched.
    let both = check(unsafe { via.call(number::XEN_VERSION, [VERSION, 0, 0, 0, 0]) })?;
    Ok(Version { major: (both >> 16) as u16, minor: both as u16 })
}

pub(crate) fn extra_version(via: &impl Hypercall) -> Result<ExtraVersion, Error> {
    let mut text = [0u8; 16];
    let args = [EXTRA_VERSION, address(&raw mut text), 0, 0, 0];
    // SAFETY: Xen writes the 16 bytes of `text`.
    check(unsafe { via.call(number::XEN_VERSION, args) })?;
    Ok(ExtraVersion(text))
}

pub(crate) fn features(via: &impl Hypercall) -> Result<Features, Error> {
    let mut info = FeatureInfo { submap_idx: 0, submap: 0 };
    let args = [GET_FEATURES, address(&raw mut info), 0, 0, 0];
    // SAFETY: Xen reads and writes `info`, which is ours.
    check(unsafe { via.call(number::XEN_VERSION, args) })?;
    Ok(Features::from_bits_retain(info.submap))
}
