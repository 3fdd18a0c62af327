//! SIGINT, SIGTERM and SIGHUP during training: after the first, the loop stops at the end of its step; a second SIGINT
//! or SIGTERM ends the process at once. In other commands, signals are only delayed while a file is renamed into place.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::{Error, Result};

/// The signals that this process has caught.
pub struct Signals {
    caught: Arc<AtomicUsize>,
    /// Set when the terminal or the connection is closed.
    #[cfg(unix)]
    hung_up: Arc<AtomicBool>,
}

fn cannot(signal: i32) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::Config(format!("cannot catch signal {signal}: {e}"))
}

impl Signals {
    /// Catches signals from now on.
    pub fn catch() -> Result<Signals> {
        let caught = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Handlers run in order of registration, so a second signal finds `again` set by the first.
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, caught.clone(), signal as usize))
                .map_err(cannot(signal))?;
        }
        Ok(Signals {
            caught,
            #[cfg(unix)]
            hung_up: hang_ups()?,
        })
    }

    /// Fails with [`Error::Interrupted`] if a signal came.
    pub fn check(&self) -> Result<()> {
        let stop = |signal| Err(Error::Interrupted { signal, resume: String::new() });
        self.caught().map_or(Ok(()), stop)
    }

    /// The signal that was caught, if any.
    pub fn caught(&self) -> Option<i32> {
        match self.caught.load(Ordering::Relaxed) {
            #[cfg(unix)]
            0 if self.hung_up.load(Ordering::Relaxed) => Some(SIGHUP),
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

/// A flag that SIGHUP sets, unless `nohup` made the process ignore it. A second SIGHUP does not end the process,
/// because the kernel and the shell each send one when a terminal closes.
#[cfg(unix)]
fn hang_ups() -> Result<Arc<AtomicBool>> {
    let hung_up = Arc::new(AtomicBool::new(false));
    if !is_ignored(SIGHUP) {
        flag::register(SIGHUP, hung_up.clone()).map_err(cannot(SIGHUP))?;
    }
    Ok(hung_up)
}

/// Signals that [`postponed`] delays.
const POSTPONED: &[i32] = &[
    SIGINT,
    SIGTERM,
    #[cfg(unix)]
    SIGHUP,
];

/// Whether signals end the process immediately, as they do outside [`postponed`], and the last signal received.
#[derive(Clone)]
struct Postponing {
    at_once: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
}

/// The handlers, registered by the first call of [`postponed`].
static POSTPONING: Mutex<Option<Postponing>> = Mutex::new(None);

/// Runs `f`; if SIGINT, SIGTERM or SIGHUP arrives meanwhile, the process ends when `f` is done. Not for training, which
/// has its own handlers. Fails with [`Error::Config`] if the signals cannot be caught.
pub fn postponed<T>(f: impl FnOnce() -> T) -> Result<T> {
    let mut handlers = POSTPONING.lock().unwrap_or_else(PoisonError::into_inner);
    let Postponing { at_once, came } = match &*handlers {
        Some(handlers) => handlers.clone(),
        None => handlers.insert(Postponing::register()?).clone(),
    };
    at_once.store(false, Ordering::SeqCst);
    let done = f();
    at_once.store(true, Ordering::SeqCst);
    if let signal @ 1.. = came.load(Ordering::SeqCst) {
        let _ = low_level::emulate_default_handler(signal as i32);
    }
    Ok(done)
}

impl Postponing {
    fn register() -> Result<Postponing> {
        let handlers = Postponing {
            at_once: Arc::new(AtomicBool::new(true)),
            came: Arc::new(AtomicUsize::new(0)),
        };
        for &signal in POSTPONED.iter().filter(|&&signal| !is_ignored(signal)) {
            flag::register_conditional_default(signal, handlers.at_once.clone())
                .and_then(|_| flag::register_usize(signal, handlers.came.clone(), signal as usize))
                .map_err(cannot(signal))?;
        }
        Ok(handlers)
    }
}

/// Whether the process was started with this signal ignored, for example by `nohup`; a handler would undo that. Only
/// Linux reports it.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
