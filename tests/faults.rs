//! Kernels that fail: each must end with its report and its status, never in silence.

use std::time::{Duration, Instant};

use freestone_tests::{MACHINES, Profile, Scratch, boot, cargo, kernel, root, run, status};

/// Runs one of the kernels in `kernels/faults` in both profiles.
#[track_caller]
fn check(name: &str, expected: i32, texts: &[&str]) {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-faults", name, profile);
        boot(&image, &["--timeout", "30"]).expect(expected, texts);
    }
}

#[test]
fn a_panic_tells_where_and_why() {
    check(
        "panic",
        status::CRASH,
        &["KERNEL PANIC at tests/kernels/faults/src/bin/panic.rs:", "the answer is 54"],
    );
}

#[test]
fn a_panic_inside_a_panic_message_still_ends() {
    check(
        "panic_in_message",
        status::CRASH,
        &["KERNEL PANIC", "the first panic", "PANIC WHILE PANICKING", "the second panic"],
    );
}

#[test]
fn a_panic_while_the_console_is_locked_still_prints() {
    check(
        "panic_while_printing",
        status::CRASH,
        &["half a line, ", "KERNEL PANIC at", "inside print"],
    );
}

#[test]
fn an_unmapped_read_is_decoded() {
    check(
        "page_fault",
        status::CRASH,
        &[
            "EXCEPTION: page fault (#PF), vector 14, at 0x00000000001",
            "reading 0x0000456789abcd00: nothing is mapped there",
            "rax ",
            "cr3 ",
            "backtrace",
            "at   0x00000000001",
        ],
    );
}

#[test]
fn a_null_pointer_is_called_one() {
    check(
        "null_pointer",
        status::CRASH,
        &["page fault", "writing 0x0000000000000010: nothing is mapped there", "a null pointer"],
    );
}

#[test]
fn code_is_read_only() {
    check(
        "write_to_text",
        status::CRASH,
        &["page fault", "writing 0x", "the page is read-only", "in the kernel's code"],
    );
}

#[test]
fn variables_are_not_executable() {
    check(
        "execute_data",
        status::CRASH,
        &["page fault", "executing 0x", "the page is not executable", "variables and stacks"],
    );
}

#[test]
fn a_stack_overflow_names_the_stack() {
    check(
        "stack_overflow",
        status::CRASH,
        &[
            "page fault",
            "STACK OVERFLOW: the boot stack ran into its guard page",
            "it has 256 KiB; more: entry!(main, stack: BYTES), KernelStack::run",
        ],
    );
}

#[test]
fn a_stack_made_later_has_its_guard_page_and_its_name() {
    check(
        "named_stack",
        status::CRASH,
        &[
            "page fault",
            "STACK OVERFLOW: the worker stack ran into its guard page",
            "it has 20 KiB; more: KernelStack::run\n",
        ],
    );
}

#[test]
fn large_statics_do_not_swallow_the_guard_pages() {
    check(
        "large_image",
        status::CRASH,
        &["page fault", "STACK OVERFLOW: the boot stack ran into its guard page"],
    );
}

#[test]
fn heap_exhaustion_is_reported_and_then_a_panic() {
    // In a debug build the heap has 24 bytes around each block, to find misuse.
    for (profile, bytes) in [(Profile::Dev, "1099511627800"), (Profile::Release, "1099511627776")] {
        let image = kernel("kernel-faults", "heap_exhaustion", profile);
        boot(&image, &["--timeout", "30"]).expect(
            status::CRASH,
            &[
                &format!("heap exhausted: no room for {bytes} bytes"),
                "a terabyte was refused",
                "KERNEL PANIC",
                "memory allocation of",
            ],
        );
    }
}

#[test]
fn a_handler_that_wants_memory_in_the_midst_of_the_heaps_work_is_reported() {
    // Where there is debugging information, the function that was inlined is named; else the one it is in.
    for (profile, place) in
        [(Profile::Dev, "handler_interrupted_the_heap"), (Profile::Release, "heap::Heap")]
    {
        let image = kernel("kernel-faults", "heap_in_handler", profile);
        let texts = ["invalid opcode (#UD)", place];
        boot(&image, &["--timeout", "20"]).expect(status::CRASH, &texts);
    }
}

#[test]
fn a_fault_inside_a_handler_is_reported_as_such() {
    check(
        "fault_in_handler",
        status::CRASH,
        &[
            "page fault",
            "raised inside an exception handler",
            "reading 0x0000456789abcd00",
            // The trace crosses from the handler's stack to the interrupted one.
            "from 0x",
        ],
    );
}

#[test]
fn endless_faults_end_in_a_double_fault() {
    check(
        "endless_faults",
        status::CRASH,
        &[
            "double fault (#DF)",
            "STACK OVERFLOW: the twice nested exception stack",
            "it has 16 KiB; more: KernelStack::run\n",
        ],
    );
}

