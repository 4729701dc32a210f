//! `cargo freestone image`: writes a kernel in a form that other machines run, see [`crate::forms`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use freestone_inspect::wants::Wants;
use serde_json::{Value, json};

use crate::args::{Telling, all, flag, is_set, one, one_of};
use crate::boot::boot_args::{self, BootArgs};
use crate::boot::boot_options::BootOptions;
use crate::boot::devices;
use crate::boot::disk::Disk;
use crate::boot::network::Mac;
use crate::boot::preflight;
use crate::boot::settings::Settings;
use crate::build::build_args::Which;
use crate::build::meant::Meant;
use crate::foreign::{self, Shown as _};
use crate::forms::guest::{self, Guest, Net};
use crate::forms::{Form, efi, elf, iso, libvirt, oci, xl};
use crate::image::bootable;
use crate::say;
use crate::status::{Failure, Status};
use crate::tell;
use crate::whole::{self, Destination};

/// Names of options that only some forms have.
const NET: &str = "guest-net";
const INSTALLED_AS: &str = "installed-as";
const MONITOR: &str = "monitor";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("image")
        .about("Write a kernel for the machines that run it: ELF, CD, EFI, OCI, libvirt or xl")
        .override_usage("cargo freestone image [FORM] [OPTIONS] [ELF | -p PACKAGE] [-- KERNEL COMMAND LINE]")
        .args(Form::NAMED.map(|form| flag(form.name(), form.about())))
        .group(ArgGroup::new("form").args(Form::NAMED.map(Form::name)))
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Where it goes [default: the kernel's name, here]"),
        )
        .args(Which::args())
        .args([
            boot_args::memory(),
            boot_args::cores(),
            Arg::new(NET).long("net").value_name("NET").value_parser(Net::parse).help(
                "The network, of --libvirt and --xl: none, user, bridge=NAME or network=NAME [default: none]",
            ),
            devices::mac(),
            devices::disk(),
            Arg::new(INSTALLED_AS)
                .long(INSTALLED_AS)
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Where the ELF file is on the host that runs it, for --libvirt and --xl [default: where it is written]"),
            Arg::new(MONITOR)
                .long(MONITOR)
                .value_name("MONITOR")
                .value_parser(one_of(&oci::MONITORS))
                .help(format!("What urunc runs it with, for --oci [default: {}]", oci::MONITORS[0])),
            boot_args::no_names(),
            boot_args::no_check(),
            flag("yes", "Install what is missing without asking (as root, by apt-get)"),
        ])
        .args(Telling::args("End with one line of JSON on stdout"))
        .arg(boot_args::command_line())
}

/// What was given.
struct Arguments {
    form: Form,
    output: Option<PathBuf>,
    which: Which,
    boot: BootArgs,
    net: Option<Net>,
    mac: Option<Mac>,
    disks: Vec<Disk>,
    installed_as: Option<PathBuf>,
    monitor: Option<&'static str>,
    telling: Telling,
}

impl Arguments {
    fn from(matches: &ArgMatches) -> Self {
        let form = Form::NAMED.into_iter().find(|form| is_set(matches, form.name()));
        Self {
            form: form.unwrap_or_default(),
            output: one(matches, "output"),
            which: Which::from(matches),
            boot: BootArgs { devices: Default::default(), ..BootArgs::from(matches) },
            net: one(matches, NET),
            mac: one(matches, "mac"),
            disks: all(matches, "disk").unwrap_or_default(),
            installed_as: one(matches, INSTALLED_AS),
            monitor: one(matches, MONITOR),
            telling: Telling::from(matches),
        }
    }

