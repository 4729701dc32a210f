//! `--open`: a browser for the page that a kernel serves, as soon as it answers.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction};

use crate::boot::forward::Forward;
use crate::say;
use crate::status::Failure;

/// How long a kernel may take until it answers, and an answer.
const LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

pub fn arg() -> Arg {
    Arg::new("open").long("open").action(ArgAction::SetTrue).help(
        "Open the page that the kernel serves on port 80, by $BROWSER or the system's browser",
    )
}

/// The port that leads to the page; 0 if nobody waits for it. QEMU may be started again with another one.
static PORT: AtomicU16 = AtomicU16::new(0);

/// Waits, beside all else, until the page is served, and opens it then. A second call corrects the port.
///
/// # Errors
///
/// If none of the forwards leads to a page.
pub fn open(forwards: &[Forward]) -> Result<(), Failure> {
    let page = forwards.iter().find(|forward| forward.is_page()).ok_or_else(|| {
        Failure::usage(
            "--open: no port of the host's leads to the guest's port 80; --forward 8080:80 makes one".to_owned(),
        )
    })?;
    if PORT.swap(page.host, Ordering::Relaxed) == 0 {
        thread::spawn(wait);
    }
    Ok(())
}

fn wait() {
    let end = Instant::now() + LIMIT;
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], PORT.load(Ordering::Relaxed)));
        if answers(address).unwrap_or(false) {
            return show(&format!("http://{address}/"));
        }
        if Instant::now() > end {
            return say!("--open: no answer from http://{address}/");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a server answers there. QEMU takes connections before the guest does.
fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "HEAD / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut begin = [0; 5];
    stream.read_exact(&mut begin)?;
    Ok(begin == *b"HTTP/")
}

fn show(page: &str) {
    let system = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let browser = env::var_os("BROWSER").filter(|name| !name.is_empty());
    let mut command = Command::new(browser.unwrap_or_else(|| system.into()));
    // It outlives the kernel: a group of its own gets no Ctrl-C.
    command.arg(page).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        say!(
            "--open: {} does not start: {error}; the page is {page}",
            command.get_program().display()
        );
    }
}
