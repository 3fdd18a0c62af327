//! The wgpu back end.

mod program;

pub use program::{Dispatch, Program};
