//! All error messages as a user sees them: what failed, where, and what to do.
//!
//! Each test collects commands and their messages in a snapshot, with one file per area. After an intended change, run
//! `INSTA_UPDATE=always cargo test --release --test program messages` and read the diff.
//!
//! Missing devices are tested in `errors.rs`, because the existing adapters differ between machines.
//!
//! Some errors are not tested here, because no test can provoke them everywhere: no more threads can be started; a
//! signal cannot be caught; an adapter is too small, is lost, runs out of memory or has no timestamps
//! (`tests/engine/gpu_runtime/failures.rs` has these messages); a disk is full or fails at a sync or a lock; values in
//! an evaluation are NaN although the weights are finite; the data exceed the memory; full-size archives of house
//! numbers (`tests/program/data/house_numbers.rs` has small ones).

mod checkpoints;
mod data;
mod outputs;
mod resume;
mod settings;
mod usage;

use super::{Place, stderr};

/// Commands and their messages.
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
        // Leave out the other messages of a run.
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

/// Compares a transcript with the snapshot of this test.
macro_rules! said {
    ($transcript:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($transcript.text())
        })
    };
}
pub(crate) use said;
