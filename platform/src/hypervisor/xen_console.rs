//! Xen's hypervisor console: what a guest says before it has a console of its own.
//!
//! Xen prints it line by line in its own log. A release build of Xen does so for dom0 always, for
//! other guests only with `guest_loglvl=all`.

use freestone_rt::console::Console;

use super::xen;

pub(crate) struct Hypervisor;

impl Console for Hypervisor {
    fn name(&self) -> &'static str {
        "Xen"
    }

    fn write(&self, bytes: &[u8]) {
        if let Some(xen) = xen() {
            // A refusal cannot be reported: this is where reports go.
            let _ = xen.console_write(bytes);
        }
    }
}
