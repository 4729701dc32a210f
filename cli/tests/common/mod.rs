//! Helpers that the tests share: the tool, a stub kernel, fake QEMUs, and a search for processes and files that are left over.

#![allow(dead_code, reason = "every test file uses its own part of this")]

pub mod workspace;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The tool, with nothing inherited that would change its ways.
pub fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-freestone"));
    command.stdin(Stdio::null());
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    // Who runs the tests by nohup or as a job in the background has them ignore signals, and the tool with them.
    let heed_signals = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
            // SAFETY: two integers; the default action is one that every signal may have.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: it runs between fork and exec, and makes system calls only.
    unsafe { command.pre_exec(heed_signals) };
    command
}

/// `tool run STUB -- LETTER`, on a QEMU that is known to be there.
pub fn boot(letter: &str, options: &[&str]) -> Command {
    require_qemu();
    let mut command = tool();
    command.arg("run").arg(stub()).args(options).args(["--", letter]);
    command
}

/// Fails, rather than skips: a green run must mean that kernels were booted.
pub fn require_qemu() {
    let name = std::env::var("FREESTONE_QEMU").unwrap_or("qemu-system-x86_64".into());
    let found = Command::new(&name).arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "these tests boot kernels and need QEMU: install qemu-system-x86, or set FREESTONE_QEMU"
    );
}

/// A fresh folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(concat!(env!("CARGO_CRATE_NAME"), "-tests"))
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// The stub kernel, assembled once per test program.
pub fn stub() -> &'static Path {
    static STUB: OnceLock<PathBuf> = OnceLock::new();
    STUB.get_or_init(|| stub_with(&folder("stub").join("stub, with commas"), ""))
}

/// The stub kernel with more assembly, at this path.
pub fn stub_with(image: &Path, more: &str) -> PathBuf {
    let source = image.with_extension("s");
    let text = include_str!("../stub.s").to_owned() + more;
    fs::write(&source, text).expect("a source");
    let status = Command::new("cc")
        .args([
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,-Ttext=0x100000,--build-id=none,-z,noexecstack",
        ])
        .arg("-o")
        .args([image, &source])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "cc cannot build the stub kernel");
    image.into()
}

/// An executable script.
pub fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable script");
}

/// What a run left: status, stdout, stderr.
pub struct Seen {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs to the end. A death by signal has no status and fails the test.
pub fn see(command: &mut Command) -> Seen {
    seen(command.output().expect("the tool starts"))
}

/// The same for a child that runs already.
pub fn seen(output: Output) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let status = output.status.code();
    let status = status.unwrap_or_else(|| panic!("{:?}\n{stdout}\n{stderr}", output.status));
    Seen { status, stdout, stderr }
}

impl Seen {
    /// Checks the status and shows everything if it is another.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Checks that stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in\n--- stderr\n{}", self.stderr);
        self
    }
}

/// Sends a signal by name.
pub fn send(signal: &str, process: u32) {
    let status =
        Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {process}")]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{signal} {process}");
}

/// For what takes a moment, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until `what` holds, with [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process id that a script has written.
#[track_caller]
pub fn process_in(file: &Path) -> u32 {
    let read =
        || fs::read_to_string(file).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    eventually("a process id was written", || read().is_some());
    read().expect("just read")
}

/// Whether the process runs; a zombie, which its parent has still to reap, does not.
pub fn is_alive(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
    state != Some(b'Z')
}

/// Starts the tool with pipes for its output.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts")
}
