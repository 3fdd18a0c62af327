//! The report of a run.

use std::path::Path;

use crate::error::{Error, Result};

/// Writes `report.html` into the run's directory.
pub fn write(run_dir: &Path) -> Result<()> {
    let path = run_dir.join("report.html");
    std::fs::write(&path, "<!doctype html>\n").map_err(|e| Error::disk("write", &path, e))
}
