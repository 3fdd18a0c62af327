//! How the papers become code: a guide in ten chapters, with a reading order and a glossary.
//!
//! [hundred_lines]: hundred_lines
//! [masked_convolution]: masked_convolution
//! [diagonal_scan]: diagonal_scan
//! [attention]: attention
//! [bound]: bound
//! [pitfalls]: pitfalls
//! [yours]: yours
//! [reference]: mod@reference
//! [launches]: launches
//! [matrix_product]: matrix_product
//! [pixel]: crate::models::pixel
//! [draw]: crate::models::draw
//! [vae]: crate::models::vae
//! [autograd]: crate::autograd
//! [kernel]: crate::kernel
//! [ops]: crate::ops
//! [bench]: mod@crate::bench
//!
// The first definition of a link wins: here these, and where `front.md` is shown on its own, the ones at its end.
#![doc = include_str!("front.md")]

#[doc = include_str!("hundred_lines.md")]
pub mod hundred_lines {}

#[doc = include_str!("masked_convolution.md")]
pub mod masked_convolution {}

#[doc = include_str!("diagonal_scan.md")]
pub mod diagonal_scan {}

#[doc = include_str!("attention.md")]
pub mod attention {}

#[doc = include_str!("bound.md")]
pub mod bound {}

#[doc = include_str!("pitfalls.md")]
pub mod pitfalls {}

#[doc = include_str!("yours.md")]
pub mod yours {}

#[doc = include_str!("reference.md")]
pub mod reference {}

#[doc = include_str!("launches.md")]
pub mod launches {}

#[doc = include_str!("matrix_product.md")]
pub mod matrix_product {}
