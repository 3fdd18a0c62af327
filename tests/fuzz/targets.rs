//! The fuzz targets: for every reader, a generator of valid files, a step after damaging them, and the properties to
//! check.

use std::cell::OnceCell;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pixelloom::{Error, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::mutate::mutate;
use crate::peak::peak;

const MIB: usize = 1 << 20;

/// A reader under test.
pub struct Target {
    pub name: &'static str,
    /// Whether the format is text.
    pub text: bool,
    /// Number of inputs in the short run.
    pub short: u64,
    /// Generates a valid file, or one with a false header.
    pub seed: fn(&mut StdRng) -> Vec<u8>,
    /// Step after the damage, such as compression or correcting checksums.
    pub finish: fn(&mut StdRng, Vec<u8>) -> Vec<u8>,
    /// Reads the input and records its cost.
    pub read: fn(&[u8], &mut Findings),
}

/// All targets.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    crate::files::TARGETS.iter().chain(&crate::runs::TARGETS)
}

/// Input `number` of a target, which is always the same.
pub fn input(target: &Target, number: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(number);
    let mut bytes = (target.seed)(&mut rng);
    // One in eight stays undamaged, because valid files must be read too.
    if !number.is_multiple_of(8) {
        mutate(&mut rng, &mut bytes, target.text);
    }
    (target.finish)(&mut rng, bytes)
}

/// Leaves a file unchanged.
pub fn as_it_is(_: &mut StdRng, bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// The cost of reading an input, and violated properties.
#[derive(Default)]
pub struct Findings {
    /// Number of inputs that were read without an error.
    pub good: u64,
    /// The peak memory that was closest to its limit: bytes, limit.
    pub memory: (usize, usize),
    /// The longest time for an input.
    pub time: Duration,
    /// The last error.
    pub error: String,
    /// Broken properties.
    pub faults: Vec<String>,
}

/// Maximum time for an input.
const SECOND: Duration = Duration::from_secs(1);

impl Findings {
    /// Reads an input and checks that the error, if any, is one line that contains `name`, that memory stays below
    /// twice `bytes` plus 1 MiB, and that it takes less than a second.
    pub fn reads<T>(&mut self, bytes: usize, name: &str, work: impl Fn() -> Result<T>) {
        let started = Instant::now();
        let (most, result) = peak(&work);
        let mut time = started.elapsed();
        // On a busy machine, other processes may have caused the delay.
        for _ in 0..3 {
            if time >= SECOND / 20 {
                let started = Instant::now();
                let _ = work();
                time = time.min(started.elapsed());
            }
        }
        let limit = 2 * bytes + MIB;
        if most > limit {
            self.faults.push(format!("{most} bytes of memory; the limit is {limit}"));
        }
        if time >= SECOND {
            self.faults.push(format!("it takes {time:?}"));
        }
        match result {
            Ok(_) => self.good += 1,
            Err(error) => self.message(&error, name),
        }
        // Compare as fractions of their limits.
        if most as u128 * self.memory.1.max(1) as u128 >= self.memory.0 as u128 * limit as u128 {
            self.memory = (most, limit);
        }
        self.time = self.time.max(time);
    }

    fn message(&mut self, error: &Error, name: &str) {
        let text = error.to_string();
        if !text.contains(name) {
            self.faults.push(format!("the error does not name {name}: {text:?}"));
        }
        if text.chars().any(char::is_control) {
            self.faults.push(format!("control characters in the error: {text:?}"));
        }
        if text.len() > 4000 {
            self.faults.push(format!("an error of {} bytes", text.len()));
        }
        self.error = text;
    }

    /// Records a violated property if the values differ.
    #[track_caller]
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, a: T, b: T) {
        if a != b {
            self.faults.push(format!("{what}: {a:?} is not {b:?}"));
        }
    }
}

/// The findings of one input, including a panic.
pub fn examine(target: &Target, bytes: &[u8]) -> Findings {
    let read = std::panic::AssertUnwindSafe(|| {
        let mut findings = Findings::default();
        (target.read)(bytes, &mut findings);
        findings
    });
    std::panic::catch_unwind(read).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
        Findings { faults: vec![format!("a panic: {text}")], ..Findings::default() }
    })
}

/// A folder for this thread, in memory if the system has such a file system.
pub fn folder() -> PathBuf {
    thread_local!(static FOLDER: OnceCell<TempDir> = const { OnceCell::new() });
    let new = || {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        made.expect("a folder")
    };
    FOLDER.with(|folder| folder.get_or_init(new).path().to_path_buf())
}

/// Shrinks an input by removing parts as long as it still violates a property.
pub fn shrunk(target: &Target, mut bytes: Vec<u8>) -> Vec<u8> {
    let breaks = |bytes: &[u8]| !examine(target, bytes).faults.is_empty();
    let until = Instant::now() + Duration::from_secs(10);
    let mut piece = bytes.len().div_ceil(2);
    while piece > 0 && Instant::now() < until {
        let mut at = 0;
        while at < bytes.len() && Instant::now() < until {
            let mut fewer = bytes.clone();
            fewer.drain(at..(at + piece).min(bytes.len()));
            if breaks(&fewer) {
                bytes = fewer;
            } else {
                at += piece;
            }
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    bytes
}
