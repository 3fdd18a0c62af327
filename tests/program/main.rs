//! Tests of the program: its commands, data, pictures, reports, measurements and files, and the rules of the project.

mod bench;
mod border;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod data;
mod guide;
mod house;
mod package;
#[path = "../common/peak.rs"]
mod peak;
mod pictures;
mod pretrained;
mod readme;
mod report;
mod words;
