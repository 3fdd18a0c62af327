//! The pixel models: receptive fields, exact probabilities, sampling, learning.

mod cached;
mod classes;
mod dropout;
mod exact;
mod learning;
mod models;
mod reach;
mod shifts;
mod temperature;
