//! The lines of a unit: runs its line program, and keeps no row of the table that it makes, since a single byte of
//! the program may make a row.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use gimli::{LineInstruction, LineRow, Range, Result, Unit};

use crate::image::dwarf_reader::Reader;

/// Runs a unit's program of lines. Every two rows that follow each other are shown to `pair`, and every sequence to
/// `sequence`, until one says that it is enough.
pub fn sequences(
    unit: Unit<Reader>,
    sequence: &mut dyn FnMut(Range) -> bool,
    mut pair: impl FnMut(&(u64, u64, u64), u64) -> bool,
) -> Result<()> {
    let Some(mut program) = unit.line_program else { return Ok(()) };
    let mut instructions = program.header().instructions();
    let mut row = LineRow::new(program.header());
    let mut begin = None;
    let mut before: Option<(u64, u64, u64)> = None;
    while let Some(instruction) = instructions.next_instruction(program.header())? {
        // It would be kept; nobody has used it for decades.
        if matches!(instruction, LineInstruction::DefineFile(_)) {
            continue;
        }
        if !row.execute(instruction, &mut program)? {
            continue;
        }
        let address = row.address();
        if before.as_ref().is_some_and(|before| pair(before, address)) {
            return Ok(());
        }
        if row.end_sequence() {
            let begin = begin.take().unwrap_or(address);
            if sequence(Range { begin, end: address }) {
                return Ok(());
            }
            before = None;
            row = LineRow::new(program.header());
            continue;
        }
        begin.get_or_insert(address);
        before = Some((address, row.file_index(), row.line().map_or(0, |line| line.get())));
    }
    Ok(())
}

/// The number of the file and the line that an address belongs to.
pub fn line_of(unit: Unit<Reader>, address: u64) -> Result<Option<(u64, u64)>> {
    let mut found = None;
    let pair = |&(begin, file, line): &(u64, u64, u64), end: u64| {
        let is_it = begin <= address && address < end;
        if is_it {
            found = Some((file, line));
        }
        is_it
    };
    sequences(unit, &mut |_| false, pair)?;
    Ok(found)
}
