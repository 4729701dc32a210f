//! Each crate's README: the files that it shows are built in an empty folder.
//!
//! A recipe is the code blocks of a README that follow a line with a file's name. Only the paths of the kit's crates are added:
//! the crates are not published.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freestone_tests::{Ended, MACHINES, Scratch, boot, cargo, root, run, status, target, tool};

/// The crates that are linked into a kernel with boot code of its own.
const ALONE: [&str; 6] = ["alloc-glue", "math", "mem", "rt", "targets", "xen"];

/// The files that the README of the crate in `folder` shows.
fn files(folder: &str) -> Vec<(String, String)> {
    let path = root().join(folder).join("README.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut files = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        let (Some(name), Some(fence)) = (name, lines.peek()) else { continue };
        if fence.starts_with("```") {
            let code = lines.by_ref().skip(1).take_while(|line| *line != "```");
            files.push((name.to_owned(), code.map(|line| format!("{line}\n")).collect()));
        }
    }
    files
}

/// The folder of a crate of the kit.
fn folder_of(package: &str) -> PathBuf {
    root().join(match package {
        "freestone" => "freestone",
        "freestone-alloc" => "alloc-glue",
        other => other.strip_prefix("freestone-").unwrap_or_else(|| panic!("not ours: {other}")),
    })
}

/// A manifest as shown, with the kit from this repository.
fn with_paths(manifest: &str) -> String {
    let line = |line: &str| {
        let (name, version) = line.split_once(" = ").unwrap_or((line, ""));
        if !name.starts_with("freestone") || !version.contains("\"0.1\"") {
            return format!("{line}\n");
        }
        let path = format!("path = {:?}", folder_of(name).display().to_string());
        let here = match version {
            "\"0.1\"" => format!("{{ {path} }}"),
            table => table.replace("version = \"0.1\"", &path),
        };
        format!("{name} = {here}\n")
    };
    manifest.lines().map(line).collect()
}

/// The recipes share a target folder, and most of them a name: one is built, and booted, at a time.
static TURN: Mutex<()> = Mutex::new(());

/// An empty folder with a README's recipe in it.
struct Recipe {
    files: Scratch,
    _turn: MutexGuard<'static, ()>,
}

fn recipe(folder: &str) -> Recipe {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new(&format!("readme-{folder}"));
    let files = files(folder);
    assert!(files.iter().any(|(name, _)| name == "Cargo.toml"), "{folder} shows no manifest");
    for (name, content) in &files {
        let is_manifest = name == "Cargo.toml";
        scratch.write(name, &if is_manifest { with_paths(content) } else { content.clone() });
    }
    Recipe { files: scratch, _turn: turn }
}

fn shared_target() -> PathBuf {
    target().join("readmes")
}

/// Plain cargo, into a target folder that all recipes share.
fn build(recipe: &Recipe, arguments: &[&str]) -> Ended {
    let mut command = cargo(recipe.files.path());
    command.args(["build", "--quiet", "--target-dir"]).arg(shared_target());
    run(command.args(arguments))
}

#[track_caller]
fn builds(recipe: &Recipe) {
    for arguments in [&[][..], &["--release"]] {
        let built = build(recipe, arguments);
        assert_eq!(built.status, Some(0), "{arguments:?}\n{built}");
        assert_eq!(built.stderr, "", "{arguments:?}: a warning\n{built}");
    }
}

#[test]
fn what_is_taken_alone_links_alone() {
    for folder in ALONE {
        println!("{folder}");
        builds(&recipe(folder));
    }
}

