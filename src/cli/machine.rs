//! `--device` and `--threads`: where a command runs its computations.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use pixelloom::machine::choose as choose_device;
use pixelloom::ranks::local;
use pixelloom::{Device, Error};

use super::bar::Bar;
use super::out::remark;

/// Upper limit of `--threads`.
const MOST_THREADS: i64 = 1024;

#[derive(Args)]
pub struct Machine {
    /// auto, cpu, gpu (the first hardware GPU), gpu:N, a part of an adapter's name, or reference (plain loops; slow,
    /// for reading and debugging)
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "auto",
        help_heading = "Machine",
        env = "PIXELLOOM_DEVICE"
    )]
    device: String,
    /// CPU threads; results do not depend on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Machine", env = "PIXELLOOM_THREADS",
          value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
}

impl Machine {
    /// The flags that were given, as arguments for another command.
    pub fn arguments(&self) -> Vec<String> {
        let device = (self.device != "auto").then(|| ["--device".into(), self.device.clone()]);
        let threads = self.threads.map(|n| ["--threads".into(), n.to_string()]);
        device.into_iter().chain(threads).flatten().collect()
    }

    /// Runs `f` on the chosen device, inside a thread pool of the chosen size.
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
        remark(&format!("device: {}{threads} ({why})", device.name()));
        pool.install(|| f(&device))
    }
}

/// The device and why it was chosen. Prints how long a GPU's kernels took to compile.
pub fn choose(which: &str) -> Result<(Device, String), Error> {
    let (start, mut kernels) = (Instant::now(), 0);
    let bar = Bar::new("kernels compiled", 0);
    let chosen = choose_device(which, local(), &mut |done, total| {
        kernels = total;
        let _ = bar.of(done, total);
    });
    bar.done();
    if chosen.is_ok() && kernels > 0 {
        let seconds = start.elapsed().as_secs_f64();
        remark(&format!("{kernels} kernels compiled in {seconds:.1} s"));
    }
    chosen
}
