//! Training: pictures, plots and the report of a run.

pub mod pictures;
pub mod plots;
pub mod report;
