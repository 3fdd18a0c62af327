//! `pixelloom bench`: how fast this machine trains and samples, compared with its peak rates.

use anyhow::Result;
use clap::Args;
use pixelloom::Error;
use pixelloom::bench::{self, Table, timing, workloads};

use super::machine::Machine;
use super::out::{add, give, remark, say};

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
            for workload in chosen {
                remark(&format!("{} {} ...", workload.name, workload.task.name()));
                let timing = bench::time(device, &mut workload.build(device), self.seconds, 1)?;
                table.row(timing::cells(workload, &timing, &machine));
                add("workloads", timing::figures(workload, &timing, &machine));
            }
            Ok(say(table.to_string().trim_end())?)
        })
    }
}
