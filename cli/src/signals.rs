//! Signals that tell the tool to stop: it stops its child first if it watches one, else it ends at once.
//!
//! | what the tool does | SIGINT, SIGTERM, SIGHUP and SIGQUIT |
//! |---|---|
//! | watches a child | are noted; [`supervise`](crate::supervise) stops the child, and the verb says what there is to say |
//! | watches a kernel that ends by Ctrl-C | have the kernel asked for that; its verdict counts |
//! | anything else: computes, reads, writes, waits | end it in the handler |
//! | is ending already | end it in the handler, if they come again or if it takes longer than [`ORDER_SECONDS`] |
//!
//! Either way children end with it, what is [`unfinished`] is removed, and the status is 128 and the signal's number.
//! An end in the handler is possible at any moment: [`guard::sweep`] and [`unfinished::remove_files`] make system calls only.
//!
//! For a child that is watched the handler does as little as can be done: it stores the number, poll(2) returns with EINTR
//! (it is never restarted), the loop sees the number. A signal that comes between the check and the poll waits for the
//! next turn. A pipe to self would save that and cost a file descriptor and a handler that has to rescue `errno`.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, Ordering};

use crate::guard;
use crate::unfinished;

/// The signals that tell the tool to stop.
pub const STOPPING: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// How long an end in order may take: a child that was asked to stop has five seconds, a hung kernel that is asked where
/// it hangs two.
const ORDER_SECONDS: u32 = 12;

/// Signals so soon one after the other are one: a terminal and timeout(1) send theirs to all processes of a group, and
/// the guard passes its own on.
const SAME_MS: i64 = 200;

/// The first signal that told the tool to stop, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// When that was.
static WHEN_MS: AtomicI64 = AtomicI64::new(0);

/// How many are here to end in order.
static ATTENDED: AtomicU32 = AtomicU32::new(0);

extern "C" fn told(signal: c_int) {
    let is_first = CAUGHT.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if is_first {
        WHEN_MS.store(now_ms(), Ordering::Relaxed);
        if ATTENDED.load(Ordering::Relaxed) > 0 {
            // SAFETY: takes an integer.
            unsafe { libc::alarm(ORDER_SECONDS) };
            return;
        }
    } else if now_ms() - WHEN_MS.load(Ordering::Relaxed) < SAME_MS {
        return;
    }
    end();
}

extern "C" fn is_late(_: c_int) {
    end();
}

/// Ends the process from wherever it is.
fn end() -> ! {
    guard::sweep();
    unfinished::remove_files();
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(128 + CAUGHT.load(Ordering::Relaxed)) }
}

fn now_ms() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing. This clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

extern "C" fn wake(_: c_int) {}

/// From here on signals end the tool as it says above.
pub fn watch() {
    for signal in STOPPING {
        // nohup and background jobs of plain shells ignore some signals for their children's
        // sake; that wish stands.
        if !is_ignored(signal) {
            handle(signal, told);
        }
    }
    handle(libc::SIGALRM, is_late);
    // Without a handler poll(2) would sleep through the end of a child. An inherited "ignore"
    // would be worse: the kernel would reap children behind our back.
    handle(libc::SIGCHLD, wake);
    // A file that is larger than it may be is then an error like a full disk.
    handle(libc::SIGXFSZ, wake);
    let_in();
}

/// Keeps those signals waiting until [`let_in`], over a fork too.
pub fn hold() {
    mask(libc::SIG_BLOCK);
}

/// Lets them in, also if who started the tool kept them out.
pub fn let_in() {
    mask(libc::SIG_UNBLOCK);
}

fn mask(how: c_int) {
    // SAFETY: all-zero bytes are a valid `sigset_t`, integers, which sigemptyset makes an empty one; the others get
    // signals that exist. A null old mask asks for no answer.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in STOPPING.into_iter().chain([libc::SIGALRM]) {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Whether who started the tool wants it to ignore the signal.
pub fn is_ignored(signal: c_int) -> bool {
    // SAFETY: all-zero bytes are a valid `sigaction`, a C struct of integers and a nullable pointer.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; `old` is valid for writing.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) };
    old.sa_sigaction == libc::SIG_IGN
}

/// Installs a handler, which must be async-signal-safe.
pub fn handle(signal: c_int, handler: extern "C" fn(c_int)) {
    // SAFETY: as in `is_ignored`; zero is also an empty mask on every system we build for.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised; the handlers, here and in `guard`, are async-signal-safe: they touch
    // atomics and make system calls. A null old action asks for no answer.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// From here on SIGINT is for the child that has the terminal, a debugger, and not for the tool.
pub fn leave_interrupts() {
    handle(libc::SIGINT, wake);
}

/// The signal the tool got, if any.
pub fn caught() -> Option<c_int> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// What the signal asked for was done, in order: the tool goes on as if there had been none.
pub fn obeyed() {
    // SAFETY: takes an integer.
    unsafe { libc::alarm(0) };
    CAUGHT.store(0, Ordering::Relaxed);
}

/// While there is one, whoever has it sees to an end in order.
pub struct Attended(());

impl Attended {
    pub fn new() -> Self {
        ATTENDED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        ATTENDED.fetch_sub(1, Ordering::Relaxed);
    }
}
