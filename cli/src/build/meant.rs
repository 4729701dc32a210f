//! The kernel that the arguments of a verb mean, built and checked, with the options of its boot.

use std::env;
use std::path::{Path, PathBuf};

use crate::boot::boot_args::BootArgs;
use crate::boot::boot_options::BootOptions;
use crate::boot::preflight;
use crate::boot::settings::Settings;
use crate::build::build_args::{How, Which};
use crate::build::cargo_args::CargoArguments;
use crate::build::compile;
use crate::build::mode::Mode;
use crate::build::program::Kernel;
use crate::build::workspace::Workspace;
use crate::image::bootable;
use crate::status::Failure;

/// Whether this can be booted so.
pub fn look(image: &Path, given: &BootArgs, options: &BootOptions) -> Result<(), Failure> {
    bootable::check(image)?.must_fit(options.memory_mib.value)?;
    if given.no_check { Ok(()) } else { preflight::before_boot(image) }
}

/// What the arguments of a verb mean.
pub enum Meant {
    /// A file, of which nothing else is known.
    Image(PathBuf),
    Kernel(Box<Workspace>, Kernel),
}

impl Meant {
    pub fn of(which: &Which, verbose: bool) -> Result<Self, Failure> {
        let Which { elf, package, program, how } = which;
        if let Some(path) = elf {
            return Ok(Self::Image(path.clone()));
        }
        let workspace = Workspace::read(&how.cargo, verbose)?;
        let kernel = workspace.kernel(package.as_deref(), program.as_ref(), &here(&how.cargo)?)?;
        Ok(Self::Kernel(Box::new(workspace), kernel))
    }

    /// `settings` are a file's, of which no manifest is known here.
    pub fn options(
        &self,
        given: &BootArgs,
        settings: &Settings,
        verbose: bool,
    ) -> Result<BootOptions, Failure> {
        let options = match self {
            Self::Image(_) => BootOptions::new(given, settings)?,
            Self::Kernel(workspace, kernel) => {
                BootOptions::new(given, &workspace.settings(&kernel.package)?)?
            }
        };
        if verbose {
            options.tell();
        }
        Ok(options)
    }

    /// The file, built if it is not named.
    pub fn image(&self, how: &How, verbose: bool) -> Result<PathBuf, Failure> {
        let (workspace, kernel) = match self {
            Self::Image(path) => return Ok(path.clone()),
            Self::Kernel(workspace, kernel) => (workspace, kernel),
        };
        let folder = &workspace.target_directory;
        let mode = Mode::of(how, folder, verbose)?;
        compile::build(kernel, &mode, folder, verbose)
    }
}

/// The image that is meant, built if it is not there, and looked at; and how it is to be booted.
pub fn built(
    which: &Which,
    given: &BootArgs,
    verbose: bool,
) -> Result<(PathBuf, BootOptions), Failure> {
    let meant = Meant::of(which, verbose)?;
    let options = meant.options(given, &Settings::default(), verbose)?;
    let image = meant.image(&which.how, verbose)?;
    look(&image, given, &options)?;
    Ok((image, options))
}

/// The image that is meant, built if it is not there.
pub fn build(which: &Which, verbose: bool) -> Result<PathBuf, Failure> {
    Meant::of(which, verbose)?.image(&which.how, verbose)
}

/// The folder the user stands in, or the one of the manifest that is named.
pub fn here(arguments: &CargoArguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = arguments.manifest_folder() {
        return Ok(folder);
    }
    env::current_dir().map_err(|error| Failure::usage(format!("the current directory: {error}")))
}
