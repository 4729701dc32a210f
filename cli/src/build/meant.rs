//! The kernel that the arguments of a verb mean, built and checked, with the options of its boot.

use std::env;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::boot::boot_options::BootOptions;
use crate::boot::preflight;
use crate::boot::settings::Settings;
use crate::build::cargo_args::CargoArguments;
use crate::build::compile;
use crate::build::mode::Mode;
use crate::build::program::{Kernel, Program};
use crate::build::workspace::Workspace;
use crate::image::bootable;
use crate::status::Failure;

/// Whether this can be booted so.
pub fn look(image: &Path, options: &BootOptions, matches: &ArgMatches) -> Result<(), Failure> {
    bootable::check(image)?.must_fit(options.memory_mib.value)?;
    preflight::before_boot(image, matches)
}

/// What the arguments of a verb mean.
pub enum Meant {
    /// A file, of which nothing else is known.
    Image(PathBuf),
    Kernel(Box<Workspace>, Kernel),
}

impl Meant {
    pub fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        if let Some(path) = matches.get_one::<PathBuf>("elf") {
            return Ok(Self::Image(path.clone()));
        }
        let arguments = CargoArguments::of(matches);
        let workspace = Workspace::read(&arguments, matches.get_flag("verbose"))?;
        let package = matches.get_one::<String>("package").map(String::as_str);
        let kernel =
            workspace.kernel(package, Program::of(matches).as_ref(), &here(&arguments)?)?;
        Ok(Self::Kernel(Box::new(workspace), kernel))
    }

    /// `settings` are a file's, of which no manifest is known here.
    pub fn options(
        &self,
        matches: &ArgMatches,
        settings: &Settings,
    ) -> Result<BootOptions, Failure> {
        let options = match self {
            Self::Image(_) => BootOptions::new(matches, settings)?,
            Self::Kernel(workspace, kernel) => {
                BootOptions::new(matches, &workspace.settings(&kernel.package)?)?
            }
        };
        if matches.get_flag("verbose") {
            options.tell();
        }
        Ok(options)
    }

    /// The file, built if it is not named.
    pub fn image(&self, matches: &ArgMatches) -> Result<PathBuf, Failure> {
        let (workspace, kernel) = match self {
            Self::Image(path) => return Ok(path.clone()),
            Self::Kernel(workspace, kernel) => (workspace, kernel),
        };
        let folder = &workspace.target_directory;
        let mode = Mode::of(matches, folder)?;
        compile::build(kernel, &mode, folder, matches.get_flag("verbose"))
    }
}

/// The image that the arguments of a verb name, built if it is not there, and looked at; and how it is to be booted.
pub fn built(matches: &ArgMatches) -> Result<(PathBuf, BootOptions), Failure> {
    let meant = Meant::of(matches)?;
    let options = meant.options(matches, &Settings::default())?;
    let image = meant.image(matches)?;
    look(&image, &options, matches)?;
    Ok((image, options))
}

/// The image of the kernel that the arguments of a verb mean, built.
pub fn build(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    Meant::of(matches)?.image(matches)
}

/// The folder the user stands in, or the one of the manifest that is named.
pub fn here(arguments: &CargoArguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = arguments.manifest_folder() {
        return Ok(folder);
    }
    env::current_dir().map_err(|error| Failure::usage(format!("the current directory: {error}")))
}
