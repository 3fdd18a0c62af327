//! Speeds of an earlier measurement, to notice kernels that have become slower.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::speeds::Speed;
use crate::data::files::{cause, whole};
use crate::error::{Error, Result};

/// Most bytes of a file of speeds.
const MOST_BYTES: u64 = 16 << 20;

/// Smallest change that counts, as a share: processors change their clock by about this much.
const LEAST_CHANGE: f64 = 0.05;

/// Speeds of a device. This is the part of `pixelloom kernels perf --json` that a comparison needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Name of the device with its threads.
    pub device: String,
    /// Speeds of cases.
    pub speeds: Vec<Speed>,
}

impl Baseline {
    /// Reads the file. Fails with [`Error::Data`].
    pub fn read(path: &Path) -> Result<Baseline> {
        let fault = |what: String| {
            Error::Data(format!(
                "{}: {what}; a baseline is what `pixelloom kernels perf --json` printed",
                path.display()
            ))
        };
        let bytes = whole(path, MOST_BYTES).map_err(|e| fault(cause(&e)))?;
        serde_json::from_slice(&bytes).map_err(|e| fault(e.to_string()))
    }

    /// Checks that it was measured on the device of this name. Fails with [`Error::Config`].
    pub fn check_device(&self, device: &str, path: &Path) -> Result<()> {
        if self.device == device {
            return Ok(());
        }
        Err(Error::Config(format!(
            "{} was measured on \"{}\", and this is \"{device}\"; choose the same device and --threads, or measure a \
             new baseline",
            path.display(),
            self.device
        )))
    }

    /// The speed of the same case.
    pub fn of(&self, speed: &Speed) -> Option<&Speed> {
        self.speeds
            .iter()
            .find(|then| then.operation == speed.operation && then.sizes == speed.sizes)
    }
}

/// Whether the times lie beyond the earlier ones, from quartile to quartile, and the median has grown by more than five
/// percent.
pub fn is_slower(now: &Speed, then: &Speed) -> bool {
    let beyond = now.quartiles[0] > then.quartiles[1];
    beyond && now.seconds > (1.0 + LEAST_CHANGE) * then.seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(seconds: f64, spread: f64) -> Speed {
        Speed {
            operation: "matmul".into(),
            sizes: "9x9".into(),
            seconds,
            quartiles: [seconds - spread, seconds + spread],
            gflops: 1.0,
            gigabytes: 1.0,
        }
    }

    #[test]
    fn slower_means_beyond_the_spread() {
        let then = speed(1.0, 0.1);
        assert!(!is_slower(&speed(1.0, 0.0), &then));
        assert!(!is_slower(&speed(0.1, 0.0), &then));
        assert!(!is_slower(&speed(1.09, 0.0), &then));
        assert!(is_slower(&speed(1.11, 0.0), &then));
        assert!(!is_slower(&speed(1.11, 0.02), &then));
        assert!(is_slower(&speed(1.13, 0.02), &then));
        // No spread at all: less than five percent is the clock.
        assert!(!is_slower(&speed(1.04, 0.0), &speed(1.0, 0.0)));
        assert!(is_slower(&speed(1.06, 0.0), &speed(1.0, 0.0)));
    }

    #[test]
    fn files_are_read_or_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.json");
        let base = Baseline { device: "cpu, 2 threads".into(), speeds: vec![speed(0.5, 0.25)] };
        std::fs::write(&path, serde_json::to_vec(&base).unwrap()).unwrap();
        let read = Baseline::read(&path).unwrap();
        assert_eq!(read, base);
        assert_eq!(read.of(&speed(3.0, 0.0)), Some(&base.speeds[0]));
        read.check_device("cpu, 2 threads", &path).unwrap();
        let error = read.check_device("cpu, 1 thread", &path).unwrap_err();
        assert!(
            matches!(error, Error::Config(_)) && error.to_string().contains("2 threads"),
            "{error}"
        );
        for (text, part) in [("{}", "missing field `device`"), ("", "EOF"), ("[1", "base.json")] {
            std::fs::write(&path, text).unwrap();
            let error = Baseline::read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("kernels perf --json"), "{error}");
        }
        let error = Baseline::read(&dir.path().join("none")).unwrap_err();
        assert_eq!(error.exit_code(), 4);
    }
}
