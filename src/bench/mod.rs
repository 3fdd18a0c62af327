//! Measurements: the workloads, what they cost, what a device can do at most, and tables and plots of
//! both. `pixelloom bench` and everything under `benches/` measure through it.

pub mod probe;
pub mod roofline;
pub mod table;
pub mod timing;
pub mod workloads;

pub use table::Table;
pub use timing::{Machine, Timing, time};
pub use workloads::{Ready, Task, Workload, sampling, workloads};
