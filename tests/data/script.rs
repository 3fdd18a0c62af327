//! The download script.
