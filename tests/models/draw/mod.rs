//! DRAW: filters, reads and writes, glimpses, bounds, what it learns.

mod filters;
mod glimpses;
mod learning;
mod windows;
