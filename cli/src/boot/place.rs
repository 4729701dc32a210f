//! The places where a kernel can be booted, and booting there.
//!
//! Code that only one place needs is in that place's file: [`qemu`], [`xen`], [`kvm`].

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::boot::boot_args::BootArgs;
use crate::boot::boot_options::BootOptions;
use crate::boot::devices::{self, DeviceArgs, Devices};
use crate::boot::install;
use crate::boot::kvm;
use crate::boot::machines::{KVM, XEN};
use crate::boot::module;
use crate::boot::network::Network;
use crate::boot::qemu::{self, Machine};
use crate::boot::request::{Boot, Everything, Verdict};
use crate::boot::xen::{self, Host};
use crate::say;
use crate::status::Failure;
use crate::supervise::{Filter, Output};

/// Where a boot happens.
pub enum Place {
    /// On a machine of QEMU's.
    Qemu(Machine),
    /// On Xen.
    Xen(Host),
    /// On a machine of QEMU's, by Linux's KVM.
    Kvm(kvm::Host),
}

impl Place {
    /// What a verb was asked for; what is missing is fetched.
    pub fn of(given: &BootArgs, options: &BootOptions) -> Result<Place, Failure> {
        let qemu = install::qemu(given.qemu.as_deref(), given.yes)?;
        Ok(match options.on {
            XEN => Place::Xen(Host { qemu, xen: xen::find(given.xen.as_deref())? }),
            KVM => Place::Kvm(kvm::Host::new(Machine::new(qemu, given, options)?)?),
            _ => Place::Qemu(Machine::new(qemu, given, options)?),
        })
    }

    /// Gives the machine the devices that were asked for and those that the image asks for.
    pub fn equip(
        &mut self,
        given: &DeviceArgs,
        options: &BootOptions,
        image: &Path,
    ) -> Result<(), Failure> {
        let (wants, extra) = (devices::wanted(image), options.qemu_args());
        match self {
            Place::Qemu(machine) => {
                machine.devices = Devices::new(given, &wants, &extra)?;
                devices::tell_missing(&wants, &machine.devices, &extra);
                machine.console_end = wants.console_end;
            }
            Place::Xen(_) | Place::Kvm(_) => {
                let asked = [(wants.network, "a network"), (wants.disk, "a disk")];
                for (_, device) in asked.iter().filter(|(is_asked, _)| *is_asked) {
                    say!(
                        "this kernel asks for {device}, which is not there yet with --on {}",
                        options.on
                    );
                }
            }
        }
        Ok(())
    }

    /// The same for a boot that nobody connects to.
    pub fn equip_unreached(
        &mut self,
        given: &DeviceArgs,
        options: &BootOptions,
        image: &Path,
    ) -> Result<(), Failure> {
        self.equip(given, options, image)?;
        if let Some(network) = self.network() {
            network.forwards.clear();
        }
        Ok(())
    }

    /// The network that the machine has.
    pub fn network(&mut self) -> Option<&mut Network> {
        match self {
            Place::Qemu(machine) => machine.devices.network.as_mut(),
            Place::Xen(_) | Place::Kvm(_) => None,
        }
    }

    /// Whether the kernel goes on until it is told to end.
    pub fn is_endless(&self) -> bool {
        matches!(self, Place::Qemu(machine) if machine.console_end)
    }

    /// What a summary calls it.
    pub fn name(&self) -> &str {
        match self {
            Place::Qemu(machine) => &machine.name,
            Place::Kvm(host) => &host.machine.name,
            Place::Xen(_) => "Xen",
        }
    }

    /// How many seconds a boot may take there unless the user says otherwise.
    pub fn seconds(&self) -> u32 {
        match self {
            Place::Qemu(_) | Place::Xen(_) => 60,
            // A Linux boots first, and each exit of the kernel's is emulated.
            Place::Kvm(_) => 300,
        }
    }

    /// The QEMU that is used.
    pub fn qemu(&self) -> &Path {
        match self {
            Place::Qemu(machine) => &machine.program,
            Place::Xen(host) => &host.qemu,
            Place::Kvm(host) => &host.machine.program,
        }
    }

    /// Boots, does with the guest's output what `stdout` says, and returns the verdict.
    pub fn run(&self, boot: &Boot, stdout: Output) -> Result<Verdict, Failure> {
        self.run_through(boot, &mut Everything, stdout)
    }

    /// The same, with what the guest says going through `filter`.
    pub fn run_through(
        &self,
        boot: &Boot,
        filter: &mut dyn Filter,
        stdout: Output,
    ) -> Result<Verdict, Failure> {
        module::must_fit(boot.module, boot.memory_mib)?;
        let (outcome, (status, message)) = match self {
            Place::Qemu(machine) => qemu::run(machine, boot, filter, stdout)?,
            Place::Xen(host) => xen::run(host, boot, filter, stdout)?,
            Place::Kvm(host) => kvm::run(host, boot, filter, stdout)?,
        };
        // A guest that stopped in the middle of a line would run into what is said about it.
        let is_mid_line = outcome.stdout.last().is_some_and(|byte| *byte != b'\n');
        if matches!(stdout, Output::Pass(_))
            && is_mid_line
            && !message.is_empty()
            && io::stderr().is_terminal()
        {
            say!("");
        }
        Ok(Verdict { status, message, output: outcome.stdout, wall: outcome.wall })
    }
}
