//! Reports: one self-contained HTML page about a run, and one that compares several. A page contains its style, plots
//! (SVG) and pictures (PNG in base64), and loads nothing. It is complete without a script; one small script makes its
//! plots interactive. It works in dark mode, in print and with screen readers. Every score is shown with its data set,
//! split, binarization and device, because scores with different ones cannot be compared.

mod compare;
mod csv;
mod curves;
mod gallery;
mod glimpses;
mod html;
mod interactive;
mod labels;
mod page;
pub mod plots;
pub mod read;
mod reference;
mod tensorboard;
mod time;

pub use compare::compare;
pub use csv::csv;
pub use page::write;
pub use read::{lines_of, read_metrics, summary};
pub use tensorboard::{events, events_path};
pub use time::LEAST_SHARE;
