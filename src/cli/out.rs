//! Results: lines for people, or with `--json` one object for programs, both on stdout. A command says and
//! gives the same things either way; what it only says is not in the object, what it only gives is not
//! printed. Here control characters of names and texts from files become escapes, so that none reaches the
//! terminal.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pixelloom::ranks;
use pixelloom::text;
use serde::Serialize;
use serde_json::{Map, Value};

/// The object, where one was asked for.
static OBJECT: OnceLock<Mutex<Map<String, Value>>> = OnceLock::new();

/// Whether the command writes a file to stdout.
static LEFT: AtomicBool = AtomicBool::new(false);

fn object() -> Option<MutexGuard<'static, Map<String, Value>>> {
    OBJECT.get().map(|object| object.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Results are an object from now on.
pub fn as_json() {
    OBJECT.get_or_init(Mutex::default);
}

/// Results go to stderr from now on, as stdout gets a file.
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

/// Lines for people.
pub fn say(text: &str) -> io::Result<()> {
    if object().is_some() { Ok(()) } else { print(&text::lines(text)) }
}

/// A field for programs.
pub fn give(key: &str, value: impl Serialize) {
    if let Some(mut object) = object() {
        object.insert(key.into(), json(value));
    }
}

/// All fields of `fields`, which serializes as an object.
pub fn give_all(fields: impl Serialize) {
    if let (Some(mut object), Value::Object(fields)) = (object(), json(fields)) {
        object.extend(fields);
    }
}

/// One more of the things in the list `key`.
pub fn add(key: &str, value: impl Serialize) {
    if let Some(mut object) = object()
        && let Value::Array(list) = object.entry(key).or_insert_with(|| Value::Array(Vec::new()))
    {
        list.push(json(value));
    }
}

/// A file that was written: a line, and one of `files`.
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

/// Numbers that are not finite become null.
fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("results have names of text for keys")
}

/// A line on stderr; if nobody reads it, it is lost.
pub fn complain(text: &str) {
    // One write: lines of several processes come together.
    let line = format!("{}{}\n", ranks::prefix(), text::line(text));
    let _ = io::stderr().write_all(line.as_bytes());
}
