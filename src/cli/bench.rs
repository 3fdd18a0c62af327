//! `pixelloom bench`: how fast this machine trains and samples, compared with its peak rates.

use anyhow::Result;
use clap::Args;
use pixelloom::bench::timing::{self, Timing};
use pixelloom::bench::yardstick::{self, Split};
use pixelloom::bench::{self, Ready, Table, Task, Workload, probe, workloads};
use pixelloom::profile::Profile;
use pixelloom::{Device, Error};

use super::machine::Machine;
use super::out::{add, complain, give, remark, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom bench --only pixelcnn
  pixelloom bench --seconds 5 --device gpu --json";

/// Time training steps of the papers' models and compare them with the machine's peak rates
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Only workloads whose name begins with NAME, such as vae or pixelcnn-mnist
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Seconds per workload; at least one step is timed, after one step of warm-up
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,

    #[command(flatten)]
    machine: Machine,
}

pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 2".to_string())?;
    let fits = (0.0..=3600.0).contains(&seconds);
    if fits { Ok(seconds) } else { Err("it must lie between 0 and 3600".into()) }
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        let all = workloads();
        let chosen: Vec<_> = all.iter().filter(|w| w.is(&self.only)).collect();
        if chosen.is_empty() {
            let names: Vec<_> = all.iter().map(|w| w.name.as_str()).collect();
            return Err(Error::Config(format!(
                "no workload's name begins with \"{}\"; the workloads are {}",
                self.only,
                names.join(", ")
            ))
            .into());
        }
        self.machine.run(|device| {
            let machine = bench::Machine::measure(device)?;
            say(&format!("{machine}\n"))?;
            give("machine", &machine);
            let mut table = Table::new(&timing::HEAD);
            let mut rest = Table::new(&yardstick::HEAD);
            let one = (device.is_cpu() && rayon::current_num_threads() > 1).then(OneThread::new);
            let one = one.transpose()?;
            for workload in chosen {
                remark(&format!("{} {} ...", workload.name, workload.task.name()));
                let mut ready = workload.build(device);
                let timing = bench::time(device, &mut ready, self.seconds, 1)?;
                table.row(timing::cells(workload, &timing, &machine));
                add("workloads", timing::figures(workload, &timing, &machine));
                if device.is_cpu() && workload.task == Task::Train {
                    let (own, ready) = ((device, machine.bandwidth), &mut ready);
                    for split in self.splits(own, one.as_ref(), workload, ready, &timing)? {
                        rest.row(split.cells());
                        add("splits", split);
                    }
                }
            }
            say(table.to_string().trim_end())?;
            if device.is_cpu() {
                say(&format!("\n{REST}\n\n{}", rest.to_string().trim_end()))?;
            }
            warn_if_busy(machine.peak, device)
        })
    }

    /// Where the time of a training step goes, on one thread and on those of the pool.
    fn splits(
        &self,
        own: (&Device, f64),
        one: Option<&OneThread>,
        workload: &Workload,
        ready: &mut Ready,
        timing: &Timing,
    ) -> Result<Vec<Split>, Error> {
        let mut all = Vec::new();
        if let Some(OneThread { pool, bandwidth }) = one {
            let split = pool.install(|| {
                let timing = bench::time(own.0, ready, self.seconds, 1)?;
                self.split((own.0, *bandwidth), workload, ready, &timing)
            });
            all.push(split?);
        }
        all.push(self.split(own, workload, ready, timing)?);
        Ok(all)
    }

    fn split(
        &self,
        (device, bandwidth): (&Device, f64),
        workload: &Workload,
        ready: &mut Ready,
        timing: &Timing,
    ) -> Result<Split, Error> {
        let mut profile = Profile::default();
        let steps = (self.seconds / 4.0 / timing.median).clamp(1.0, 100.0) as u32;
        for step in 0..steps {
            device.profiled(&mut profile, || ready.run(step..step + 1))??;
        }
        Ok(Split::new(&workload.name, timing, &profile, bandwidth))
    }
}

/// A pool of one thread, and its GB/s of memory.
struct OneThread {
    pool: rayon::ThreadPool,
    bandwidth: f64,
}

impl OneThread {
    fn new() -> Result<OneThread, Error> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|e| Error::Device(format!("cannot start a thread: {e}")))?;
        let bandwidth = pool.install(|| probe::bandwidth(&Device::cpu()))?;
        Ok(OneThread { pool, bandwidth })
    }
}

/// What the second table shows.
const REST: &str = "\
Products alone: milliseconds of a step's matrix products in the crate gemm or matrixmultiply, whichever is faster. Quotient:
the step over that. Then shares of the step by kind of kernel; in parentheses, memory passes at the speed of memory.";

/// Warns if the peak rate after the measurements is not the one before.
fn warn_if_busy(before: f64, device: &Device) -> Result<()> {
    let after = probe::peak(device)?;
    give("peak_afterwards", after);
    if !(0.9..1.1).contains(&(after / before)) {
        complain(&format!(
            "warning: the peak rate was {before:.0} GFLOP/s before and {after:.0} afterwards: other programs used the \
             machine, or its clock changed, so compare these figures with care"
        ));
    }
    Ok(())
}
