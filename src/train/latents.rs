//! How a model uses its latent dimensions: the KL divergence of each, and which are active (Burda, Grosse,
//! Salakhutdinov, arXiv 1509.00519, section 5.2): those whose posterior mean varies with the image,
//! Cov_x(E[z_d | x]) > 0.01.

use crate::data::Part;
use crate::data::part::{OnProgress, batches};
use crate::device::Device;
use crate::error::Result;
use crate::models::SingleLatent;

/// The variance above which a dimension is active.
const ACTIVE: f64 = 0.01;

/// What each latent dimension does.
pub struct Latents {
    /// KL(q(z_d | x) || N(0, 1)), mean over the images, nats.
    pub kl: Vec<f64>,
    /// Variance over the images of the mean of q(z_d | x).
    pub variance: Vec<f64>,
}

impl Latents {
    /// Number of active dimensions.
    pub fn active(&self) -> usize {
        self.variance.iter().filter(|&&variance| variance > ACTIVE).count()
    }
}

/// Measures the latent dimensions on images; `None` if `watch` stopped it.
pub fn latents(
    model: &dyn SingleLatent,
    device: &Device,
    part: &Part,
    watch: OnProgress,
) -> Result<Option<Latents>> {
    let dimensions = model.dimensions();
    let mut kl = vec![0.0; dimensions];
    let mut means: Vec<f32> = Vec::with_capacity(part.indices.len() * dimensions);
    let complete = batches(device, part, watch, |_, x, _| {
        let (mean, log_variance) = model.posterior(x);
        let (mean, log_variance) = (mean.to_vec()?, log_variance.to_vec()?);
        for (i, (&m, &lv)) in mean.iter().zip(&log_variance).enumerate() {
            let (m, lv) = (f64::from(m), f64::from(lv));
            kl[i % dimensions] += 0.5 * (m * m + lv.exp() - 1.0 - lv);
        }
        means.extend(mean);
        Ok(())
    })?;
    let count = part.indices.len() as f64;
    kl.iter_mut().for_each(|kl| *kl /= count);
    let variance = |d: usize| {
        let of = || means.iter().skip(d).step_by(dimensions).map(|&m| f64::from(m));
        let mean = of().sum::<f64>() / count;
        of().map(|m| (m - mean).powi(2)).sum::<f64>() / count
    };
    Ok(complete.then(|| Latents { kl, variance: (0..dimensions).map(variance).collect() }))
}
