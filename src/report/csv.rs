//! The metrics of runs as one CSV table, with a row per line of `metrics.jsonl`. The first line is a comment that
//! begins with `#`.

use std::path::Path;

use serde_json::Value;

use super::read::Run;
use crate::error::Result;
use crate::output::{Output, csv_cell, csv_comment};

/// Writes the lines of the runs' `metrics.jsonl` to the file `out`. The first column is the run; the others are the
/// keys, in order of first appearance. Array elements have their own columns, numbered from 1. A cell is empty where a
/// line lacks the key.
///
/// Fails as [`write`](super::write) and [`Output::put`] do.
pub fn csv(run_dirs: &[&Path], out: &Output) -> Result<()> {
    let mut head = vec!["run".to_string()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for dir in run_dirs {
        let run = Run::read(dir)?;
        for line in &run.metrics {
            let mut row = vec![run.name.clone()];
            for (key, value) in cells(line) {
                let column = head.iter().position(|other| *other == key).unwrap_or_else(|| {
                    head.push(key);
                    head.len() - 1
                });
                row.resize(row.len().max(column + 1), String::new());
                row[column] = value;
            }
            rows.push(row);
        }
    }
    rows.iter_mut().for_each(|row| row.resize(head.len(), String::new()));
    let line = |cells: &Vec<String>| {
        cells.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",") + "\n"
    };
    let text: String = std::iter::once(&head).chain(&rows).map(line).collect();
    out.put((csv_comment("metrics of runs") + &text).as_bytes())
}

/// Keys and values of a line as text, without nulls.
fn cells(line: &Value) -> Vec<(String, String)> {
    let mut cells = Vec::new();
    for (key, value) in line.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => cells.push((key.clone(), text.clone())),
            Value::Array(values) => cells.extend(
                values.iter().enumerate().map(|(i, v)| (format!("{key}.{}", i + 1), v.to_string())),
            ),
            value => cells.push((key.clone(), value.to_string())),
        }
    }
    cells
}
