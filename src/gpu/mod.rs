//! The wgpu back end.