#[test]
fn a_handler_that_needs_too_much_stack_hits_its_own_guard() {
    check(
        "large_handler",
        status::CRASH,
        &[
            "page fault (#PF)",
            "STACK OVERFLOW: the nested exception stack",
            "it has 16 KiB; more: KernelStack::run\n",
        ],
    );
}

#[test]
fn an_undeliverable_exception_is_a_double_fault() {
    check(
        "double_fault",
        status::CRASH,
        &["double fault (#DF)", "an exception could not be delivered"],
    );
}

#[test]
fn a_triple_fault_is_a_crash_not_a_success() {
    check("triple_fault", status::CRASH, &["about to reset"]);
}

#[test]
fn failure_is_told_from_crash() {
    check("failure", status::FAILURE, &["it did not work out"]);
}

#[test]
fn a_hang_ends_at_the_timeout_with_its_last_words() {
    let image = kernel("kernel-faults", "hang", Profile::Dev);
    let start = Instant::now();
    let ended = boot(&image, &["--timeout", "2"]).expect(status::TIMEOUT, &["the last words"]);
    assert!(ended.stderr.contains("the last words"), "not repeated in the message: {ended}");
    let took = start.elapsed();
    // As much more as a busy machine may need; without a limit the kernel would hang for ever.
    assert!(took < Duration::from_secs(300), "a timeout of 2 s took {took:?}");
}

#[test]
fn frame_pointers_make_the_trace_complete() {
    let scratch = Scratch::new("frame-pointers");
    let mut command = cargo(root());
    command.env("RUSTFLAGS", "-Cforce-frame-pointers=yes");
    command.args(["build", "--quiet", "-p", "kernel-faults", "--bin", "panic", "--target-dir"]);
    let built = run(command.arg(scratch.path()));
    assert_eq!(built.status, Some(0), "{built}");
    let ended = boot(&scratch.path().join("debug/panic"), &[]);
    let ended = ended.expect(status::CRASH, &["KERNEL PANIC"]);
    let frames = ended.stdout.matches("\n  from 0x").count();
    // core's panic function, main, what entry! put around it, boot, the entry code.
    assert!(frames >= 5, "only {frames} frames: {ended}");
}

#[test]
fn a_bad_page_table_is_seen_at_the_end() {
    const FOUND: &str = "AUDIT AT EXIT: the page at 0x";
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-faults", "bad_table", profile);
        boot(&image, &[])
            .expect(status::FAILURE, &["is executable", FOUND, "writable and executable"]);
        boot(&image, &["--", "crash"]).expect(status::CRASH, &["KERNEL PANIC", FOUND]);
    }
}

#[test]
fn every_kernel_of_entry_here_looks_at_its_page_tables_at_the_end() {
    let mut folders = vec![root().join("tests/kernels"), root().join("example-kernel/src")];
    let mut kernels = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let is_kernel = text.contains("freestone::entry!(");
                let looks = text.contains("audit: exit");
                assert!(!is_kernel || looks, "{name}: entry! without `audit: exit`");
                kernels += usize::from(is_kernel);
            }
        }
    }
    assert!(kernels > 30, "{kernels}");
}

#[test]
fn a_processor_that_cannot_is_told_by_what_it_lacks() {
    let image = kernel("kernel-hello", "kernel-hello", Profile::Release);
    for (processor, missing) in [
        ("486", "SSE2, PAE or cycle counter"),
        ("pentium3", "SSE2, PAE or cycle counter"),
        ("qemu64,-pae", "SSE2, PAE or cycle counter"),
        ("qemu32", "64-bit mode"),
        ("qemu64,-lm", "64-bit mode"),
        ("qemu64,-nx", "no-execute pages"),
    ] {
        for machine in MACHINES {
            let arguments =
                ["--machine", machine, "--qemu-arg=-cpu", &format!("--qemu-arg={processor}")];
            let text = format!(
                "freestone cannot boot: this processor has no {missing} (QEMU: -cpu max)\n"
            );
            boot(&image, &arguments).expect(status::CRASH, &[&text]);
        }
    }
    // The least that it takes.
    boot(&image, &["--qemu-arg=-cpu", "--qemu-arg=qemu64"]).expect(status::SUCCESS, &["Hello"]);
    // The debug port says it too.
    let arguments = [
        "--qemu-arg=-cpu",
        "--qemu-arg=qemu32",
        "--qemu-arg=-debugcon",
        "--qemu-arg=file:/dev/stderr",
    ];
    let ended = boot(&image, &[&arguments[..], &["--verbose"]].concat()).expect(status::CRASH, &[]);
    assert!(ended.stderr.contains("this processor has no 64-bit mode"), "{ended}");
}
