//! What is measured, as data.

use std::time::Duration;

use crate::Result;
use crate::load::{Amount, Outcome, bulk, disk, http, ping};

/// One thing to measure.
pub struct Case {
    /// How the tables call it.
    pub name: &'static str,
    /// What one unit of its work is called.
    pub unit: &'static str,
    /// The work before measuring: QEMU translates the guest's code the first time that it runs.
    pub warm_up: Amount,
    /// The work while counting. The same for all, so that what happens by the clock weighs alike in each boot.
    pub counted: Amount,
    /// The work while timing, where it cannot be asked for in seconds.
    fixed: Option<Amount>,
    /// Runs it.
    pub run: fn(Amount) -> Result<Outcome>,
}

impl Case {
    const fn new(
        name: &'static str,
        unit: &'static str,
        counted: u64,
        run: fn(Amount) -> Result<Outcome>,
    ) -> Case {
        let (warm_up, counted) = (Amount::Count(counted / 8), Amount::Count(counted));
        Case { name, unit, warm_up, counted, fixed: None, run }
    }

    const fn always(mut self, count: u64) -> Case {
        self.fixed = Some(Amount::Count(count));
        self
    }

    /// The work while timing.
    pub fn timed(&self, seconds: u64) -> Amount {
        self.fixed.unwrap_or(Amount::For(Duration::from_secs(seconds)))
    }
}

/// All of them, in the order in which they run after a boot.
pub const CASES: &[Case] = &[
    Case::new("keep-alive, 1 connection", "request", 8_000, |amount| http::keep_alive(1, amount)),
    Case::new("keep-alive, 8 connections", "request", 16_000, |amount| http::keep_alive(8, amount)),
    Case::new("one connection per request", "connection", 2_000, http::connections),
    Case::new("bulk into the guest", "MiB", 64, bulk::into_guest),
    Case::new("bulk out of the guest", "MiB", 64, bulk::out_of_guest),
    Case::new("flood ping", "reply", 4_000, ping::flood),
    Case::new("disk, depth 1", "read", 4_000, |amount| disk::random_reads(1, amount))
        .always(20_000),
    Case::new("disk, depth 32", "read", 16_000, |amount| disk::random_reads(32, amount))
        .always(80_000),
];
