//! DRAW: filters, reads and writes, glimpses, bounds, what it learns.

#[path = "../common/mod.rs"]
mod common;

mod filters;
mod glimpses;
mod learning;
mod windows;
