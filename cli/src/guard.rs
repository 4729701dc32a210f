//! A guard process beside the tool: however the tool is ended, by SIGKILL too, all programs that it started end.
//!
//! The tool is two processes. The one that the user's shell started is the guard: it starts a second one by
//! fork(2), the worker, which is the tool proper, passes signals on to it and ends as it ends. Both are
//! subreapers (`PR_SET_CHILD_SUBREAPER`): a process below them that loses its parent becomes their child, however deep it was,
//! whatever its process group or session. So [`sweep`] finds every process: it kills its children until it has none.
//!
//! | killed | who sweeps |
//! |---|---|
//! | the guard | the worker, which the kernel then sends `ORPHANED` (`PR_SET_PDEATHSIG`) |
//! | the worker | the guard, whose children its orphans are |
//! | neither, the tool was told to stop | the worker, when it has stopped its own child in order |
//!
//! Simpler ways are not enough. A parent-death signal alone ends cargo but not the compilers and test programs that cargo
//! started. A process can leave its process group, as nextest and this tool do. A process namespace needs rights that not every
//! user has.
//!
//! Half-written files of the worker are removed too, see [`unfinished`](crate::unfinished).
//!
//! After a normal end nothing is swept: a process that a build leaves behind then, such as a compiler's cache that serves the
//! next build too, is meant to stay. If both processes are killed at once, the worker's own children end by the parent-death
//! signal that [`supervise`](crate::supervise) gives them. Systems other than Linux have no guard.

#[cfg(target_os = "linux")]
pub use linux::{stand, sweep};

/// There is none here.
#[cfg(not(target_os = "linux"))]
pub fn stand() {}

/// Nothing is found here.
#[cfg(not(target_os = "linux"))]
pub fn sweep() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, c_int};
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI32, Ordering};

    use crate::signals::{self, handle, is_ignored};
    use crate::unfinished;

    /// What tells the worker that the guard is gone.
    const ORPHANED: c_int = libc::SIGUSR1;

    /// How long a sweep goes on: killed processes may take a moment to end, those of another user never do.
    const ROUNDS: u32 = 5000;
    const ROUND_MS: c_int = 1;

    /// The worker's id, for the guard's handler.
    static WORKER: AtomicI32 = AtomicI32::new(0);

    /// The kernel's list of our children.
    static CHILDREN: OnceLock<CString> = OnceLock::new();

    /// Makes two processes of this one and comes back in the worker. If the system has no room for a second one, the
    /// tool works unguarded. Signals that tell the tool to stop wait until both have their handlers: the worker lets
    /// them in by [`signals::watch`].
    pub fn stand() {
        signals::hold();
        // SAFETY: takes integers and touches no memory.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        // SAFETY: both have no preconditions; this is the only thread, so all of the child's memory is as it should be.
        let (guard, id) = unsafe { (libc::getpid(), libc::fork()) };
        let is_worker = id <= 0;
        // SAFETY: as above.
        let own = unsafe { libc::getpid() };
        let path = CString::new(format!("/proc/self/task/{own}/children"));
        let _ = CHILDREN.set(path.expect("no zero in it"));
        if !is_worker {
            watch(id);
        }
        if id == 0 {
            be_worker(guard);
        }
    }

    fn be_worker(guard: libc::pid_t) {
        handle(ORPHANED, orphaned);
        // SAFETY: these take integers and touch no memory.
        let parent = unsafe {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            libc::prctl(libc::PR_SET_PDEATHSIG, ORPHANED);
            libc::getppid()
        };
        // Had the guard died before the signal was asked for, none would come.
        if parent != guard {
            orphaned(ORPHANED);
        }
    }

    /// A handler: only system calls, nothing allocated, nothing locked.
    extern "C" fn orphaned(_: c_int) {
        sweep();
        unfinished::remove_from_handler();
        // SAFETY: ends the process without running anything else.
        unsafe { libc::_exit(128 + libc::SIGKILL) };
    }

    extern "C" fn pass_on(signal: c_int) {
        let worker = WORKER.load(Ordering::Relaxed);
        if worker != 0 {
            // SAFETY: two integers; a worker that is gone is an error that may be ignored.
            unsafe { libc::kill(worker, signal) };
        }
    }

    /// The guard's life.
    fn watch(worker: libc::pid_t) -> ! {
        WORKER.store(worker, Ordering::Relaxed);
        for signal in signals::STOPPING {
            if !is_ignored(signal) {
                handle(signal, pass_on);
            }
        }
        signals::let_in();
        let mut status = 0;
        // SAFETY: `status` is valid for writing. -1 is a signal that came first.
        while unsafe { libc::waitpid(worker, &raw mut status, 0) } == -1 {}
        // Its id is nobody's any more.
        WORKER.store(0, Ordering::Relaxed);
        if libc::WIFEXITED(status) {
            unfinished::remove_all();
            // SAFETY: ends the process without running anything else; the guard has nothing to finish.
            unsafe { libc::_exit(libc::WEXITSTATUS(status)) };
        }
        sweep();
        unfinished::remove_all();
        end_like(libc::WTERMSIG(status))
    }

    fn end_like(signal: c_int) -> ! {
        // SAFETY: integers only. The signal's default is to end the process, and none of these returns to Rust.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
            libc::_exit(128 + signal)
        }
    }

    /// Kills everything that was started here. May be called from a handler.
    pub fn sweep() {
        for _ in 0..ROUNDS {
            let (mut seen, mut killed) = (false, false);
            each_child(|id| {
                seen = true;
                // SAFETY: two integers; the id is that of a child, which nobody has waited for, so it is nobody else's.
                killed |= unsafe { libc::kill(id, libc::SIGKILL) } == 0;
            });
            if seen && !killed {
                return;
            }
            // SAFETY: asks for no status; no memory is touched.
            let reap = || unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) };
            let last = std::iter::repeat_with(reap).find(|&id| id <= 0);
            // -1 is "no children"; 0, that some have still to end. Their own children come to us then.
            if last == Some(-1) {
                return;
            }
            // SAFETY: no entries, so no memory; waits.
            unsafe { libc::poll(ptr::null_mut(), 0, ROUND_MS) };
        }
    }

    /// Calls `f` with the id of each child: numbers with spaces behind them (proc(5), `task/TID/children`).
    fn each_child(mut f: impl FnMut(libc::pid_t)) {
        let Some(path) = CHILDREN.get() else { return };
        // SAFETY: a string that ends in zero, and a flag.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        let (mut id, mut buffer) = (0, [0u8; 1024]);
        loop {
            // SAFETY: the buffer is valid for its length; a file that is not open is an error.
            let len = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
            let Some(bytes) = usize::try_from(len).ok().and_then(|len| buffer.get(..len)) else {
                break;
            };
            for byte in bytes {
                match byte {
                    b'0'..=b'9' => id = id * 10 + libc::pid_t::from(byte - b'0'),
                    _ => f(std::mem::take(&mut id)),
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        // SAFETY: nobody else has this number.
        unsafe { libc::close(file) };
    }
}
