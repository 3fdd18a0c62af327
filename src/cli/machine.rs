//! `--device` and `--threads`: where a command computes.

use anyhow::Result;
use clap::Args;
use pixelloom::{Device, Error};

use super::complain;

/// Most threads that may be asked for.
const MOST_THREADS: i64 = 1024;

#[derive(Args)]
pub struct Machine {
    /// auto, cpu, gpu (the first real one), gpu:N, or a part of an adapter's name
    #[arg(long, value_name = "WHICH", default_value = "auto", help_heading = "Machine")]
    device: String,
    /// CPU threads [default: all cores]; results do not depend on it
    #[arg(long, value_name = "N", help_heading = "Machine",
          value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
}

impl Machine {
    /// Runs `f` on the chosen device inside a pool of the chosen size.
    pub fn run<T: Send>(&self, f: impl FnOnce(&Device) -> Result<T> + Send) -> Result<T> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = self.threads.map_or_else(cores, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool =
            pool.map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))?;
        let (device, why) = choose(&self.device)?;
        let threads = if device.is_cpu() {
            format!(", {threads} thread{}", if threads == 1 { "" } else { "s" })
        } else {
            String::new()
        };
        complain(&format!("device: {}{threads} ({why})", device.name()));
        pool.install(|| f(&device))
    }
}

/// The device and why it was chosen.
fn choose(which: &str) -> Result<(Device, String), Error> {
    match which {
        "cpu" => Ok((Device::cpu(), "asked for".into())),
        other => gpu::choose(other),
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use pixelloom::{Device, Error};

    pub fn choose(which: &str) -> Result<(Device, String), Error> {
        match which {
            "auto" => Ok((Device::cpu(), "auto: this program is built without GPU support".into())),
            other => Err(Error::Device(format!(
                "no device \"{other}\": this program is built without GPU support (feature \
                 \"gpu\"); use --device cpu"
            ))),
        }
    }
}

#[cfg(feature = "gpu")]
mod gpu {
    use std::time::Instant;

    use indicatif::{ProgressBar, ProgressStyle};
    use pixelloom::gpu::{AdapterSummary, Gpu, GpuOptions, adapters};
    use pixelloom::ops::kernels;
    use pixelloom::{Device, Error};

    use super::super::complain;

    pub fn choose(which: &str) -> Result<(Device, String), Error> {
        let found = adapters();
        let real = found.iter().find(|a| !a.software);
        match which {
            "auto" => Ok(match real.map(|a| (a, open(a))) {
                Some((_, Ok(device))) => (device, "auto: the first GPU".into()),
                Some((a, Err(why))) => (Device::cpu(), format!("auto: not {}: {why}", a.name)),
                None => (Device::cpu(), "auto: there is no GPU with a driver".into()),
            }),
            "gpu" => match real {
                Some(a) => Ok((open(a)?, "the first GPU".into())),
                None => Err(missing("no GPU with a driver was found", &found)),
            },
            other => {
                let number = other.strip_prefix("gpu:").map(str::parse::<usize>);
                let adapter = match number {
                    Some(Ok(number)) => found.iter().find(|a| a.index == number),
                    Some(Err(_)) => None,
                    None => {
                        found.iter().find(|a| a.name.to_lowercase().contains(&other.to_lowercase()))
                    }
                };
                match adapter {
                    Some(a) if a.software => Ok((open(a)?, "asked for; software".into())),
                    Some(a) => Ok((open(a)?, "asked for".into())),
                    None => Err(missing(&format!("there is no device \"{other}\""), &found)),
                }
            }
        }
    }

    /// Opens the adapter and compiles all kernels, so that no step waits for the driver.
    fn open(adapter: &AdapterSummary) -> Result<Device, Error> {
        let gpu = Gpu::open(adapter.index, GpuOptions::default())?;
        let kernels = kernels();
        let entries: Vec<_> = kernels.iter().map(|k| (k.program(), k.entries())).collect();
        let total = entries.iter().map(|(_, entries)| entries.len()).sum::<usize>();
        let (start, bar) = (Instant::now(), ProgressBar::new(total as u64));
        bar.set_style(style());
        gpu.compile(&entries, &mut |done, _| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        complain(&format!("{total} kernels compiled in {seconds:.1} s"));
        Ok(Device::Gpu(gpu))
    }

    fn style() -> ProgressStyle {
        ProgressStyle::with_template("compiling kernels {bar:24} {pos}/{len}").expect("a template")
    }

    fn missing(what: &str, found: &[AdapterSummary]) -> Error {
        let mut names = vec!["cpu".to_string()];
        names.extend(found.iter().map(|a| {
            let software = if a.software { ", software" } else { "" };
            format!("gpu:{} ({}, {}{software})", a.index, a.name, a.backend)
        }));
        Error::Device(format!("{what}; there are: {}", names.join(", ")))
    }
}
