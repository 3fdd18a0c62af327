//! Bounds on log p(x) from p(x, z) and q(z|x): the estimators of the paper and the importance-weighted
//! bound (Burda, Grosse, Salakhutdinov, arXiv 1509.00519). Nats, one number a row of x.

use super::config::Estimator;
use crate::Tape;
use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::ops::random;
use crate::rng::Key;
use crate::tensor::Tensor;

/// A latent-variable model with prior N(0, I) and a Gaussian q(z|x). x \[B, D\], z \[B, Z\].
pub trait LatentModel {
    /// Z.
    fn latent(&self) -> usize;
    /// Mean and log variance of q(z|x), \[B, Z\] each.
    fn encode<'t>(&self, x: &Var<'t>) -> (Var<'t>, Var<'t>);
    /// -log p(x|z), \[B\].
    fn neg_log_likelihood<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t>;

    /// -log p(x, z) = -log p(x|z) - log p(z), \[B\].
    fn neg_log_joint<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t> {
        self.neg_log_likelihood(x, z).add(&neg_log_prior(z))
    }
}

/// -log N(z; 0, I), \[B\].
fn neg_log_prior<'t>(z: &Var<'t>) -> Var<'t> {
    let zero = z.tape().constant(Tensor::zeros(z.device(), z.shape()));
    z.gaussian_nll(&zero, &zero)
}

/// z = mu + e^(lv / 2) eps, eps ~ N(0, I) (10).
pub fn reparameterize<'t>(mu: &Var<'t>, lv: &Var<'t>, key: Key) -> Var<'t> {
    let eps = mu.tape().constant(random::normal(mu.device(), key, mu.shape()));
    mu.add(&lv.affine(0.5, 0.0).exp().mul(&eps))
}

/// The negative bound of each row and its parts.
pub struct Bound<'t> {
    /// reconstruction + kl, \[B\].
    pub total: Var<'t>,
    /// -log p(x|z), mean over the samples, \[B\].
    pub reconstruction: Var<'t>,
    /// KL(q || p), exact (B) or the mean of log q(z|x) - log p(z) (A), \[B\].
    pub kl: Var<'t>,
}

/// The negative SGVB estimate with `samples` (L) draws from q, equations (6) and (7).
pub fn negative_bound<'t>(
    model: &(impl LatentModel + ?Sized),
    x: &Var<'t>,
    estimator: Estimator,
    samples: usize,
    key: Key,
) -> Bound<'t> {
    let (mu, lv) = model.encode(x);
    let rows = x.shape()[0];
    let repeated = |v: &Var<'t>| repeat(v, samples);
    // Row l B + i holds sample l of image i.
    let (x_l, mu_l, lv_l) = (repeated(x), repeated(&mu), repeated(&lv));
    let z = reparameterize(&mu_l, &lv_l, key);
    let mean = |v: Var<'t>| match samples {
        1 => v,
        _ => v.reshape(&[samples, rows]).sum_axes(0, 1).affine(1.0 / samples as f32, 0.0),
    };
    let reconstruction = mean(model.neg_log_likelihood(&x_l, &z));
    let kl = match estimator {
        Estimator::B => mu.gaussian_kl(&lv),
        Estimator::A => mean(neg_log_prior(&z).sub(&z.gaussian_nll(&mu_l, &lv_l))),
    };
    Bound { total: reconstruction.add(&kl), reconstruction, kl }
}

/// `v` \[B, n\] `times` times, \[times * B, n\].
fn repeat<'t>(v: &Var<'t>, times: usize) -> Var<'t> {
    if times == 1 {
        return v.clone();
    }
    let [rows, n] = *v.shape() else { panic!("repeat: a matrix is needed, not {:?}", v.shape()) };
    v.reshape(&[1, rows, n]).expand(&[times, rows, n]).reshape(&[times * rows, n])
}

/// Rows that go through the networks at once when many samples are drawn.
const ROWS_AT_ONCE: usize = 4096;

/// The importance-weighted bound -log (1/k) sum_l p(x, z_l) / q(z_l|x), one number a row of x.
/// It falls towards -log p(x) as k rises; k = 1 is the negative bound by estimator A.
pub fn iwae(
    model: &(impl LatentModel + ?Sized),
    x: &Tensor,
    k: usize,
    key: Key,
) -> Result<Vec<f64>> {
    let rows = x.shape()[0];
    let at_once = (ROWS_AT_ONCE / rows.max(1)).clamp(1, k.max(1));
    let mut log_weights: Vec<Vec<f64>> = vec![Vec::with_capacity(k); rows];
    let mut done = 0;
    while done < k {
        let l = at_once.min(k - done);
        let tape = Tape::inference();
        let x = tape.constant(x.clone());
        let (mu, lv) = model.encode(&x);
        let (x_l, mu_l, lv_l) = (repeat(&x, l), repeat(&mu, l), repeat(&lv, l));
        // Chunks are told apart in the upper bits of the stream, so that no noise is used twice.
        let chunk = (done / at_once) as u32 + 1;
        assert!(chunk < 1 << 20, "iwae: {k} samples are more than the noise is numbered for");
        let z = reparameterize(&mu_l, &lv_l, Key { stream: key.stream | chunk << 12, ..key });
        let log_w = z.gaussian_nll(&mu_l, &lv_l).sub(&model.neg_log_joint(&x_l, &z));
        for (i, &w) in log_w.value().to_vec()?.iter().enumerate() {
            log_weights[i % rows].push(f64::from(w));
        }
        done += l;
    }
    let bounds = log_weights.iter().map(|w| (k as f64).ln() - log_sum_exp(w));
    finite("importance-weighted bound", bounds.collect())
}

/// The values, or [`Error::NotFinite`] naming the first that is not finite.
pub(super) fn finite(what: &str, values: Vec<f64>) -> Result<Vec<f64>> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(i) => Err(Error::NotFinite(format!(
            "the {what} of image {i} of its batch is {}: the weights have run away, or the model and \
             the data do not fit; evaluate an earlier checkpoint",
            values[i]
        ))),
    }
}

/// ln sum e^w in f64; NaN if one of them is.
pub fn log_sum_exp(w: &[f64]) -> f64 {
    if w.iter().any(|w| w.is_nan()) {
        return f64::NAN;
    }
    let largest = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + w.iter().map(|w| (w - largest).exp()).sum::<f64>().ln()
}
