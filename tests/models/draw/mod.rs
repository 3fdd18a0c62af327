//! DRAW: filters, reads and writes, glimpses, bounds, learning.

mod filters;
mod glimpses;
mod learning;
mod windows;
