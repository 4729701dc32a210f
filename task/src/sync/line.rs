//! The one queue of this module: waiters stand in line, and a [`Rule`] says when the first of them may go.
//!
//! Whatever a task waits for here is a line and a rule. The rule of a [`Semaphore`](super::Semaphore) counts permits, that of
//! an [`Event`](super::Event) knows whether it is set; mutex, rwlock and the channels are made of these two. So the
//! following is argued once, here:
//!
//! - **Fair.** Who comes first stands first, and only the first is granted anything. Who comes while others wait goes behind
//!   them, even if the rule would let it pass.
//! - **Granting hands over.** The one who changes the rule takes what is granted out of it, for the first in line, and wakes
//!   that waiter. Nobody can snatch it before the waiter runs.
//! - **Cancel-safe.** A [`Wait`] that is dropped leaves the line. What it was granted and never saw goes back to the rule,
//!   and to the next in line. Nothing is granted to nobody, and no wake-up is lost.
//! - **Constant time.** Each critical section grants to one waiter at most, who is woken after it. Everything is done in any
//!   context, interrupt handlers included.
//! - **No memory.** The place in line is inside the future, which is pinned while it waits. The line is a doubly linked list
//!   of such places, and leaving from its middle takes constant time too.
//!
//! Every `unsafe` block below rests on one invariant, *the line's*: a pointer in the line, or in a neighbour's place, points
//! to the place of a pinned `Wait` that has not been dropped, for `Wait::drop` takes it out; and places are touched within a
//! critical section of their own line only, through pointers that no reference outlives.

use core::cell::UnsafeCell;
use core::future::Future;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};

use super::guarded::Guarded;

/// Says when a waiter may go. All of it runs in critical sections.
pub(super) trait Rule: Send {
    /// What a waiter wants.
    type Want: Copy + Send;
    /// What a waiter is told when it may go.
    type Answer: Copy + Send;

    /// Grants `want`, or leaves everything as it is. `is_first`: nobody stands before this waiter.
    fn grant(&mut self, want: Self::Want, is_first: bool) -> Option<Self::Answer>;

    /// Takes back what was granted to a waiter that is gone.
    fn take_back(&mut self, want: Self::Want, answer: Self::Answer);
}

/// A rule and those who wait for it.
pub(super) struct Line<R: Rule>(Guarded<State<R>>);

struct State<R: Rule> {
    rule: R,
    first: Link<R>,
    last: Link<R>,
}

type Link<R> = Option<NonNull<Place<R>>>;

/// A waiter's place.
struct Place<R: Rule> {
    want: R::Want,
    standing: Standing<R::Answer>,
    waker: Option<Waker>,
    before: Link<R>,
    behind: Link<R>,
}

#[derive(Clone, Copy)]
enum Standing<A> {
    /// Not in line.
    Outside,
    InLine,
    /// No longer in line: it may go, but has not seen that yet.
    Granted(A),
}

// SAFETY: the pointers lead to places, which hold nothing but wakers, wants and answers: all of them may be used by any
// thread, and by the line's invariant they are, one at a time.
unsafe impl<R: Rule> Send for State<R> {}

impl<R: Rule> Line<R> {
    pub const fn new(rule: R) -> Line<R> {
        Line(Guarded::new(State { rule, first: None, last: None }))
    }

    /// Waits until `want` is granted.
    pub fn wait(&self, want: R::Want) -> Wait<&Line<R>> {
        Wait::new(self, want)
    }

    /// Grants `want` at once, if nobody waits and the rule agrees.
    pub fn try_grant(&self, want: R::Want) -> Option<R::Answer> {
        self.0.with(|state| match state.first {
            None => state.rule.grant(want, true),
            Some(_) => None,
        })
    }

    /// Looks at the rule.
    pub fn look<T>(&self, look: impl FnOnce(&R) -> T) -> T {
        self.0.with(|state| look(&state.rule))
    }

    /// Changes the rule, then grants to all who may go now and wakes them.
    pub fn change(&self, change: impl FnOnce(&mut R)) {
        let mut granted = self.0.with(|state| {
            change(&mut state.rule);
            state.grant_first()
        });
        while let Some(waker) = granted {
            waker.wake();
            granted = self.0.with(State::grant_first);
        }
    }
}

impl<R: Rule> State<R> {
    /// Lets the first one go, if it may. Its waker is to be woken after the section.
    fn grant_first(&mut self) -> Option<Waker> {
        let first = self.first?;
        // SAFETY: the line's invariant.
        let want = unsafe { (*first.as_ptr()).want };
        let answer = self.rule.grant(want, true)?;
        self.leave(first);
        // SAFETY: as above.
        let place = unsafe { &mut *first.as_ptr() };
        place.standing = Standing::Granted(answer);
        place.waker.take()
    }

