//! The store on a simulated disk, beside a model.

mod bad;
mod crash;
mod flips;
mod index;
mod machine;
mod ordinary;
