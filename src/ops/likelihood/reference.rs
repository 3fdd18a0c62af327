//! Negative log-likelihoods and the Gaussian KL divergence of rows. Auto-Encoding Variational Bayes, appendices B and
//! C. Shapes: l, x, mu, lv and their gradients \[rows, width\], results and dy \[rows\].

use super::params::LikelihoodParams;

/// y\[r\] = the sum of `term(i)` over the elements i of row r.
fn sum_rows(p: &LikelihoodParams, y: &mut [f32], term: impl Fn(usize) -> f64) {
    let width = p.width as usize;
    for (r, y) in y.iter_mut().enumerate() {
        *y = (r * width..(r + 1) * width).map(&term).sum::<f64>() as f32;
    }
}

/// -log p(x) = sum_j ln(1 + e^l_j) - x_j l_j of Bernoulli variables with logits l.
pub fn bernoulli(p: &LikelihoodParams, [l, x]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    sum_rows(p, nll, |i| {
        let (l, x) = (f64::from(l[i]), f64::from(x[i]));
        // ln(1 + e^l) = max(l, 0) + ln(1 + e^-|l|), since e^l may overflow.
        let positive = if l < 0.0 { 0.0 } else { l };
        positive - x * l + (-l.abs()).exp().ln_1p()
    });
}

/// dl = (sigmoid(l) - x) dy.
pub fn bernoulli_gradient(p: &LikelihoodParams, [l, x, dy]: [&[f32]; 3], [dl]: [&mut [f32]; 1]) {
    for (i, dl) in dl.iter_mut().enumerate() {
        let (l, x, dy) = (f64::from(l[i]), f64::from(x[i]), f64::from(dy[i / p.width as usize]));
        *dl = ((1.0 / (1.0 + (-l).exp()) - x) * dy) as f32;
    }
}

/// -log N(x; mu, e^lv) = sum_j (ln 2 pi + lv_j + (x_j - mu_j)^2 / e^lv_j) / 2.
pub fn gaussian(p: &LikelihoodParams, [x, mu, lv]: [&[f32]; 3], [nll]: [&mut [f32]; 1]) {
    sum_rows(p, nll, |i| {
        let (x, mu, lv) = (f64::from(x[i]), f64::from(mu[i]), f64::from(lv[i]));
        ((2.0 * std::f64::consts::PI).ln() + lv + (x - mu) * (x - mu) / lv.exp()) / 2.0
    });
}

/// dmu = (mu - x) / e^lv dy; dlv = (1 - (x - mu)^2 / e^lv) / 2 dy.
pub fn gaussian_gradient(
    p: &LikelihoodParams,
    [x, mu, lv, dy]: [&[f32]; 4],
    [dmu, dlv]: [&mut [f32]; 2],
) {
    for i in 0..dmu.len() {
        let (x, mu, lv) = (f64::from(x[i]), f64::from(mu[i]), f64::from(lv[i]));
        let dy = f64::from(dy[i / p.width as usize]);
        dmu[i] = ((mu - x) / lv.exp() * dy) as f32;
        dlv[i] = ((1.0 - (x - mu) * (x - mu) / lv.exp()) / 2.0 * dy) as f32;
    }
}

/// KL(N(mu, e^lv) || N(0, 1)) = sum_j (mu_j^2 + e^lv_j - lv_j - 1) / 2.
pub fn gaussian_kl(p: &LikelihoodParams, [mu, lv]: [&[f32]; 2], [kl]: [&mut [f32]; 1]) {
    sum_rows(p, kl, |i| {
        let (mu, lv) = (f64::from(mu[i]), f64::from(lv[i]));
        (mu * mu + lv.exp() - lv - 1.0) / 2.0
    });
}

/// dmu = mu dy; dlv = (e^lv - 1) / 2 dy.
pub fn gaussian_kl_gradient(
    p: &LikelihoodParams,
    [mu, lv, dy]: [&[f32]; 3],
    [dmu, dlv]: [&mut [f32]; 2],
) {
    for i in 0..dmu.len() {
        let (mu, lv) = (f64::from(mu[i]), f64::from(lv[i]));
        let dy = f64::from(dy[i / p.width as usize]);
        dmu[i] = (mu * dy) as f32;
        dlv[i] = ((lv.exp() - 1.0) / 2.0 * dy) as f32;
    }
}