/// What the READMEs say is missing without the lines that they ask for.
#[test]
fn without_a_line_of_the_recipe_the_linker_names_what_is_missing() {
    const PERSONALITY: &str = "/// `core` is compiled for unwinding and names this; a kernel that aborts never calls it.\n#[unsafe(no_mangle)]\nextern \"C\" fn rust_eh_personality() {}\n";
    const MEMORY: &str = "use freestone_mem as _;";
    const SHIMS: &str = "freestone_rt::runtime!(exit = halt);";
    for (folder, line, instead, missing) in [
        ("mem", PERSONALITY, "", "rust_eh_personality"),
        ("mem", MEMORY, "", "memset"),
        ("math", SHIMS, "freestone_rt::panic_handler!(exit = halt);", "rust_eh_personality"),
        ("alloc-glue", MEMORY, "", "mem"),
        ("alloc-glue", SHIMS, "freestone_rt::panic_handler!(exit = halt);", "rust_eh_personality"),
    ] {
        let recipe = recipe(folder);
        let path = recipe.files.path().join("src/main.rs");
        let main = fs::read_to_string(&path).expect("shown");
        assert!(main.contains(line), "{folder} shows no {line}");
        recipe.files.write("src/main.rs", &main.replace(line, instead));
        let built = build(&recipe, &[]);
        assert_ne!(built.status, Some(0), "{folder} without {line}");
        let said = format!("undefined symbol: {missing}");
        assert!(built.stderr.contains(&said), "{folder} without {line}\n{built}");
    }
}

#[test]
fn kernels_that_the_platform_boots_boot() {
    for (folder, said) in [("freestone", "hello from QEMU TCG"), ("platform", "0x")] {
        let recipe = recipe(folder);
        builds(&recipe);
        for profile in ["debug", "release"] {
            let image = shared_target().join(profile).join("my-kernel");
            for machine in MACHINES {
                boot(&image, &["--machine", machine]).expect(status::SUCCESS, &[said]);
            }
        }
    }
}

#[test]
fn the_harness_tests_what_its_readme_tests() {
    let recipe = recipe("harness");
    let mut command = tool();
    command.current_dir(recipe.files.path()).env("CARGO_TARGET_DIR", shared_target());
    let ended = run(command.arg("test"));
    assert_eq!(ended.status, Some(status::SUCCESS), "{ended}");
    for line in [
        "an_index_is_checked ... ok",
        "may_return_a_result ... ok",
        "sums_are_right ... ok",
        "takes_an_hour ... ignored",
        "3 passed; 0 failed; 1 ignored",
    ] {
        assert!(ended.stdout.contains(line), "no {line:?}\n{ended}");
    }
}

#[test]
fn the_check_of_ones_own_reads_a_kernel() {
    let kernel = recipe("freestone");
    builds(&kernel);
    let image = fs::read(shared_target().join("release/my-kernel")).expect("built");
    drop(kernel);
    let recipe = recipe("inspect");
    builds(&recipe);
    // Where its own target folder would be.
    let place = recipe.files.path().join("target/release");
    fs::create_dir_all(&place)
        .and_then(|()| fs::write(place.join("my-kernel"), image))
        .expect("written");
    let mut program = Command::new(shared_target().join("debug/my-check"));
    let ended = run(program.current_dir(recipe.files.path()));
    assert_eq!(ended.status, Some(0), "{ended}");
    recipe.files.remove("target/release/my-kernel");
    let ended = run(&mut program);
    assert_eq!(ended.status, Some(1), "{ended}");
}

#[test]
fn every_module_of_the_facade_has_an_example_that_is_compiled() {
    let facade = fs::read_to_string(root().join("freestone/src/lib.rs")).expect("here");
    let (_, list) =
        facade.split_once("    BootInfo, Exit, Signal, ").expect("the platform's modules");
    let (list, _) = list.split_once("\n}").expect("an end");
    let modules = list.split(',').map(|name| format!("platform/src/{}", name.trim()));
    let others = ["platform/src/x86_64/trap/traps", "platform/src/signal", "freestone/src/heap"]
        .map(str::to_owned);
    let mut count = 0;
    for module in modules.filter(|name| !name.ends_with('/')).chain(others) {
        let file = root().join(format!("{module}.rs"));
        let file = if file.exists() { file } else { root().join(format!("{module}/mod.rs")) };
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let page: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let is_compiled = page.iter().any(|line| ["//! ```", "//! ```no_run"].contains(line));
        assert!(is_compiled, "{module} has no example on its page");
        count += 1;
    }
    assert!(count >= 10, "only {count} modules were found");
}
