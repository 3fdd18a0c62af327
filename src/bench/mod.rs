//! Measurements: workloads and their cost, a device's peak rates, and tables and plots of both. `pixelloom bench` and
//! everything under `benches/` use this module.

pub mod baseline;
pub mod probe;
pub mod roofline;
pub mod speeds;
pub mod table;
pub mod timing;
pub mod tune;
pub mod workloads;
pub mod yardstick;

pub use speeds::{Speed, speeds};
pub use table::Table;
pub use timing::{Machine, Timing, time};
pub use workloads::{Ready, Task, Workload, sampling, workloads};
