//! Types that describe an interrupt line: its number, trigger mode and polarity.

/// What makes an interrupt of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Becoming active: each time is one interrupt.
    Edge,
    /// Being active: another one follows until the device has been satisfied.
    Level,
}

/// Which level of a line is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// The high one.
    High,
    /// The low one.
    Low,
}

/// A line of the machine's interrupt controllers, and what comes on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Its number among all lines of the machine: what ACPI calls a global system interrupt.
    pub line: u32,
    /// What makes an interrupt of it.
    pub trigger: Trigger,
    /// Which level is an interrupt.
    pub polarity: Polarity,
}
