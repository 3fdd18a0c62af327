//! Results on stdout: lines for people or, with `--json`, one object for programs. Commands always call both [`say`]
//! for the lines and [`give`] or [`add`] for the object; one of the two has no effect. Control characters of names and
//! texts from files are escaped here, so that none reaches the terminal.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pixelloom::{terminal, text};
use serde::Serialize;
use serde_json::{Map, Value};

/// The JSON object, if `--json` was given.
static OBJECT: OnceLock<Mutex<Map<String, Value>>> = OnceLock::new();

/// Whether the command writes a file to stdout.
static LEFT: AtomicBool = AtomicBool::new(false);

/// Whether the command writes files; it then finishes even if nobody reads its results.
static WRITES: AtomicBool = AtomicBool::new(false);

/// Whether `-v` was given.
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Sets `-v`.
pub fn be_verbose() {
    VERBOSE.store(true, Ordering::Relaxed);
}

/// Whether to print more than usual (`-v`).
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Records that the command writes files.
pub fn writes_files() {
    WRITES.store(true, Ordering::Relaxed);
}

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
    let printed = match LEFT.load(Ordering::Relaxed) {
        true => writeln!(io::stderr(), "{text}"),
        false => writeln!(io::stdout(), "{text}"),
    };
    match printed {
        // As in `eval --per-image FILE | head -1`: the reader has closed the pipe, but the file must still be written.
        Err(e) if e.kind() == ErrorKind::BrokenPipe && WRITES.load(Ordering::Relaxed) => Ok(()),
        printed => printed,
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

/// Prints the object if --json is given.
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

/// Prints a line to stderr; with `-q` only if it is a warning.
pub fn remark(text: &str) {
    if !terminal::is_quiet() || text.starts_with("warning:") {
        complain(text);
    }
}

/// Prints a line to stderr, ignoring errors.
pub fn complain(text: &str) {
    terminal::line(text);
}
