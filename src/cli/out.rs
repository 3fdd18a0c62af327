//! Results: lines for people, or with `--json` one object for programs, both on stdout. A command says and
//! gives the same things either way; what it only says is not in the object, what it only gives is not
//! printed.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pixelloom::train::ranks;
use serde::Serialize;
use serde_json::{Map, Value};

/// The object, where one was asked for.
static OBJECT: OnceLock<Mutex<Map<String, Value>>> = OnceLock::new();

fn object() -> Option<MutexGuard<'static, Map<String, Value>>> {
    OBJECT.get().map(|object| object.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Results are an object from now on.
pub fn as_json() {
    OBJECT.get_or_init(Mutex::default);
}

/// A line for people.
pub fn say(text: &str) -> io::Result<()> {
    if object().is_some() { Ok(()) } else { writeln!(io::stdout(), "{text}") }
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
    say(&name)
}

/// Prints the object, if one was asked for.
pub fn finish() -> io::Result<()> {
    match object() {
        Some(object) => writeln!(io::stdout(), "{:#}", Value::Object(object.clone())),
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
    let _ = io::stderr().write_all(format!("{}{text}\n", ranks::prefix()).as_bytes());
}
