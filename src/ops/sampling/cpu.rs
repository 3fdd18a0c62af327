//! On a CPU the sampler of `models/pixel/sampler.rs` draws images, with their maps in the caches. Only tests run this
//! kernel there, as plain loops.

pub use super::reference::sample;
