//! The weight of the KL divergence in the training loss of models with latent variables.
//!
//! The loss is -log p(x|z) + beta_t KL(q || p). With beta = 1 it is the negative bound; a beta above 1 asks for latent
//! variables that are closer to the prior (Higgins and others, ICLR 2017). During the warm-up beta_t rises linearly from
//! 0, so that latent variables are used before they cost anything (Bowman and others, arXiv 1511.06349).

use crate::autograd::Var;
use crate::error::{Error, Result};

/// The weight of settings that say nothing.
pub(super) fn one() -> f32 {
    1.0
}

pub(super) fn is_one(beta: &f32) -> bool {
    *beta == 1.0
}

pub(super) fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

/// Rejects weights that are negative or not finite. Fails with [`Error::Config`].
pub(super) fn check(beta: f32) -> Result<()> {
    if beta >= 0.0 && beta.is_finite() {
        return Ok(());
    }
    Err(Error::Config(format!("model.beta = {beta}: it must be at least 0 and finite")))
}

/// The weight at an optimiser step (from 0) of a run with this `beta` and number of `warmup` steps.
pub(super) fn weight((beta, warmup): (f32, u64), step: u32) -> f32 {
    let rise = (u64::from(step) + 1) as f32 / warmup.max(1) as f32;
    beta * rise.min(1.0)
}

/// The loss of each row \[B\].
pub(super) fn weighted<'t>(reconstruction: &Var<'t>, kl: &Var<'t>, weight: f32) -> Var<'t> {
    // The bound itself is added up as evaluations do.
    if weight == 1.0 { reconstruction.add(kl) } else { reconstruction.add(&kl.affine(weight, 0.0)) }
}
