//! The importance-weighted bound (Burda, Grosse, Salakhutdinov, arXiv 1509.00519):
//!
//! ```text
//! log p(x) >= E log 1/K sum_k w_k,   w_k = p(x, z_k) / q(z_k|x),   z_k ~ q(z|x)         (8)
//! ```
//!
//! K = 1 gives the ELBO; as K grows, the bound rises to log p(x).

use super::Weighted;
use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::rng::Key;
use crate::tensor::Tensor;

/// Limit on the rows that the networks process at once.
const ROWS_AT_ONCE: usize = 4096;
/// Limit on the elements of their largest tensor, unless one row exceeds it.
const NUMBERS_AT_ONCE: usize = 1 << 25;

/// The importance-weighted bound -log (1/k) sum_l p(x, z_l) / q(z_l|x) in nats, one number for each row of x \[B, D\].
/// It falls to -log p(x) as k grows; k = 1 is the negative ELBO, estimated by sampling. Fails with
/// [`Error::NotFinite`], which names the row.
pub fn iwae(model: &(impl Weighted + ?Sized), x: &Tensor, k: usize, key: Key) -> Result<Vec<f64>> {
    let rows = x.shape()[0];
    let most = ROWS_AT_ONCE.min(NUMBERS_AT_ONCE / model.numbers_a_row().max(1));
    let at_once = (most / rows.max(1)).clamp(1, k.max(1));
    let mut log_weights: Vec<Vec<f64>> = vec![Vec::with_capacity(k); rows];
    let mut done = 0;
    while done < k {
        let l = at_once.min(k - done);
        // The chunk's number goes into the upper bits of the stream, so that no noise is used twice.
        let chunk = (done / at_once) as u32 + 1;
        assert!(chunk < 1 << 20, "iwae: {k} samples are more than the noise is numbered for");
        let log_w = model.log_weights(x, l, Key { stream: key.stream | chunk << 12, ..key })?;
        for (i, &w) in log_w.to_vec()?.iter().enumerate() {
            log_weights[i % rows].push(f64::from(w));
        }
        done += l;
    }
    let bounds = log_weights.iter().map(|w| (k as f64).ln() - log_sum_exp(w));
    finite("importance-weighted bound", bounds.collect())
}

/// `v` \[B, n\] repeated to \[times * B, n\]: row l B + i is row i of `v`.
pub(super) fn repeat<'t>(v: &Var<'t>, times: usize) -> Var<'t> {
    if times == 1 {
        return v.clone();
    }
    let [rows, n] = *v.shape() else { panic!("repeat: a matrix is needed, not {:?}", v.shape()) };
    v.reshape(&[1, rows, n]).expand(&[times, rows, n]).reshape(&[times * rows, n])
}

/// The values, or [`Error::NotFinite`], which names the first non-finite one.
pub(super) fn finite(what: &str, values: Vec<f64>) -> Result<Vec<f64>> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(i) => Err(Error::NotFinite(format!(
            "the {what} of image {i} of its batch is {}: the weights have diverged, or the model does \
             not fit the data; evaluate an earlier checkpoint",
            values[i]
        ))),
    }
}

/// ln sum e^w in f64; NaN if any w is NaN.
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
