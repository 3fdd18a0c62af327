//! Whether a device computes what the reference does.

use anyhow::Result;
use pixelloom::autograd::case::{Case, Compared};
use pixelloom::bench::Table;
use pixelloom::{Device, Error};
use serde_json::json;

use super::bar::Bar;
use super::out::{add, give, say};

/// Maximum number of differences that are printed; `--json` has all.
const SHOWN: usize = 20;

/// Outputs and gradients of cases on a device, compared with the reference.
pub struct Agreement<'a> {
    device: String,
    cases: Vec<(&'a Case, Vec<Compared>)>,
}

impl<'a> Agreement<'a> {
    /// Compares the cases.
    pub fn of(cases: &'a [Case], device: &Device) -> Result<Agreement<'a>, Error> {
        let reference = Device::reference();
        let bar = Bar::new("cases", cases.len());
        let compare = |(number, case): (usize, &'a Case)| {
            bar.at(number);
            Ok((case, case.compared(device, &reference)?))
        };
        let compared = cases.iter().enumerate().map(compare).collect::<Result<_, Error>>();
        bar.done();
        Ok(Agreement { device: device.name(), cases: compared? })
    }

    /// One line for each output and gradient that differs.
    fn differences(&self) -> Vec<String> {
        let all = self.cases.iter().flat_map(|(case, all)| all.iter().map(move |one| (case, one)));
        let differ = all.filter(|(_, compared)| !compared.agrees());
        differ.map(|(case, compared)| case.line(compared)).collect()
    }

    fn failed(&self) -> usize {
        let fails = |all: &Vec<Compared>| !all.iter().all(Compared::agrees);
        self.cases.iter().filter(|(_, all)| fails(all)).count()
    }

    /// Prints how many cases agree, and the differences.
    pub fn say(&self) -> Result<()> {
        let (cases, lines) = (self.cases.len(), self.differences());
        let agree = cases - self.failed();
        say(&format!(
            "agreement with the reference: {agree} of {cases} cases, gradients included"
        ))?;
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

    /// Prints the largest distance of each operation.
    pub fn say_distances(&self) -> Result<()> {
        let mut table = Table::new(&["operation", "cases", "outputs", "gradients", "limit"]);
        let same = |a: &(&Case, _), b: &(&Case, _)| a.0.op == b.0.op;
        for group in self.cases.chunk_by(same) {
            let all = || group.iter().flat_map(|(_, all)| all);
            let worst = |output: bool| {
                let of = all().filter(|one| one.what.starts_with("output") == output);
                of.map(|one| one.distance).reduce(f32::max)
            };
            let cell = |worst: Option<f32>| worst.map_or(String::new(), |d| format!("{d:.1e}"));
            let limit = all().map(|one| one.limit).reduce(f32::max);
            table.row(vec![
                group[0].0.op.into(),
                group.len().to_string(),
                cell(worst(true)),
                cell(worst(false)),
                cell(limit),
            ]);
        }
        for (case, all) in &self.cases {
            for Compared { what, distance, limit } in all {
                add(
                    "distances",
                    json!({"operation": case.op, "sizes": case.label, "what": what, "distance": distance,
                        "limit": limit}),
                );
            }
        }
        Ok(say(&format!("{}\n", table.to_string().trim_end()))?)
    }

    /// An error if a case differs; `command` is the one that reports it.
    pub fn verdict(&self, command: &str) -> Result<(), Error> {
        let Some(first) = self.differences().into_iter().next() else { return Ok(()) };
        Err(Error::Disagreement(format!(
            "{} differs from the reference in {} of {} cases, first in {first}; {}please report this with the output of \
             pixelloom {command} --json",
            self.device,
            self.failed(),
            self.cases.len(),
            if self.device == "cpu" { "" } else { "update its driver or use --device cpu, and " },
        )))
    }
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
        let of = |cases: &[Case]| Agreement::of(cases, &cpu).unwrap().verdict("gpu-check");
        of(&[case(false), case(false)]).unwrap();
        let error = of(&[case(false), case(true)]).unwrap_err();
        assert_eq!(error.exit_code(), 9);
        let message = error.to_string();
        for part in ["in 1 of 2 cases", "double planted, output 0: 1.0e-3", "gpu-check --json"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
