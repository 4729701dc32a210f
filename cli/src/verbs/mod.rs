//! The verbs, a file for each, and helpers that only one verb needs.

pub mod archive;
pub mod chart;
pub mod chart_svg;
pub mod check;
pub mod debug;
pub mod doctor;
pub mod exit_status;
pub mod hot;
pub mod image;
pub mod junit;
pub mod libtest_args;
pub mod names;
pub mod new;
pub mod run;
pub mod runner;
pub mod symbols;
pub mod sysroot;
pub mod test;