    /// Refuses what the form has no place for, before anything is built.
    fn check(&self) -> Result<(), Failure> {
        let given = [
            (self.boot.memory_mib.is_some(), "-m"),
            (self.boot.cores.is_some(), "--cores"),
            (self.net.is_some(), "--net"),
            (self.mac.is_some(), "--mac"),
            (!self.disks.is_empty(), "--disk"),
            (self.installed_as.is_some(), "--installed-as"),
        ];
        let form = self.form;
        let is_given = |(is_given, _): &&(bool, _)| *is_given;
        match given.iter().find(is_given) {
            Some((_, option)) if !form.is_configuration() => {
                return Err(Failure::usage(format!(
                    "{option} describes a machine: it has a meaning with --libvirt and --xl only"
                )));
            }
            _ => {}
        }
        if self.monitor.is_some() && form != Form::Oci {
            return Err(Failure::usage("--monitor has a meaning with --oci only"));
        }
        if form == Form::Elf && self.boot.command_line.is_some() {
            return Err(Failure::usage(
                "an ELF file has no place for a command line: its loader gives it (QEMU: -append)",
            ));
        }
        if self.mac.is_some() && matches!(self.net, None | Some(Net::None)) {
            return Err(Failure::usage("--mac needs a network: --net bridge=NAME"));
        }
        const MOST_DISKS: usize = 26;
        if self.disks.len() > MOST_DISKS {
            return Err(Failure::usage(format!("a machine has {MOST_DISKS} disks at most")));
        }
        Ok(())
    }
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let arguments = Arguments::from(matches);
    let result = write(&arguments);
    if !arguments.telling.json {
        return result.map(|_| Status::Success);
    }
    let (status, message, made) = match result {
        Ok(made) => (Status::Success, String::new(), made),
        Err(failure) => (failure.status, failure.message, Made::default()),
    };
    tell!("{}", foreign::json(&json_of(arguments.form, status, &message, &made)));
    if status == Status::Success { Ok(status) } else { Err(Failure::new(status, message)) }
}

/// What was written.
#[derive(Default)]
struct Made {
    /// What it was made of.
    image: PathBuf,
    /// The first is what was asked for.
    files: Vec<PathBuf>,
}

fn json_of(form: Form, status: Status, message: &str, made: &Made) -> Value {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    json!({
        "form": form.name(),
        "verdict": status.word(),
        "status": status.code(),
        "message": message,
        "image": Some(&made.image).filter(|image| !image.as_os_str().is_empty()).map(text),
        "files": made.files.iter().map(text).collect::<Vec<_>>(),
    })
}

fn write(arguments: &Arguments) -> Result<Made, Failure> {
    let Arguments { form, which, boot, telling, .. } = arguments;
    arguments.check()?;
    let meant = Meant::of(which, telling.verbose)?;
    let options = meant.options(boot, &Settings::default(), telling.verbose)?;
    let line = guest::command_line(&options.command_line.value)?;
    if *form == Form::Iso {
        iso::check_line(line)?;
        iso::require(boot.yes)?;
    }
    let image = meant.image(&which.how, telling.verbose)?;
    let bootable = bootable::check(&image)?;
    if form.is_configuration() {
        bootable.must_fit(options.memory_mib.value)?;
    }
    if !boot.no_check {
        preflight::before(&image, "written", "writes")?;
    }
    let linked = bootable::read(&image)?;
    let broken = || {
        Failure::usage(format!(
            "{}: the ELF headers are broken; build the kernel again",
            image.shown()
        ))
    };
    let kernel = elf::of(&linked, !boot.no_names).ok_or_else(broken)?;
    let name = guest::name_of(&image);
    let output = match &arguments.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("{name}{}", form.end())),
    };
    must_differ(&output, &image)?;
    let files = match form {
        Form::Elf => vec![put(&output, &kernel)?],
        Form::Iso => vec![put(&output, &iso::of(&kernel, line, telling.verbose)?)?],
        Form::Efi => vec![put(&output, &efi::of(&kernel, line)?)?],
        Form::Oci => {
            let monitor = arguments.monitor.unwrap_or(oci::MONITORS[0]);
            vec![oci::write(
                &output,
                &oci::Content { name: &name, kernel: &kernel, line, monitor },
            )?]
        }
        Form::Libvirt | Form::Xl => {
            tell_missing(&devices::wanted(&image), arguments);
            configuration(arguments, &options, &name, &output, &image, &kernel)?
        }
    };
    let all: Vec<_> = files.iter().map(|path| path.shown().to_string()).collect();
    say!("wrote {}; {}", all.join(" and "), next(*form, &files[0]));
    Ok(Made { image, files })
}

