//! virtio devices: [which there are](devices), how their registers are reached, and how they interrupt. Their drivers are in
//! the crate [`freestone_virtio`], which knows no machine.

mod connect;
mod device;
mod found;
mod registers;

pub use connect::ConnectError;
pub use device::{Device, Place};
pub use found::devices;
pub use registers::Registers;