    /// Puts a place that is outside at the end of the line.
    fn join(&mut self, joining: NonNull<Place<R>>) {
        // SAFETY: the caller has it from a pinned `Wait`, as the line's invariant asks.
        let place = unsafe { &mut *joining.as_ptr() };
        place.standing = Standing::InLine;
        place.before = self.last;
        place.behind = None;
        self.link_behind(place.before, Some(joining));
        self.last = Some(joining);
    }

    /// Takes a place out of the line.
    fn leave(&mut self, leaving: NonNull<Place<R>>) {
        // SAFETY: the line's invariant.
        let place = unsafe { &mut *leaving.as_ptr() };
        place.standing = Standing::Outside;
        let (before, behind) = (place.before.take(), place.behind.take());
        self.link_behind(before, behind);
        match behind {
            // SAFETY: the line's invariant.
            Some(behind) => unsafe { (*behind.as_ptr()).before = before },
            None => self.last = before,
        }
    }

    /// What stands behind `place`, or is first if there is no such place.
    fn link_behind(&mut self, place: Link<R>, behind: Link<R>) {
        match place {
            // SAFETY: the line's invariant.
            Some(place) => unsafe { (*place.as_ptr()).behind = behind },
            None => self.first = behind,
        }
    }
}

/// How a [`Wait`] reaches its line.
///
/// # Safety
///
/// - `line` returns the same line as long as `self` lives, also when `self` has moved.
pub(super) unsafe trait Holder {
    type Rule: Rule;
    fn line(&self) -> &Line<Self::Rule>;
}

// SAFETY: a reference refers to one line.
unsafe impl<R: Rule> Holder for &Line<R> {
    type Rule = R;
    fn line(&self) -> &Line<R> {
        self
    }
}

/// Waits in line: a future, and after it was ready, the next one. It joins the line when it is first polled.
pub(super) struct Wait<H: Holder> {
    holder: H,
    place: UnsafeCell<Place<H::Rule>>,
    /// Neighbours point to `place`.
    _pinned: PhantomPinned,
}

// SAFETY: `place` is touched in critical sections only, by whichever thread; see `State` for what it holds.
unsafe impl<H: Holder + Send> Send for Wait<H> {}
// SAFETY: as above.
unsafe impl<H: Holder + Sync> Sync for Wait<H> {}

impl<H: Holder> Wait<H> {
    pub fn new(holder: H, want: <H::Rule as Rule>::Want) -> Wait<H> {
        let standing = Standing::Outside;
        let place = Place { want, standing, waker: None, before: None, behind: None };
        Wait { holder, place: UnsafeCell::new(place), _pinned: PhantomPinned }
    }

    fn own_place(&self) -> NonNull<Place<H::Rule>> {
        // SAFETY: a cell's address is not null.
        unsafe { NonNull::new_unchecked(self.place.get()) }
    }
}

impl<H: Holder> Future for Wait<H> {
    type Output = <H::Rule as Rule>::Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let own = self.own_place();
        let (answer, _stale_waker) = self.holder.line().0.with(|state| {
            // SAFETY: it is this wait's, and this is its line's section. The reference ends before `join` is called.
            let place = unsafe { &mut *own.as_ptr() };
            match place.standing {
                Standing::Granted(answer) => {
                    place.standing = Standing::Outside;
                    return (Poll::Ready(answer), None);
                }
                Standing::Outside => {
                    if let Some(answer) = state.rule.grant(place.want, state.first.is_none()) {
                        return (Poll::Ready(answer), None);
                    }
                }
                Standing::InLine => {}
            }
            let waker = context.waker();
            let is_known = place.waker.as_ref().is_some_and(|known| known.will_wake(waker));
            let stale = if is_known { None } else { place.waker.replace(waker.clone()) };
            if let Standing::Outside = place.standing {
                state.join(own);
            }
            (Poll::Pending, stale)
        });
        answer
    }
}

impl<H: Holder> Drop for Wait<H> {
    fn drop(&mut self) {
        let own = self.own_place();
        let line = self.holder.line();
        let was_outside = line.0.with(|state| {
            // SAFETY: it is this wait's, and this is its line's section.
            let (want, standing) = unsafe { ((*own.as_ptr()).want, (*own.as_ptr()).standing) };
            match standing {
                Standing::Outside => return true,
                Standing::InLine => state.leave(own),
                Standing::Granted(answer) => state.rule.take_back(want, answer),
            }
            false
        });
        if !was_outside {
            // Either it returned something, or it stood before somebody who wants less.
            line.change(|_| ());
        }
    }
}
