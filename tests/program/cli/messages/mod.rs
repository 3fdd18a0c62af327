//! Every message of an error, as a user sees it: what, where, and what to do.
//!
//! Each test collects commands and what they say in a snapshot, one file an area. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --release --test program messages`, and read the difference.
//!
//! Devices that are not there: `errors.rs`, since the adapters that are differ from machine to machine.
//!
//! Not here, since no test can bring them about everywhere: no threads left to start; a signal that cannot be
//! caught; an adapter that is too small, that is lost, that runs out of memory or has no timestamps
//! (`tests/engine/gpu_runtime/failures.rs` has the messages themselves); a disk that is full or fails at a sync or a lock;
//! names and values that are not finite in an evaluation, though the weights of a checkpoint always are; more data
//! than memory; archives of house numbers of their full size (`tests/program/data/house_numbers.rs` has small ones).

mod checkpoints;
mod data;
mod outputs;
mod resume;
mod settings;
mod usage;

use super::{Place, stderr};

/// Commands and what they say.
pub struct Transcript<'a> {
    place: &'a Place,
    text: String,
}

impl<'a> Transcript<'a> {
    pub fn new(place: &'a Place) -> Transcript<'a> {
        Transcript { place, text: String::new() }
    }

    /// Runs a command that must fail with `code`, on the CPU where it computes.
    #[track_caller]
    pub fn fails(&mut self, arguments: &str, code: i32) {
        let output = self.place.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(!said.contains("panicked"), "{arguments}: {said}");
        // What a run says beside its error stands elsewhere.
        let other = ["device: ", "checkpoint: ", "note: ", "run: ", "step "];
        let lines = said.lines().filter(|line| !other.iter().any(|begin| line.starts_with(begin)));
        let lines: Vec<&str> = lines.map(str::trim_end).collect();
        let place = self.place.path("").display().to_string();
        let lines = lines.join("\n").replace(place.trim_end_matches('/'), "PLACE");
        let arguments = arguments.replace(place.trim_end_matches('/'), "PLACE");
        self.text += &format!("$ pixelloom {arguments}\n{lines}\n[exit code {code}]\n\n");
    }

    pub fn text(self) -> String {
        self.text.trim_end().to_string()
    }
}

/// Compares what was said with the snapshot of this test.
macro_rules! said {
    ($transcript:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($transcript.text())
        })
    };
}
pub(crate) use said;
