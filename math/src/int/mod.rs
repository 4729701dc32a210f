//! Integer arithmetic that processors lack and compilers therefore call for.
//!
//! Nothing here can be compiled into a call to itself: no division of the width being made, no
//! multiplication the machine does not have, no loop that the compiler knows under a name of its
//! own. Arithmetic wraps, because a checked sum in a dev build is a call to the panic machinery.

pub mod bits;
pub mod div;
pub mod export;
pub mod mul;
pub mod overflow;
pub mod shift;
#[cfg(test)]
mod tests;
