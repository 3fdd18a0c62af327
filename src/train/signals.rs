//! SIGINT and SIGTERM: the first is noted, and the loop stops after its step; a second one ends the
//! process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// The signals of this process.
pub struct Signals {
    caught: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches signals from now on.
    pub fn catch() -> Result<Signals> {
        let caught = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In order of registration: the second signal finds `again` set by the first.
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, caught.clone(), signal as usize))
                .map_err(|e| Error::Config(format!("cannot catch signal {signal}: {e}")))?;
        }
        Ok(Signals { caught })
    }

    /// Fails with [`Error::Interrupted`] if a signal came.
    pub fn check(&self) -> Result<()> {
        self.caught().map_or(Ok(()), |signal| Err(Error::Interrupted(signal)))
    }

    /// The signal that came, if one did.
    pub fn caught(&self) -> Option<i32> {
        match self.caught.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}
