//! Reverse-mode automatic differentiation: a [`Tape`] of nodes, and [`Var`]s that know their slot on it.
//!
//! For y = f(x), a node saves what its gradient rule needs and turns dL/dy into dL/dx. The tape visits the nodes
//! in reverse order and sums the gradients of values that are used more than once. First-order gradients only.

pub mod accumulate;
pub mod case;
pub mod gradcheck;
mod param;
pub(crate) mod tape;

pub use param::Param;
pub use tape::{Backward, Gradients, Tape, Var};
