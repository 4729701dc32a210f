//! Booting: options, places (QEMU, Xen, KVM), machines and their devices, and verdicts.

pub mod accel;
pub mod boot_args;
pub mod boot_options;
pub mod browser;
pub mod complaints;
pub mod devices;
pub mod disk;
pub mod forward;
pub mod install;
pub mod kvm;
pub mod limits;
pub mod machines;
pub mod module;
pub mod network;
pub mod packages;
pub mod place;
pub mod preflight;
pub mod qemu;
pub mod qmp;
pub mod request;
pub mod settings;
pub mod trace;
pub mod xen;
