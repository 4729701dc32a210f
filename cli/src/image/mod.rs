//! What is in an image: its entry, names, source lines, tests.

pub mod bootable;
pub mod dwarf;
pub mod dwarf_lines;
pub mod dwarf_reader;
pub mod dwarf_split;
pub mod instruction_log;
pub mod name_table;
pub mod name_words;
pub mod source_lines;
pub mod test_table;
pub mod untold;
