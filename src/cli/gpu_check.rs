//! `pixelloom gpu-check`: compares a GPU with the reference implementation, and measures its speed.

use anyhow::Result;
use clap::Args;
use pixelloom::autograd::case::Case;
use pixelloom::bench::table::digits;
use pixelloom::bench::{Speed, Table, speeds};
use pixelloom::{Device, Error, ops};
use serde_json::json;

use super::machine::choose;
use super::out::{self, give, remark, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom gpu-check
  pixelloom gpu-check --device gpu:1 --json > report.json";

/// Maximum number of differences that are printed; `--json` has all.
const SHOWN: usize = 20;

/// Compare a GPU with the reference implementation, and measure ten operations on it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct GpuCheck {
    /// gpu:N or a part of an adapter's name; software drivers are adapters too
    #[arg(long, value_name = "WHICH", default_value = "gpu:0", help_heading = "Machine")]
    device: String,
}

impl GpuCheck {
    pub fn run(&self) -> Result<()> {
        let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
        let processor = std::env::consts::ARCH;
        say(&format!("pixelloom {version}, {system}, {processor}"))?;
        give("version", version);
        give("system", json!({"os": system, "architecture": processor}));
        super::devices::adapters()?;
        let (device, _) = choose(&self.device)?;
        if !device.name().starts_with("gpu:") {
            return Err(Error::Device(format!(
                "\"{}\" is not a GPU, and gpu-check checks GPUs; name an adapter that pixelloom devices lists, such as \
                 --device gpu:0",
                self.device
            ))
            .into());
        }
        say(&format!("\nchecked: {}", device.name()))?;
        give("checked", device.name());
        let checked = check(&device);
        if let Err(error) = &checked {
            // The report of a faulty device is what a bug report needs, so it is printed as well.
            give("error", format!("{error:#}"));
            out::finish()?;
        }
        checked
    }
}

fn check(device: &Device) -> Result<()> {
    let cases = ops::cases();
    remark(&format!("comparing {} cases with the reference ...", cases.len()));
    let failures = failures(&cases, device)?;
    say_agreement(cases.len(), &failures)?;
    remark("measuring ten operations ...");
    say_speeds(&speeds(device)?)?;
    Ok(verdict(device, cases.len(), &failures)?)
}

/// The differences between the device and the reference, one line each.
fn failures(cases: &[Case], device: &Device) -> Result<Vec<Vec<String>>, Error> {
    let reference = Device::reference();
    let all = cases.iter().map(|case| case.differences(device, &reference));
    Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|lines| !lines.is_empty()).collect())
}

fn say_agreement(cases: usize, failures: &[Vec<String>]) -> Result<()> {
    let agree = cases - failures.len();
    say(&format!("agreement with the reference: {agree} of {cases} cases, gradients included"))?;
    let lines: Vec<&String> = failures.iter().flatten().collect();
    for line in lines.iter().take(SHOWN) {
        say(&format!("  {line}"))?;
    }
    if lines.len() > SHOWN {
        say(&format!("  and {} more; --json lists all", lines.len() - SHOWN))?;
    }
    give("cases", cases);
    give("cases_that_agree", agree);
    give("differences", lines);
    Ok(())
}

fn say_speeds(speeds: &[Speed]) -> Result<()> {
    let mut table = Table::new(&["operation", "ms/call", "GFLOP/s", "GB/s"]);
    for speed in speeds {
        let name = format!("{}, {}", speed.operation, speed.sizes);
        let figures = [1e3 * speed.seconds, speed.gflops, speed.gigabytes].map(digits);
        table.row(std::iter::once(name).chain(figures).collect());
    }
    give("speeds", speeds);
    Ok(say(&format!("\n{}", table.to_string().trim_end()))?)
}

fn verdict(device: &Device, cases: usize, failures: &[Vec<String>]) -> Result<(), Error> {
    let Some(first) = failures.iter().flatten().next() else { return Ok(()) };
    Err(Error::Disagreement(format!(
        "{} differs from the reference in {} of {cases} cases, first in {first}; update its driver or use --device cpu, \
         and please report this with the output of pixelloom gpu-check --json",
        device.name(),
        failures.len(),
    )))
}

#[cfg(test)]
mod tests {
    use pixelloom::autograd::case::Input;

    use super::*;

    #[test]
    fn a_device_that_differs_is_an_error_of_its_own() {
        let case = |wrong: bool| {
            Case::new("double", "planted", vec![Input::normal("x", &[9])], move |x| {
                let extra = if wrong && x[0].device().name() == "cpu" { 1.001 } else { 1.0 };
                vec![x[0].affine(2.0 * extra, 0.0)]
            })
        };
        let cpu = Device::cpu();
        let of = |cases: &[Case]| {
            let found = failures(cases, &cpu).unwrap();
            verdict(&cpu, cases.len(), &found)
        };
        of(&[case(false), case(false)]).unwrap();
        let error = of(&[case(false), case(true)]).unwrap_err();
        assert_eq!(error.exit_code(), 9);
        let message = error.to_string();
        for part in ["in 1 of 2 cases", "double planted, output 0: 1.0e-3", "--json"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
