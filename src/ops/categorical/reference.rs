//! Softmax cross entropy. Shapes: logits, dl \[rows, classes\], targets, nll, dy \[rows\]; a target is a class index.

use super::params::CategoricalParams;
use crate::ops::reduce::reference::log_sum_exp;

/// The class of a target, truncated to an integer; `None` if it is out of range.
fn class(target: f32, classes: usize) -> Option<usize> {
    (target >= 0.0 && (target as usize) < classes).then_some(target as usize)
}

/// nll = -log softmax(l)_t = ln sum_k e^l_k - l_t; NaN if t is out of range.
pub fn forward(p: &CategoricalParams, [l, t]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    let classes = p.classes as usize;
    for (r, nll) in nll.iter_mut().enumerate() {
        let l: Vec<f64> = l[r * classes..][..classes].iter().map(|&l| f64::from(l)).collect();
        *nll = match class(t[r], classes) {
            Some(t) => (log_sum_exp(&l) - l[t]) as f32,
            None => f32::NAN,
        };
    }
}

/// dl_k = (softmax(l)_k - \[k = t\]) dy; NaN if t is out of range. Recomputes the normalizer instead of reading the
/// loss.
pub fn gradient(p: &CategoricalParams, [l, t, _, dy]: [&[f32]; 4], [dl]: [&mut [f32]; 1]) {
    let classes = p.classes as usize;
    for (r, dl) in dl.chunks_exact_mut(classes.max(1)).enumerate() {
        let l: Vec<f64> = l[r * classes..][..classes].iter().map(|&l| f64::from(l)).collect();
        let total = log_sum_exp(&l);
        for (k, dl) in dl.iter_mut().enumerate() {
            *dl = match class(t[r], classes) {
                Some(t) => {
                    let target = if k == t { 1.0 } else { 0.0 };
                    (((l[k] - total).exp() - target) * f64::from(dy[r])) as f32
                }
                None => f32::NAN,
            };
        }
    }
}