/// A configuration, and beside it the ELF file that it names.
fn configuration(
    arguments: &Arguments,
    options: &BootOptions,
    name: &str,
    output: &Path,
    image: &Path,
    kernel: &[u8],
) -> Result<Vec<PathBuf>, Failure> {
    let beside = output.with_extension("elf");
    if beside == output {
        return Err(Failure::usage(format!(
            "{}: the ELF file beside it would have the same name; let it end in {}",
            output.shown(),
            arguments.form.end()
        )));
    }
    must_differ(&beside, image)?;
    let is_disk = |file: &&Path| arguments.disks.iter().any(|disk| is_same(file, &disk.file));
    if let Some(file) = [output, &beside].into_iter().find(is_disk) {
        return Err(Failure::usage(format!(
            "{}: this is a disk of the machine; -o names another file",
            file.shown()
        )));
    }
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.shown())))
    };
    let place = match &arguments.installed_as {
        Some(path) => path.clone(),
        None => absolute(&beside)?,
    };
    let disk = |disk: &Disk| {
        if disk.file.as_os_str().is_empty() {
            return Err(Failure::usage("--disk: it wants the path of a file"));
        }
        Ok(Disk { file: absolute(&disk.file)?, ..disk.clone() })
    };
    let guest = Guest {
        name: name.into(),
        kernel: guest::path(&place, "--installed-as")?.into(),
        command_line: guest::command_line(&options.command_line.value)?.into(),
        memory_mib: options.memory_mib.value,
        cores: options.cores.value,
        net: arguments.net.clone(),
        mac: arguments.mac,
        disks: arguments.disks.iter().map(disk).collect::<Result<_, _>>()?,
    };
    let text = match arguments.form {
        Form::Xl => xl::of(&guest)?,
        _ => libvirt::of(&guest)?,
    };
    // Both can be written, before one is.
    let place = |path| Destination::new(path).map_err(|error| not_written(path, error));
    let (configuration, program) = (place(output)?, place(&beside)?);
    program.write(kernel, None).map_err(|error| not_written(&beside, error))?;
    configuration.write(text.as_bytes(), None).map_err(|error| not_written(output, error))?;
    Ok(vec![output.to_owned(), beside])
}

/// Says what the image asks for and is not given.
fn tell_missing(wants: &Wants, arguments: &Arguments) {
    if wants.network && arguments.net.is_none() {
        say!("this kernel asks for a network and gets none; --net bridge=NAME gives it one");
    }
    if wants.disk && arguments.disks.is_empty() {
        say!("this kernel asks for a disk and gets none; --disk FILE gives it one");
    }
}

/// What one does with it.
fn next(form: Form, file: &Path) -> String {
    let typed = String::from_utf8_lossy(&crate::shell::quoted(file.as_os_str().as_encoded_bytes()))
        .into_owned();
    match form {
        Form::Elf => format!("boot it: cargo freestone run {typed}"),
        Form::Iso => {
            format!("boot it: qemu-system-x86_64 -cdrom {typed} -serial stdio -display none")
        }
        Form::Efi => "firmware boots it as EFI/BOOT/BOOTX64.EFI on a FAT file system".into(),
        Form::Oci => format!("look at it: skopeo inspect oci:{typed}"),
        Form::Libvirt => format!("define it: virsh define {typed}"),
        Form::Xl => format!("start it: xl create -c {typed}"),
    }
}

/// Refuses to write over what it is made of.
fn must_differ(output: &Path, image: &Path) -> Result<(), Failure> {
    if is_same(output, image) {
        return Err(Failure::usage(format!(
            "{}: this is the kernel itself; -o names another file",
            output.shown()
        )));
    }
    Ok(())
}

/// Whether these are one file that is there.
fn is_same(one: &Path, other: &Path) -> bool {
    let both = fs::canonicalize(one).ok().zip(fs::canonicalize(other).ok());
    both.is_some_and(|(one, other)| one == other)
}

fn put(path: &Path, bytes: &[u8]) -> Result<PathBuf, Failure> {
    whole::write(path, bytes).map_err(|error| not_written(path, error))?;
    Ok(path.to_owned())
}

fn not_written(path: &Path, error: io::Error) -> Failure {
    Failure::usage(format!("{}: {error}", path.shown()))
}
