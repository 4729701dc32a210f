//! What can be chosen, what is limited, and what a store says of itself.

/// The longest key, in bytes.
pub const KEY_BYTES: usize = 512;

/// The longest value where segments have [`SEGMENT_BYTES`], in bytes: a sixteenth of a segment.
pub const VALUE_BYTES: usize = SEGMENT_BYTES / SEGMENT_VALUES;

/// The unit in which room on the disk is taken and given back, in bytes, unless [`Options::segment_bytes`] says otherwise.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// So many of the largest values are a segment.
pub(crate) const SEGMENT_VALUES: usize = 16;
pub(crate) const LEAST_SEGMENT: usize = 64 << 10;
/// A segment has so many blocks at least, so that little is lost by filling blocks up.
pub(crate) const LEAST_BLOCKS: usize = 128;
pub(crate) const LARGEST_SEGMENT: usize = 16 << 20;
/// A store has so many segments at least.
pub(crate) const LEAST_SEGMENTS: u64 = 16;

/// The smallest disk that takes a store with [`SEGMENT_BYTES`], in bytes.
pub const LEAST_DISK_BYTES: u64 = LEAST_SEGMENTS * SEGMENT_BYTES as u64 + crate::format::AREA_BYTES;

/// When a disk is formatted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// If its first MiB is zero.
    #[default]
    IfZero,
    /// Never.
    Never,
    /// Now: what is on it is lost.
    Always,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// When the disk is formatted.
    pub format: Format,
    /// A number that nobody can guess, for a store that is made: who knows it could store values that look like parts of
    /// the log. Nothing else depends on it.
    pub seed: u64,
    /// In a store that is made: bytes of a segment, a power of two, 64 KiB to 16 MiB; `None` is [`SEGMENT_BYTES`]. A value
    /// has a sixteenth of it at most, and a disk has 16 of them at least.
    pub segment_bytes: Option<usize>,
    /// The most memory that the index takes, in bytes; `None` is all there is. Beyond it keys are refused, so that the rest of the
    /// kernel has memory. Those that are there
    /// when it is opened may take more. Buffers are not in it: half a MiB, and some KiB for each reading.
    pub index_bytes: Option<usize>,
    /// Has a store whose log or index is damaged give what can still be read: values that were acknowledged once, but may
    /// be old, or deleted since. Without it such a store gives nothing but its reason.
    pub salvage: bool,
}

/// What a store has and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys there are.
    pub keys: u64,
    /// Bytes of their records on the disk.
    pub live_bytes: u64,
    /// Bytes of the disk that are taken, with what is dead in them.
    pub used_bytes: u64,
    /// Bytes of the disk that are free.
    pub free_bytes: u64,
    /// Bytes of records that can still be put.
    pub room_bytes: u64,
    /// Bytes of memory that the index has.
    pub index_bytes: u64,
    /// Keys put and deleted since it was opened.
    pub puts: u64,
    /// Keys deleted, among them.
    pub deletes: u64,
    /// Batches written for them.
    pub commits: u64,
    /// Flushes of the disk.
    pub flushes: u64,
    /// Bytes written, all together.
    pub written_bytes: u64,
    /// Segments that were emptied by moving what lives in them.
    pub compactions: u64,
    /// How many times the index was saved.
    pub checkpoints: u64,
    /// What opening it took.
    pub recovery: Recovery,
}

/// What opening a store took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes read from the disk.
    pub bytes: u64,
    /// Keys that came from the saved index.
    pub saved_keys: u64,
    /// Records that came from the log behind it.
    pub records: u64,
    /// Whether the log ends in the beginning of a batch that was never finished, whose writer was not told that it was.
    pub was_torn: bool,
    /// Whether one copy of the first sector was damaged; it is written again when the index is saved next.
    pub was_healed: bool,
}
