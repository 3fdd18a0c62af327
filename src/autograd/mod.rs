//! Reverse-mode automatic differentiation: a tape of nodes, values that remember their place on it.
//!
//! For y = f(x), a node holds what its rule needs and turns dL/dy into dL/dx; the tape runs the nodes
//! backwards and adds up what reaches a value by several ways. First-order gradients only.

pub mod accumulate;
pub mod case;
pub mod gradcheck;
mod param;
mod tape;

pub use param::Param;
pub use tape::{Backward, Gradients, Tape, Var};
