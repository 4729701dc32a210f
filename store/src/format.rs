//! (being written)
pub(crate) const AREA_BYTES: u64 = 64 << 10;
