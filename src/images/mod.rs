//! Pictures of what a model draws and reads: sheets of images (PNG) and films (GIF).
//!
//! Images are rows of height * width * channels numbers in \[0, 1\].

pub mod collection;
pub mod drawing;
pub mod film;
pub mod glimpses;
mod glyphs;
pub mod nearest;
pub mod receptive_field;
pub mod samples;
pub mod sheet;
pub mod tile;

pub use crate::models::Shape;
