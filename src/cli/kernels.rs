//! `pixelloom kernels`: compares the kernels of a device with the reference, checks gradients, and times them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use pixelloom::autograd::case::Case;
use pixelloom::autograd::gradcheck::{CheckedElement, PASS, worst_element};
use pixelloom::bench::baseline::{Baseline, is_slower};
use pixelloom::bench::speeds::{self, Speed};
use pixelloom::bench::table::{digits, percent};
use pixelloom::bench::{Table, timing};
use pixelloom::machine::processor;
use pixelloom::{Device, Error, ops, text};
use serde_json::json;

use super::agreement::Agreement;
use super::bar::Bar;
use super::machine::Machine;
use super::out::{self, add, complain, give, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom kernels test
  pixelloom kernels grad --op matmul
  pixelloom kernels perf --json > before.json
  pixelloom kernels perf --baseline before.json";

const TEST_EXAMPLES: &str = "\
Examples:
  pixelloom kernels test --device gpu
  pixelloom kernels test --op lstm_scan --json";

const GRAD_EXAMPLES: &str = "\
Examples:
  pixelloom kernels grad
  pixelloom kernels grad --op attention --device gpu";

const PERF_EXAMPLES: &str = "\
Examples:
  pixelloom kernels perf --op masked_conv
  pixelloom kernels perf --json > before.json
  pixelloom kernels perf --baseline before.json";

/// Check and time every operation on a device
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Kernels {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    Test(Test),
    Grad(Grad),
    Perf(Perf),
}

/// Compare results and gradients of every operation with those of the reference
#[derive(Args)]
#[command(after_help = TEST_EXAMPLES)]
struct Test {
    #[command(flatten)]
    chosen: Chosen,
}

/// Compare gradients of every operation with finite differences, and name the worst element
#[derive(Args)]
#[command(after_help = GRAD_EXAMPLES)]
struct Grad {
    #[command(flatten)]
    chosen: Chosen,
}

/// Time every operation by shape: the median of several samples, and their spread
#[derive(Args)]
#[command(after_help = PERF_EXAMPLES)]
struct Perf {
    #[command(flatten)]
    chosen: Chosen,
    /// Seconds per case
    #[arg(long, value_name = "S", default_value_t = 0.1, value_parser = super::bench::seconds)]
    seconds: f64,
    /// Speeds to compare with, printed earlier by this command with --json; a case that is slower by more than the
    /// spread is an error
    #[arg(long, value_name = "FILE.json")]
    baseline: Option<PathBuf>,
}

#[derive(Args)]
struct Chosen {
    /// Only this operation, such as matmul
    #[arg(long, value_name = "NAME")]
    op: Option<String>,
    #[command(flatten)]
    machine: Machine,
}

impl Chosen {
    /// The cases of the operation that was asked for.
    fn of(&self, all: Vec<Case>) -> Result<Vec<Case>, Error> {
        let Some(op) = &self.op else { return Ok(all) };
        let names: BTreeSet<&str> = all.iter().map(|case| case.op).collect();
        if !names.contains(op.as_str()) {
            let names: Vec<&str> = names.into_iter().collect();
            return Err(Error::Config(format!(
                "there is no operation \"{op}\"; the operations are {}",
                names.join(", ")
            )));
        }
        Ok(all.into_iter().filter(|case| case.op == op).collect())
    }
}

impl Kernels {
    pub fn run(&self) -> Result<()> {
        match &self.which {
            Which::Test(command) => command.run(),
            Which::Grad(command) => command.run(),
            Which::Perf(command) => command.run(),
        }
    }
}

/// Prints the object of a check that failed: a bug report needs it.
pub fn report(checked: Result<()>) -> Result<()> {
    if let Err(error) = &checked {
        give("error", format!("{error:#}"));
        out::finish()?;
    }
    checked
}

impl Test {
    fn run(&self) -> Result<()> {
        let cases = self.chosen.of(ops::cases())?;
        self.chosen.machine.run(|device| {
            give("device", timing::name_of(device));
            let agreement = Agreement::of(&cases, device)?;
            agreement.say_distances()?;
            agreement.say()?;
            report(agreement.verdict("kernels test").map_err(Into::into))
        })
    }
}

impl Grad {
    fn run(&self) -> Result<()> {
        let cases = self.chosen.of(ops::cases())?;
        self.chosen.machine.run(|device| {
            give("device", timing::name_of(device));
            let bar = Bar::new("cases", cases.len());
            let mut checked = Vec::new();
            for (number, case) in cases.iter().enumerate() {
                bar.at(number);
                if let Some(worst) = worst_element(case, device)? {
                    checked.push((case, worst));
                }
            }
            bar.done();
            say_gradients(&checked)?;
            let without = cases.len() - checked.len();
            say(&format!("{} cases checked, {without} have no gradient", checked.len()))?;
            report(wrong_gradient(&checked, &device.name()).map_err(Into::into))
        })
    }
}

/// Prints the worst element of each operation.
fn say_gradients(checked: &[(&Case, CheckedElement)]) -> Result<()> {
    for group in checked.chunk_by(|a, b| a.0.op == b.0.op) {
        let (case, worst) =
            group.iter().max_by(|a, b| a.1.error.total_cmp(&b.1.error)).expect("not empty");
        say(&format!(
            "{:12} {:3} cases, worst error {:.1e} at {}: {:.6}, by finite differences {:.6} ({})",
            case.op,
            group.len(),
            worst.error,
            element(case, worst),
            worst.gradient,
            worst.expected,
            case.label
        ))?;
    }
    for (case, worst) in checked {
        let CheckedElement { index, gradient, expected, error, .. } = worst;
        let input = case.inputs[worst.input].name;
        add(
            "gradients",
            json!({"operation": case.op, "sizes": case.label, "error": error, "input": input, "index": index,
                "gradient": gradient, "expected": expected}),
        );
    }
    Ok(())
}

/// The element by the name of its input, such as `w[3, 1]`.
fn element(case: &Case, worst: &CheckedElement) -> String {
    format!("{}{:?}", case.inputs[worst.input].name, worst.index)
}

fn wrong_gradient(checked: &[(&Case, CheckedElement)], device: &str) -> Result<(), Error> {
    let wrong: Vec<_> = checked.iter().filter(|(_, worst)| !(worst.error <= PASS)).collect();
    let Some((case, worst)) = wrong.first() else { return Ok(()) };
    Err(Error::Disagreement(format!(
        "{device}: gradients of {} of {} cases differ from finite differences, the first is {} {}, {}: the gradient is \
         {:.6}, finite differences give {:.6} (relative error {:.1e}, at most {PASS} passes)",
        wrong.len(),
        checked.len(),
        case.op,
        case.label,
        element(case, worst),
        worst.gradient,
        worst.expected,
        worst.error
    )))
}

/// Measurements of a case that looks slower than its baseline; noise does not last.
const TRIES: usize = 3;

/// A share of the processors that others may use.
const QUIET: f64 = 0.1;

impl Perf {
    fn run(&self) -> Result<()> {
        let cases = self.chosen.of(speeds::cases())?;
        let baseline = self.baseline.as_ref().map(|path| Baseline::read(path)).transpose()?;
        self.chosen.machine.run(|device| {
            let name = timing::name_of(device);
            if let (Some(baseline), Some(path)) = (&baseline, &self.baseline) {
                baseline.check_device(&name, path)?;
            }
            give("device", &name);
            warn_if_busy();
            let (measured, slower) = self.measure(&cases, device, baseline.as_ref())?;
            say_speeds(&measured, baseline.as_ref())?;
            give("speeds", &measured);
            give("slower", &slower);
            let Some(first) = slower.first() else { return Ok(()) };
            report(Err(Error::Disagreement(format!(
                "{} of {} cases are slower than in {} by more than the spread, each time of {TRIES}, the first is \
                 {first}; if the machine was equally idle both times, look at what changed",
                slower.len(),
                cases.len(),
                self.baseline.as_ref().map_or(String::new(), |path| path.display().to_string()),
            ))
            .into()))
        })
    }

    /// Speeds of the cases, and the names of those that are slower than in the baseline. What looks slower is measured
    /// again after all others, and the fastest measurement counts.
    fn measure(
        &self,
        cases: &[Case],
        device: &Device,
        baseline: Option<&Baseline>,
    ) -> Result<(Vec<Speed>, Vec<String>), Error> {
        let mut best: Vec<Speed> = Vec::new();
        let mut suspects: Vec<usize> = (0..cases.len()).collect();
        for _ in 0..TRIES {
            let bar = Bar::new("cases", suspects.len());
            for (done, &number) in suspects.iter().enumerate() {
                bar.at(done);
                let speed = speeds::speed(&cases[number], device, self.seconds)?;
                match best.get_mut(number) {
                    None => best.push(speed),
                    Some(best) if speed.seconds < best.seconds => *best = speed,
                    Some(_) => {}
                }
            }
            bar.done();
            let then = |now: &Speed| baseline.and_then(|baseline| baseline.of(now));
            suspects.retain(|&i| then(&best[i]).is_some_and(|then| is_slower(&best[i], then)));
        }
        let name = |i: usize| format!("{} {}", cases[i].op, cases[i].label);
        Ok((best, suspects.into_iter().map(name).collect()))
    }
}

/// Prints the speeds, with the change since the baseline if there is one.
pub fn say_speeds(speeds: &[Speed], baseline: Option<&Baseline>) -> Result<()> {
    let mut head = vec!["operation", "us/call", "spread", "GFLOP/s", "GB/s"];
    head.extend(baseline.map(|_| "change"));
    let mut table = Table::new(&head);
    for speed in speeds {
        let mut row = vec![
            format!("{}, {}", speed.operation, text::line(&speed.sizes)),
            digits(1e6 * speed.seconds),
            percent(speed.spread()),
            digits(speed.gflops),
            digits(speed.gigabytes),
        ];
        if let Some(baseline) = baseline {
            let change = |then: &Speed| 100.0 * (speed.seconds / then.seconds - 1.0);
            let change = baseline.of(speed).map(change);
            row.push(change.map_or("new".into(), |change| format!("{change:+.1} %")));
        }
        table.row(row);
    }
    Ok(say(table.to_string().trim_end())?)
}

fn warn_if_busy() {
    let busy = processor::busy();
    give("busy", busy);
    if busy > QUIET {
        complain(&format!(
            "warning: other programs use {:.0} % of the processors, so times are too long and vary; stop them, or \
             compare with care",
            100.0 * busy
        ));
    }
}
