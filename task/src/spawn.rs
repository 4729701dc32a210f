//! Spawning: from a future to a task that is queued, or a refusal that gives the future back.

use core::fmt;
use core::future::Future;
use core::panic::Location;

use crate::executor::Executor;
use crate::handle::JoinHandle;
use crate::header;
use crate::platform::Platform;

/// Why a task cannot be spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no memory for it.
    OutOfMemory,
    /// The caller is in another context than the executor, or in a handler.
    Elsewhere,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::OutOfMemory => "there is no memory for another task",
            Refusal::Elsewhere => {
                "a task is spawned where its executor runs, not in a handler or on another core"
            }
        })
    }
}

impl core::error::Error for Refusal {}

/// A task that was not spawned, and why.
pub struct SpawnError<F> {
    /// Nothing of it is lost.
    pub future: F,
    /// The reason.
    pub reason: Refusal,
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpawnError").field(&self.reason).finish()
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<F> core::error::Error for SpawnError<F> {}

impl<P: Platform> Executor<P> {
    /// Spawns a task named by the place of this call.
    ///
    /// # Panics
    ///
    /// If there is no memory, or in another context than the executor's; see [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&'static self, future: F) -> JoinHandle<F::Output, P> {
        match self.try_spawn(future) {
            Ok(task) => task,
            Err(error) => panic!("{error}"),
        }
    }

    /// Spawns a task named by the place of this call.
    ///
    /// # Errors
    ///
    /// [`SpawnError`], with the future in it.
    #[track_caller]
    pub fn try_spawn<F: Future + 'static>(
        &'static self,
        future: F,
    ) -> Result<JoinHandle<F::Output, P>, SpawnError<F>> {
        let place = Location::caller();
        self.spawn_as(future, place.file(), place.line())
    }

    /// Spawns a task with a name.
    ///
    /// # Errors
    ///
    /// As for [`try_spawn`](Self::try_spawn).
    pub fn try_spawn_named<F: Future + 'static>(
        &'static self,
        name: &'static str,
        future: F,
    ) -> Result<JoinHandle<F::Output, P>, SpawnError<F>> {
        self.spawn_as(future, name, 0)
    }

    fn spawn_as<F: Future + 'static>(
        &'static self,
        future: F,
        name: &'static str,
        line: u32,
    ) -> Result<JoinHandle<F::Output, P>, SpawnError<F>> {
        if !self.enter() {
            return Err(SpawnError { future, reason: Refusal::Elsewhere });
        }
        let task = header::new(self, future, name, line)
            .map_err(|future| SpawnError { future, reason: Refusal::OutOfMemory })?;
        // SAFETY: a new task, which both references keep.
        unsafe {
            self.link(task);
            self.queue(task);
            Ok(JoinHandle::new(task))
        }
    }
}
