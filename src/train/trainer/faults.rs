//! Handling of NaN and infinity. They are detected in the step in which they arise, and the step is then run again to
//! find out where. A GPU is checked every `log_every` steps; the weights are left unchanged after a bad step, so
//! repeating its batch uses the same weights.

use super::Trainer;
use crate::Tape;
use crate::error::{Error, Result};
use crate::nn::{OnNonfinite, OptimizerConfig};
use crate::tensor::Tensor;
use crate::train::step::{Batch, Place, noise};

/// Number of images that a message lists.
const LISTED: usize = 10;

/// What to try against NaN and infinity, without suggesting what is set already.
pub(in crate::train) fn to_try(optimizer: &OptimizerConfig) -> String {
    // Few digits, as a person would type it.
    let tenth = format!("{:.1e}", f64::from(optimizer.rate) / 10.0);
    let rate = match tenth.parse::<f64>() {
        Ok(rate) if (1e-6..1e6).contains(&rate) => rate.to_string(),
        _ => tenth,
    };
    let clip = optimizer.clip.is_none_or(|clip| clip > 1.0).then_some("--set optimizer.clip=1");
    let stops = optimizer.on_nonfinite == OnNonfinite::Stop;
    let skip = stops.then_some("skip such steps with --on-nonfinite skip");
    let others: Vec<&str> = clip.into_iter().chain(skip).collect();
    match others.join(", or ") {
        others if others.is_empty() => format!("train again with a lower rate: --rate {rate}"),
        others => format!("train again with --rate {rate}, or {others}"),
    }
}

impl Trainer {
    /// Reads the optimiser's record of NaN and infinity. Depending on the settings, fails with [`Error::NotFinite`] or
    /// counts the skipped steps.
    pub(in crate::train) fn check(&mut self) -> Result<()> {
        let faults = self.state.faults()?;
        if let Some(at) = faults.overflow {
            let of = |p: &Tensor| p.to_vec().is_ok_and(|all| all.iter().any(|x| !x.is_finite()));
            let parameters = self.model.model().parameters();
            let broken = parameters.iter().find(|(_, p)| of(&p.value()));
            let what = broken.map_or("a moment of the optimiser".into(), |(name, _)| {
                format!("the weight {name} after its update")
            });
            return Err(self.not_finite(&what, at));
        }
        let Some(first) = faults.first else { return Ok(()) };
        if self.state.optimizer.config.on_nonfinite == OnNonfinite::Stop {
            let what = self.find(first)?;
            return Err(self.not_finite(&what, first));
        }
        let step = first / self.model.model().updates() + 1;
        self.position.skipped += faults.skipped;
        self.position.first_skipped.get_or_insert(step);
        Ok(())
    }

    /// The step, epoch and images of the batch of an optimiser step (from 0).
    fn batch_of(&self, optimizer_step: u64) -> (u64, u32, Vec<usize>) {
        let step = optimizer_step / self.model.model().updates();
        let (epoch, indices) = self.loader.batch(step);
        (step, epoch, indices)
    }

    /// Repeats the batch of an optimiser step on the current weights, checks every tensor, and returns the first that
    /// is not finite.
    fn find(&self, optimizer_step: u64) -> Result<String> {
        let model = self.model.model();
        let (step, epoch, indices) = self.batch_of(optimizer_step);
        let mut host = vec![0.0; indices.len() * self.job.data.train.dims()];
        let (data, device, seed) = (&self.job.data, &self.job.device, self.job.config.seed);
        let place = Place { seed, epoch, images: &indices };
        let batch = Batch::upload(data, &place, device, &mut host);
        let prepared = batch.prepare(model, noise(seed, step * model.updates()))?;
        let tape = Tape::checked();
        let loss = model.loss(&tape.constant(batch.x), &prepared, noise(seed, optimizer_step));
        let gradients = tape.backward_from(&loss);
        if let Some(what) = tape.fault() {
            return Ok(what);
        }
        for (name, param) in model.parameters() {
            if let Some(gradient) = gradients.param(param)
                && !gradient.to_vec()?.iter().all(|x| x.is_finite())
            {
                return Ok(format!("the sum of the gradients of {name}"));
            }
        }
        Ok("the norm of the gradients".into())
    }

    /// The error for an optimiser step (from 0) in which `what` is not finite.
    fn not_finite(&self, what: &str, optimizer_step: u64) -> Error {
        let (step, epoch, indices) = self.batch_of(optimizer_step);
        let per_epoch = self.loader.batches_per_epoch();
        let images: Vec<String> = indices.iter().take(LISTED).map(usize::to_string).collect();
        let more = if indices.len() > LISTED { ", ..." } else { "" };
        self.run_away(&format!(
            "{what} is not finite in step {}, batch {} of epoch {} (training images {}{more})",
            step + 1,
            step % per_epoch + 1,
            epoch + 1,
            images.join(", ")
        ))
    }

    /// Adds to an [`Error::NotFinite`] where it happened and what to do.
    pub(super) fn finite<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| match e {
            Error::NotFinite(what) => {
                self.run_away(&format!("{what}, after step {}", self.position.step))
            }
            other => other,
        })
    }

    /// The error for NaN or infinity, with what to do.
    pub(super) fn run_away(&self, what: &str) -> Error {
        let good = match &self.last_saved {
            Some((dir, _)) => format!("last good checkpoint: {}", dir.display()),
            None => "no checkpoint was saved yet".into(),
        };
        Error::NotFinite(format!("{what}; {good}; {}", to_try(&self.state.optimizer.config)))
    }

    /// Adds the last checkpoint to a failure of the device.
    pub(super) fn with_checkpoint(&self, e: Error) -> Error {
        match (e, &self.last_saved) {
            (Error::Device(what), Some((dir, _))) => Error::Device(format!(
                "{what}; last checkpoint: {}; resume from it with {}",
                dir.display(),
                self.job.again
            )),
            (Error::Device(what), None) => Error::Device(format!(
                "{what}; no checkpoint was saved yet, so start the run again"
            )),
            (other, _) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::optimizer::Rule;

    #[test]
    fn advice_never_repeats_what_is_set() {
        let plain = OptimizerConfig::new(Rule::Adam, 3e-4);
        let all = "train again with --rate 0.00003, or --set optimizer.clip=1, or skip such steps with \
                   --on-nonfinite skip";
        assert_eq!(to_try(&plain), all);
        let skips = OptimizerConfig { on_nonfinite: OnNonfinite::Skip, ..plain };
        assert_eq!(to_try(&skips), "train again with --rate 0.00003, or --set optimizer.clip=1");
        let clips = OptimizerConfig { clip: Some(1.0), ..plain };
        assert!(!to_try(&clips).contains("clip") && to_try(&clips).contains("skip"));
        let both = OptimizerConfig { clip: Some(0.5), ..skips };
        assert_eq!(to_try(&both), "train again with a lower rate: --rate 0.00003");
        let loose = OptimizerConfig { clip: Some(100.0), ..skips };
        assert!(to_try(&loose).contains("optimizer.clip=1"), "a lower one may help");
        let far = OptimizerConfig { rate: 1e30, ..plain };
        assert!(to_try(&far).contains("--rate 1.0e29,"), "{}", to_try(&far));
    }
}
