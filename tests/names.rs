//! Names in backtraces: the table against the symbols that it was made from, and the reports that show the names.

use std::fs;

use freestone_inspect::File;
use freestone_rt::symbols::{MAGIC, Symbols};
use freestone_tests::sysroot::sysroot;
use freestone_tests::{Profile, Scratch, boot, cargo, kernel, root, run, status, target, tool};

#[test]
fn every_function_of_an_image_is_found_under_its_name() {
    let scratch = Scratch::new("names");
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("example-kernel", "example-kernel", profile);
        let named = scratch.path().join("named");
        let made = run(tool().arg("names").arg(&image).arg("-o").arg(&named));
        assert_eq!(made.status, Some(status::SUCCESS), "{made}");
        let bytes = fs::read(&named).expect("it was written");
        let at = bytes.windows(MAGIC.len()).rposition(|window| window == MAGIC).expect("a table");
        let symbols = Symbols::new(&bytes[at..]).expect("a good table");

        let file = File::open(&image).expect("an ELF file");
        let object = file.object().expect("one object");
        let mut checked = 0;
        for function in object.functions() {
            let at = function.address;
            let found = symbols.find(at).unwrap_or_else(|| panic!("nothing at {at:#x}"));
            // Several functions may have been folded into one: any of their names is right. Long ones
            // are cut.
            let found = (found.to_string(), found.offset);
            let mut names = function.names().map(freestone_inspect::names::demangled);
            let is_one = names.any(|name| name.starts_with(&found.0));
            assert!(is_one && found.1 == 0, "{found:?} at {at:#x}: {}", function.name);
            checked += 1;
        }
        assert!(checked > 100, "only {checked} functions");
    }
}

#[test]
fn reports_have_names_through_core() {
    let scratch = Scratch::new("names-in-reports");
    let mut command = cargo(root());
    command.env("RUSTFLAGS", "-Cforce-frame-pointers=yes");
    command.args(["build", "--quiet", "-p", "kernel-faults", "--target-dir"]);
    let built = run(command.arg(scratch.path()));
    assert_eq!(built.status, Some(0), "{built}");
    let boot =
        |name: &str, arguments: &[&str]| boot(&scratch.path().join("debug").join(name), arguments);
    boot("panic", &[]).expect(
        status::CRASH,
        &[
            "KERNEL PANIC",
            " core::panicking::panic_fmt+",
            "library/core/src/panicking.rs:",
            " panic::main+",
            " (tests/kernels/faults/src/bin/panic.rs:10)",
            "::boot+",
            " (platform/src/boot.rs:",
        ],
    );
    boot("page_fault", &[]).expect(
        status::CRASH,
        &[
            "EXCEPTION: page fault",
            // Compiled into the function that is next.
            "  in   0x",
            " core::ptr::read_volatile (library/core/src/ptr/mod.rs:",
            "  at   0x",
            "::read_volatile+",
            " page_fault::main+",
            "src/bin/page_fault.rs:",
        ],
    );
    // The heap of a debug build finds misuse, and says who allocated and who freed the block.
    let misuse = |how: &str, texts: &[&str]| {
        boot("heap_misuse", &["--", how]).expect(
            status::CRASH,
            &[&["KERNEL PANIC", "heap misuse at 0x"], texts, &["heap_misuse::end+"]].concat(),
        );
    };
    let bytes = "; 100 bytes, alignment 4";
    misuse(
        "double free",
        &["freed twice", bytes, "  freed\n", " heap_misuse::take_back+", " heap_misuse::main+"],
    );
    misuse(
        "overflow",
        &["bytes behind its end are overwritten", bytes, "  allocated\n", " heap_misuse::give+"],
    );
    misuse(
        "wrong layout",
        &[
            "; 104 bytes",
            "it was allocated with 100 bytes, alignment 4",
            "  allocated\n",
            " heap_misuse::give+",
        ],
    );
    misuse("foreign pointer", &["not a block of this heap", bytes, " heap_misuse::take_back+"]);
    boot("heap_misuse", &[]).expect(status::SUCCESS, &[]);
    boot("named_stack", &[]).expect(
        status::CRASH,
        &["STACK OVERFLOW: the worker stack", "  at   0x", " named_stack::deeper+"],
    );
    let hung = boot("hang", &["--timeout", "2"]).expect(status::TIMEOUT, &["the last words"]);
    let (_, trace) = hung.stderr.split_once("the processor was\n  at   0x").expect("a place");
    for text in
        [" hang::main+", "src/bin/hang.rs:", "\n  from 0x", "freestone_platform::boot::boot+"]
    {
        assert!(trace.contains(text), "{text}\n{hung}");
    }
    // Without the table the tool knows the names.
    let plain = boot("panic", &["--no-names"]);
    plain.expect(status::CRASH, &["\n  from 0x", " panic::main+"]);
}

/// Plain builds keep no frame pointers; who called is found on the stack.
#[test]
fn where_a_kernel_hangs_is_told_in_every_mode_and_profile() {
    let mut images = vec![
        (kernel("kernel-faults", "hang", Profile::Dev), "hang::main+"),
        (kernel("kernel-faults", "hang", Profile::Release), "hang::freestone_main+"),
    ];
    if sysroot("x86_64-unknown-none").is_some() {
        for (profile, folder, name) in
            [("dev", "debug", "hang::main+"), ("release", "release", "hang::freestone_main+")]
        {
            let mut build = tool();
            build.args(["run", "--mode", "none", "-p", "kernel-faults", "--bin", "hang"]);
            if profile == "release" {
                build.arg("--release");
            }
            run(build.args(["--timeout", "1"])).expect(status::TIMEOUT, &["the last words"]);
            images.push((target().join("x86_64-unknown-none").join(folder).join("hang"), name));
        }
    }
    for (image, name) in images {
        let hung = boot(&image, &["--timeout", "1"]).expect(status::TIMEOUT, &["the last words"]);
        let (_, trace) = hung.stderr.split_once("the processor was\n  at   0x").expect("a place");
        let (place, callers) = trace.split_once("called by some of these").expect("callers");
        assert!(place.contains(name), "{hung}");
        assert!(callers.contains("  from 0x"), "{hung}");
        assert!(callers.contains(" freestone_platform::boot::boot+"), "{hung}");
    }
}

#[test]
fn a_stripped_image_has_addresses() {
    let scratch = Scratch::new("names-stripped");
    let mut command = cargo(root());
    command.args(["build", "--quiet", "-p", "kernel-faults", "--bin", "panic"]);
    command.args(["--config", "profile.dev.strip=true", "--target-dir"]).arg(scratch.path());
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{built}");
    let image = scratch.path().join("debug/panic");
    let plain = boot(&image, &[]).expect(status::CRASH, &["KERNEL PANIC"]);
    assert!(!plain.stdout.contains("panic::main"), "{plain}");
    let refused = run(tool().arg("names").arg(&image)).expect(status::USAGE, &[]);
    assert!(refused.stderr.contains("build it without `strip`"), "{refused}");
}
