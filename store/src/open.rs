//! Opens a store: finds it or makes it, reads the saved index, and then the log behind it to its end.
//!
//! The log ends where no batch has the next number. If a later one is found behind that place, the one that is missing was
//! acknowledged: the log is damaged, and the store read-only. If none is, it is a batch that was never finished, or the
//! last one, damaged: these two look the same.
//!
//! Nothing is written, unless a store is made.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::batch::Batch;
use crate::chain::{Position, Window};
use crate::disk::{Disk, DiskError, SECTOR_BYTES};
use crate::error::{Error, OpenError, Reason, State};
use crate::format::{
    BATCH_HEADER, BatchHeader, COPIES, Found, Geometry, LARGEST_STORE, LOG, LogStart, NONE, Place,
    Superblock, make_id, records,
};
use crate::index::Index;
use crate::line::Line;
use crate::options::{
    Format, LARGEST_SEGMENT, LEAST_BLOCKS, LEAST_SEGMENT, LEAST_SEGMENTS, Options, Recovery,
    SEGMENT_BYTES, Stats,
};
use crate::runner::Work;
use crate::segments::{Segments, Use};
use crate::shared::{Inner, Shared, apply};
use crate::watch::Changes;

/// What must be zero of a disk that is formatted without being asked, in bytes: what other systems write lies there.
const ZERO_BYTES: u64 = 1 << 20;

type Opened<D> = (Shared<D>, Work<<D as Disk>::Buffer>);

pub(crate) async fn open<D: Disk>(disk: D, options: Options) -> Result<Opened<D>, OpenError> {
    let (superblock, was_healed) = match options.format {
        Format::Always => (format(&disk, &options).await?, false),
        _ => match find(&disk, &options).await? {
            Some(found) => found,
            None if options.format == Format::Never => return Err(OpenError::Absent),
            None => (format(&disk, &options).await?, false),
        },
    };
    let geometry = geometry(&superblock, &disk)?;
    load(disk, options, superblock, geometry, was_healed).await
}

fn buffer<D: Disk>(disk: &D, bytes: usize) -> Result<D::Buffer, OpenError> {
    disk.buffer(bytes).ok_or(OpenError::NoMemory)
}

/// The superblock, and whether one copy of it is damaged. `None` if the disk is empty.
async fn find<D: Disk>(
    disk: &D,
    options: &Options,
) -> Result<Option<(Superblock, bool)>, OpenError> {
    let block = disk.block_bytes();
    if block > (COPIES[1] as usize) * SECTOR_BYTES {
        return Err(OpenError::Blocks { bytes: block });
    }
    let needed = COPIES[1] + (block / SECTOR_BYTES) as u64;
    if disk.sectors() < needed {
        return Err(OpenError::TooSmall { sectors: least_sectors(SEGMENT_BYTES) });
    }
    let mut copies = [Found::Damaged; 2];
    let mut sectors = [[0; SECTOR_BYTES]; 2];
    let mut failed = None;
    for ((copy, content), sector) in copies.iter_mut().zip(&mut sectors).zip(COPIES) {
        match disk.read(sector, buffer(disk, block)?).await {
            Ok(bytes) => {
                *copy = Superblock::read(&bytes);
                content.copy_from_slice(&bytes[..SECTOR_BYTES]);
            }
            // The other copy may be readable.
            Err(error) => failed = Some(error),
        }
    }
    let is_foreign = |copy: &Found| matches!(copy, Found::Foreign);
    match copies {
        // The later one. Both are the same, unless the second was not written any more.
        [Found::Superblock(first), Found::Superblock(second)] => {
            let is_first = first.generation >= second.generation;
            Ok(Some((if is_first { first } else { second }, first != second)))
        }
        [Found::Superblock(it), other] if !matches!(other, Found::Newer(_)) => Ok(Some((it, true))),
        // Somebody has begun to use the disk for something else, or the sector is damaged as a whole.
        [Found::Foreign, Found::Superblock(_)] if !options.salvage && !are_near(&sectors) => {
            Err(OpenError::Foreign)
        }
        [other, Found::Superblock(it)] if !matches!(other, Found::Newer(_)) => Ok(Some((it, true))),
        [Found::Newer(version), _] | [_, Found::Newer(version)] => {
            Err(OpenError::Newer { version })
        }
        _ if failed.is_some() => Err(OpenError::Disk(failed.unwrap_or(DiskError::Io))),
        [first, _] if is_foreign(&first) => Err(OpenError::Foreign),
        [Found::Damaged, _] | [_, Found::Damaged] => Err(OpenError::Damaged),
        _ if is_zero(disk).await? => Ok(None),
        _ => Err(OpenError::Foreign),
    }
}

