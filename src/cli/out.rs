//! Results on stdout: lines for people or, with `--json`, one object for programs. Commands always call both [`say`]
//! for the lines and [`give`] or [`add`] for the object; one of the two has no effect. Control characters of names and
//! texts from files are escaped here, so that none reaches the terminal.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pixelloom::ranks;
use pixelloom::text;
use serde::Serialize;
use serde_json::{Map, Value};

/// The JSON object, if `--json` was given.
static OBJECT: OnceLock<Mutex<Map<String, Value>>> = OnceLock::new();

/// Whether the command writes a file to stdout.
static LEFT: AtomicBool = AtomicBool::new(false);

fn object() -> Option<MutexGuard<'static, Map<String, Value>>> {
    OBJECT.get().map(|object| object.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Collects results in an object from now on.
pub fn as_json() {
    OBJECT.get_or_init(Mutex::default);
}

/// Prints results to stderr from now on, because stdout receives a file.
pub fn leave_stdout() {
    LEFT.store(true, Ordering::Relaxed);
}

/// Prints results.
fn print(text: &str) -> io::Result<()> {
    match LEFT.load(Ordering::Relaxed) {
        true => writeln!(io::stderr(), "{text}"),
        false => writeln!(io::stdout(), "{text}"),
    }
}

/// Prints lines for people; does nothing with `--json`.
pub fn say(text: &str) -> io::Result<()> {
    if object().is_some() { Ok(()) } else { print(&text::lines(text)) }
}

/// Sets a field of the object; does nothing without `--json`.
pub fn give(key: &str, value: impl Serialize) {
    if let Some(mut object) = object() {
        object.insert(key.into(), json(value));
    }
}

/// Sets all fields of `fields`, which must serialize as an object.
pub fn give_all(fields: impl Serialize) {
    if let (Some(mut object), Value::Object(fields)) = (object(), json(fields)) {
        object.extend(fields);
    }
}

/// Appends to the list `key` of the object.
pub fn add(key: &str, value: impl Serialize) {
    if let Some(mut object) = object()
        && let Value::Array(list) = object.entry(key).or_insert_with(|| Value::Array(Vec::new()))
    {
        list.push(json(value));
    }
}

/// Reports a file that was written: prints its path and appends it to the list `files`.
pub fn wrote(path: &Path) -> io::Result<()> {
    let name = path.display().to_string();
    add("files", &name);
    say(&text::line(&name))
}

/// Prints the object, if one was asked for.
pub fn finish() -> io::Result<()> {
    match object() {
        Some(object) => print(&text::json(&format!("{:#}", Value::Object(object.clone())))),
        None => Ok(()),
    }
}

/// Serializes a value; NaN and infinity become null.
fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("results have strings as keys")
}

/// Prints a line to stderr, ignoring errors.
pub fn complain(text: &str) {
    // A single write, so that lines of several processes do not mix.
    let line = format!("{}{}\n", ranks::prefix(), text::line(text));
    let _ = io::stderr().write_all(line.as_bytes());
}
