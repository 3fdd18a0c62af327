//! Command-line arguments of the benchmarks. `cargo bench` adds `--bench`, which is ignored.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use pixelloom::Device;
use pixelloom::machine::choose;
use pixelloom::report::plots::{Plot, curve};

/// The arguments of the command line.
pub struct Arguments(Vec<String>);

/// Flags with a value.
const FLAGS: [&str; 6] = ["--only", "--threads", "--seconds", "--device", "--svg", "--kind"];

impl Arguments {
    /// The arguments of this process. Exits with a message at an unknown flag or one without a value.
    pub fn read() -> Arguments {
        let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let flag = word.starts_with("--");
            let known = FLAGS.contains(&word.as_str());
            let fits = if known { rest.next().is_some() } else { !flag };
            if !fits {
                eprintln!("error: {word}: the flags, each with a value, are {}", FLAGS.join(" "));
                std::process::exit(2);
            }
        }
        Arguments(words)
    }

    /// Every value of `flag`.
    pub fn values(&self, flag: &str) -> Vec<String> {
        let pairs = self.0.windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1].clone()).collect()
    }

    /// The last value of `flag`.
    pub fn value(&self, flag: &str) -> Option<String> {
        self.values(flag).pop()
    }

    /// The value of `flag` as a number, or `default` without it. Panics if it is not a number.
    pub fn number(&self, flag: &str, default: f64) -> f64 {
        let parsed = |text: String| text.parse().unwrap_or_else(|_| panic!("{flag} {text}"));
        self.value(flag).map_or(default, parsed)
    }

    /// The value of `--svg`.
    pub fn svg(&self) -> Option<PathBuf> {
        self.value("--svg").map(PathBuf::from)
    }

    /// Positional arguments: neither flags nor their values.
    pub fn plain(&self) -> Vec<String> {
        let value = |i: usize| i > 0 && FLAGS.contains(&self.0[i - 1].as_str());
        let plain = |(i, word): (usize, &String)| {
            (!word.starts_with("--") && !value(i)).then(|| word.clone())
        };
        self.0.iter().enumerate().filter_map(plain).collect()
    }

    /// The value of `--threads`, or the number of cores.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        self.number("--threads", cores as f64) as usize
    }

    /// A pool of [`Arguments::threads`] threads.
    pub fn pool(&self) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(self.threads()).build().expect("threads")
    }

    /// The device that the last `--device` names, or the CPU without one.
    pub fn device(&self) -> Device {
        self.devices().pop().expect("one at least")
    }

    /// All devices named with `--device`, or the CPU without one. Exits with a message if one cannot be opened.
    pub fn devices(&self) -> Vec<Device> {
        let mut names = self.values("--device");
        if names.is_empty() {
            names.push("cpu".into());
        }
        let open = |name: &String| match choose(name, 0, &mut |_, _| ()) {
            Ok((device, _)) => device,
            Err(error) => {
                eprintln!("error: {error}");
                std::process::exit(error.exit_code());
            }
        };
        names.iter().map(open).collect()
    }
}

/// Writes a plot and reports its path on stderr.
pub fn save(plot: &Plot, path: &Path) {
    std::fs::write(path, curve(plot)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    eprintln!("wrote {}", path.display());
}