/// Whether one copy is the other with a few bytes that are wrong.
fn are_near([first, second]: &[[u8; SECTOR_BYTES]; 2]) -> bool {
    /// A boot sector differs in more: what a superblock has is not in it.
    const FEW: usize = 16;
    first.iter().zip(second).filter(|(one, other)| one != other).count() <= FEW
}

/// Whether the disk's beginning is zero.
async fn is_zero<D: Disk>(disk: &D) -> Result<bool, OpenError> {
    let sectors = disk.sectors().min(ZERO_BYTES / SECTOR_BYTES as u64);
    // As much as is before the second copy: whole blocks.
    let part = COPIES[1];
    let mut bytes = buffer(disk, part as usize * SECTOR_BYTES)?;
    for number in 0..sectors / part {
        bytes = disk.read(number * part, bytes).await?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn least_sectors(segment_bytes: usize) -> u64 {
    (crate::format::AREA_BYTES + LEAST_SEGMENTS * segment_bytes as u64) / SECTOR_BYTES as u64
}

/// Makes a store.
async fn format<D: Disk>(disk: &D, options: &Options) -> Result<Superblock, OpenError> {
    if disk.is_read_only() {
        return Err(OpenError::ReadOnly);
    }
    let segment_bytes = options.segment_bytes.unwrap_or(SEGMENT_BYTES);
    if !is_segment(segment_bytes) {
        return Err(OpenError::Options);
    }
    let needed = least_sectors(segment_bytes);
    if disk.sectors() < needed {
        return Err(OpenError::TooSmall { sectors: needed });
    }
    let block_bytes = disk.block_bytes();
    if block_bytes > segment_bytes / LEAST_BLOCKS {
        return Err(OpenError::Blocks { bytes: block_bytes });
    }
    let bytes = (disk.sectors() * SECTOR_BYTES as u64).min(LARGEST_STORE);
    let segments = (bytes - crate::format::AREA_BYTES) / segment_bytes as u64;
    let mut block = disk.read(0, buffer(disk, block_bytes)?).await?;
    let generation = match Superblock::read(&block) {
        // Should only one copy be written, it is the later one.
        Found::Superblock(old) => old.generation.wrapping_add(1),
        _ => 1,
    };
    let superblock = Superblock {
        // Another than that of the store before, of which batches are still there.
        id: make_id(options.seed, &block),
        generation,
        segment_bytes: segment_bytes as u32,
        block_bytes: block_bytes as u32,
        segments: u32::try_from(segments).unwrap_or(NONE - 1).min(NONE - 1),
        saved_segment: NONE,
        saved_keys: 0,
        log: LogStart { segment: 0, at: 0, next: 1, sequence: 1 },
    };
    for sector in COPIES {
        block.fill(0);
        superblock.write(&mut block[..SECTOR_BYTES]);
        block = disk.write(sector, block).await?;
    }
    disk.flush().await?;
    Ok(superblock)
}

fn is_segment(bytes: usize) -> bool {
    bytes.is_power_of_two() && (LEAST_SEGMENT..=LARGEST_SEGMENT).contains(&bytes)
}

/// What the superblock says, if that can be.
fn geometry<D: Disk>(superblock: &Superblock, disk: &D) -> Result<Geometry, OpenError> {
    let geometry = Geometry {
        id: superblock.id,
        segment_bytes: superblock.segment_bytes as usize,
        block_bytes: superblock.block_bytes as usize,
        segments: superblock.segments,
    };
    let LogStart { segment, at, next, .. } = superblock.log;
    let saved = superblock.saved_segment;
    let is_good = is_segment(geometry.segment_bytes)
        && geometry.block_bytes.is_power_of_two()
        && (SECTOR_BYTES..=geometry.segment_bytes / LEAST_BLOCKS).contains(&geometry.block_bytes)
        && u64::from(geometry.segments) >= LEAST_SEGMENTS
        && geometry.byte(geometry.segments, 0) <= LARGEST_STORE + crate::format::AREA_BYTES
        && segment < geometry.segments
        && next < geometry.segments
        && segment != next
        && at as usize <= geometry.segment_bytes
        && (at as usize).is_multiple_of(geometry.block_bytes)
        && (saved < geometry.segments || saved == NONE);
    if !is_good {
        return Err(OpenError::Damaged);
    }
    if disk.block_bytes() > geometry.block_bytes {
        return Err(OpenError::Blocks { bytes: disk.block_bytes() });
    }
    if disk.sectors() < geometry.sectors() {
        return Err(OpenError::TooSmall { sectors: geometry.sectors() });
    }
    Ok(geometry)
}

/// What is read of a store.
struct Loading<'a, D: Disk> {
    disk: &'a D,
    geometry: Geometry,
    window: Window<D::Buffer>,
    index: Index,
    segments: Segments,
    saved: Vec<u32>,
    recovery: Recovery,
    tail_bytes: u64,
}

async fn load<D: Disk>(
    disk: D,
    options: Options,
    superblock: Superblock,
    geometry: Geometry,
    was_healed: bool,
) -> Result<Opened<D>, OpenError> {
    let new_batch = || buffer(&disk, geometry.batch_bytes()).map(Batch::new);
    let (pending, spare, output) = (new_batch()?, new_batch()?, new_batch()?);
    let no_memory = |_| OpenError::NoMemory;
    let mut loading = Loading {
        disk: &disk,
        geometry,
        window: Window::new(buffer(&disk, geometry.batch_bytes())?),
        // The limit is for keys to come: those that are there may take more leaves in another order, and were acknowledged.
        index: Index::new(None),
        segments: Segments::new(geometry).map_err(no_memory)?,
        saved: Vec::new(),
        recovery: Recovery { was_healed, ..Recovery::default() },
        tail_bytes: 0,
    };
    let LogStart { segment, at, next, sequence } = superblock.log;
    let mut head = Position { segment, at: at as usize, next, sequence };
    let mut incomplete = loading.saved_index(&superblock).await.err();
    if incomplete.is_none_or(|_| options.salvage) {
        incomplete = loading.log(&mut head).await.err().or(incomplete);
    }
    loading.segments.settle();
    // The log's next segment is nobody else's.
    if incomplete.is_none() && !loading.segments.reserve_next(head.next) {
        incomplete = Some(Reason::Log { sector: geometry.sector(head.segment, head.at) });
    }
    if incomplete == Some(Reason::NoMemory) {
        return Err(OpenError::NoMemory);
    }
    let mut state = State::ReadWrite;
    if let Some(reason) = incomplete {
        state = State::ReadOnly(reason);
    } else if disk.is_read_only() {
        state = State::ReadOnly(Reason::DiskIsReadOnly);
    } else if let Err(error) = disk.flush().await {
        // What is served must not be lost when power is, though nobody was told that it is durable.
        state = State::ReadOnly(Reason::WriteFailed(error));
    }
    loading.index.set_limit(options.index_bytes);
    let Loading { index, segments, window, saved, mut recovery, tail_bytes, .. } = loading;
    recovery.bytes = window.read_bytes;
    let inner = Inner {
        state,
        incomplete,
        salvage: options.salvage,
        index,
        segments,
        head,
        pending,
        number: 1,
        committed: 0,
        is_writing: false,
        is_closing: false,
        room: Line::new(),
        ended: Line::new(),
        runner: None,
        changes: Changes::default(),
        buffers: Vec::new(),
        stats: Stats { recovery, ..Stats::default() },
    };
    let work = Work {
        spare: Some(spare),
        output,
        window,
        superblock,
        moving: None,
        saving: None,
        is_save_wanted: was_healed,
        tail_bytes,
        saved,
        is_turn: false,
    };
    Ok((Shared { disk, geometry, inner: RefCell::new(inner) }, work))
}

fn of_memory(_: Error) -> Reason {
    Reason::NoMemory
}

impl<D: Disk> Loading<'_, D> {
    /// The index as it was saved.
    async fn saved_index(&mut self, superblock: &Superblock) -> Result<(), Reason> {
        let Superblock { saved_segment: segment, saved_keys, log, .. } = *superblock;
        if segment == NONE {
            return Ok(());
        }
        let mut position = Position { segment, at: 0, next: NONE, sequence: 0 };
        while self.index.keys() < saved_keys {
            let (disk, geometry) = (self.disk, &self.geometry);
            let damaged =
                Reason::Checkpoint { sector: geometry.sector(position.segment, position.at) };
            let followed = self.window.follow(disk, geometry, log.sequence, &mut position).await;
            let (header, segment, at) = followed.map_err(Reason::ReadFailed)?.ok_or(damaged)?;
            if self.saved.last() != Some(&segment) {
                if self.segments.used(segment) != Use::Free {
                    return Err(damaged);
                }
                self.saved.try_reserve(1).map_err(|_| Reason::NoMemory)?;
                self.saved.push(segment);
                self.segments.set_used(segment, Use::Saved);
            }
            let body = self.window.bytes(segment, at).get(BATCH_HEADER..header.len);
            let body = body.unwrap_or_default();
            let segments = &mut self.segments;
            let seen = |key: &[u8], place| {
                segments.add(key.len(), place);
                geometry.is_place(key.len(), place)
            };
            let is_good = self.index.extend(body, header.count, seen).map_err(of_memory)?;
            if !is_good || header.count == 0 || self.index.keys() > saved_keys {
                return Err(damaged);
            }
        }
        self.recovery.saved_keys = saved_keys;
        Ok(())
    }

    /// What happened since.
    async fn log(&mut self, head: &mut Position) -> Result<(), Reason> {
        self.push_tail(head.segment, head.at)?;
        loop {
            let (disk, geometry) = (self.disk, self.geometry);
            let followed = self.window.follow(disk, &geometry, LOG, head).await;
            let Some((header, segment, at)) = followed.map_err(Reason::ReadFailed)? else { break };
            if self.segments.tail.back() != Some(&segment) {
                self.push_tail(segment, at)?;
            }
            self.tail_bytes += geometry.whole_blocks(header.len) as u64;
            let damaged = Reason::Log { sector: geometry.sector(segment, at) };
            let body = self.window.bytes(segment, at).get(BATCH_HEADER..header.len);
            let mut count = 0;
            for (offset, record) in records(body.unwrap_or_default()) {
                let byte = geometry.byte(segment, at + BATCH_HEADER + offset);
                let place = Place::new(byte, record.value.map_or(0, <[u8]>::len));
                let is_good = (1..=crate::KEY_BYTES).contains(&record.key.len())
                    && geometry.is_place(record.key.len(), place);
                if !is_good {
                    return Err(damaged);
                }
                let place = record.value.map(|_| place);
                apply(&mut self.index, &mut self.segments, record.key, place).map_err(of_memory)?;
                count += 1;
            }
            if count != header.count {
                return Err(damaged);
            }
            self.recovery.records += u64::from(count);
        }
        let (disk, geometry) = (self.disk, &self.geometry);
        let batch = self.window.batch(disk, geometry, head.segment, head.at).await;
        let is_it = |it: BatchHeader| it.stream == LOG && it.sequence == head.sequence;
        self.recovery.was_torn = batch.map_err(Reason::ReadFailed)?.is_some_and(is_it);
        let goes_on = self.window.goes_on(disk, geometry, LOG, head).await;
        if goes_on.map_err(Reason::ReadFailed)? {
            return Err(Reason::Log { sector: geometry.sector(head.segment, head.at) });
        }
        Ok(())
    }

    fn push_tail(&mut self, segment: u32, at: usize) -> Result<(), Reason> {
        if self.segments.used(segment) != Use::Free {
            return Err(Reason::Log { sector: self.geometry.sector(segment, at) });
        }
        self.segments.push_tail(segment).map_err(of_memory)
    }
}
