//! Reports: one self-contained HTML page about a run, and one that compares several.
//!
//! A page holds its style, plots (SVG) and pictures (PNG in base64), loads nothing, runs no script,
//! and reads well in the dark, on paper and aloud. Every figure stands beside its data set, split,
//! binarization and device, since figures under different ones cannot be compared.

mod compare;
mod csv;
mod curves;
mod gallery;
mod glimpses;
mod html;
mod labels;
mod page;
pub mod plots;
mod read;
mod reference;
mod tensorboard;
mod time;

pub use compare::compare;
pub use csv::csv;
pub use page::write;
pub use read::{lines_of, read_metrics, summary};
pub use tensorboard::{events, events_path};
