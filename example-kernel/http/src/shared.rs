//! What the connections of a server share: places, memory, counts, the date. When more want a place than there are, the
//! connection that has waited longest for its client goes.
//!
//! What is long is in no place but is lent its [`Memory`]: bodies of requests, and answers.

use core::cell::{Cell, RefCell, RefMut};
use core::time::Duration;

use crate::connection::MOST_BODY;
use crate::line::Line;
use crate::memory::{ANSWER, Memory};
use crate::response::{Code, Date};

/// The connections of one server.
#[derive(Debug)]
pub struct Shared {
    most: usize,
    open: Cell<usize>,
    /// Who is called leaves.
    leaves: Line,
    is_closed: Cell<bool>,
    /// For long bodies.
    pub(crate) bodies: Memory,
    /// For answers, while they are made and while they wait for their clients.
    pub(crate) long: Memory,
    answers: [Cell<u64>; 5],
    date: RefCell<Date>,
}

impl Shared {
    /// With places for so many connections, and so many bytes each for long bodies and for long answers: for one of them at
    /// least.
    pub fn new(most: usize, bytes: usize) -> Shared {
        Shared {
            most,
            open: Cell::new(0),
            leaves: Line::default(),
            is_closed: Cell::new(false),
            bodies: Memory::new(bytes.max(MOST_BODY)),
            long: Memory::new(bytes.max(ANSWER)),
            answers: Default::default(),
            date: RefCell::default(),
        }
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Answers with a code of 100 to 199, 200 to 299, and so on.
    pub fn answers(&self) -> [u64; 5] {
        self.answers.each_ref().map(Cell::get)
    }

    /// From now on every connection ends as soon as it has answered what it has been asked.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.leaves.call_all();
    }

    /// Whether [`Shared::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Takes a place. Beyond the most, a connection that waits is told to leave.
    pub(crate) fn take(&self) -> Place<'_> {
        self.open.set(self.open.get() + 1);
        if self.open.get() > self.most {
            self.leaves.call();
        }
        Place(self)
    }

    /// Waits, in the order of the calls, until the place is wanted.
    pub(crate) async fn leave(&self) {
        if !self.is_closed() {
            self.leaves.wait().await;
        }
    }

    /// The same for a connection whose client has yet to take an answer: the end of the server is no reason to go.
    pub(crate) async fn wanted(&self) {
        loop {
            self.leaves.wait().await;
            if !self.is_closed() {
                return;
            }
        }
    }

    /// Counts an answer.
    pub(crate) fn count(&self, code: Code) {
        let class = &self.answers[code as usize / 100 - 1];
        class.set(class.get() + 1);
    }

    /// The field `Date` at this time since 1970.
    pub(crate) fn date(&self, time: Option<Duration>) -> RefMut<'_, str> {
        let second = time.map(|time| time.as_secs());
        RefMut::map(self.date.borrow_mut(), |date| date.field(second))
    }
}

/// A place, until it is dropped.
pub(crate) struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}
