//! The forms in which a kernel goes to the machines that run it, for the verb `image`.
//!
//! | form | file | for |
//! |---|---|---|
//! | [`elf`] | `NAME.elf` | PVH loaders: QEMU, Firecracker, Cloud Hypervisor, Xen |
//! | [`iso`] | `NAME.iso` | PCs with a BIOS or UEFI, by GRUB and Multiboot2 |
//! | [`efi`] | `NAME.efi` | UEFI firmware, without a boot loader |
//! | [`oci`] | `NAME-oci/` | registries of containers, and urunc |
//! | [`libvirt`] | `NAME.xml`, `NAME.elf` | libvirt |
//! | [`xl`] | `NAME.cfg`, `NAME.elf` | Xen's toolstack |
//!
//! Each is a function from the kernel and what it is to be given to bytes. Nothing in them depends on the time, the folder or
//! the user: the same kernel gives the same bytes. [`guest`] has what configurations say of a machine, and the checks of text
//! that goes into a file of somebody else's syntax.

pub mod efi;
pub mod elf;
pub mod fat;
pub mod guest;
pub mod iso;
pub mod libvirt;
pub mod oci;
pub mod tar;
pub mod xl;

/// A form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Elf,
    Iso,
    Efi,
    Oci,
    Libvirt,
    Xl,
}

impl Form {
    /// Those that are asked for by an option of their name.
    pub const NAMED: [Self; 5] = [Self::Iso, Self::Efi, Self::Oci, Self::Libvirt, Self::Xl];

    /// Its option, and its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elf => "elf",
            Self::Iso => "iso",
            Self::Efi => "efi",
            Self::Oci => "oci",
            Self::Libvirt => "libvirt",
            Self::Xl => "xl",
        }
    }

    /// What the name of its file or folder ends with.
    pub fn end(self) -> &'static str {
        match self {
            Self::Elf => ".elf",
            Self::Iso => ".iso",
            Self::Efi => ".efi",
            Self::Oci => "-oci",
            Self::Libvirt => ".xml",
            Self::Xl => ".cfg",
        }
    }

    /// What help says of it.
    pub fn about(self) -> &'static str {
        match self {
            Self::Elf => "An ELF file for PVH loaders",
            Self::Iso => {
                "A CD image that BIOS and UEFI boot, by GRUB (entry! with `multiboot2: on`)"
            }
            Self::Efi => "An application for UEFI firmware, with the kernel in it",
            Self::Oci => "A folder in the layout of OCI images, with urunc's annotations",
            Self::Libvirt => "A domain of libvirt's, and the ELF file",
            Self::Xl => "A configuration for Xen's xl, and the ELF file",
        }
    }

    /// Whether it describes a whole machine.
    pub fn is_configuration(self) -> bool {
        matches!(self, Self::Libvirt | Self::Xl)
    }
}
