//! The guide: how the papers become code, a chapter a subject.

#[doc = include_str!("masked_convolution.md")]
pub mod masked_convolution {}
