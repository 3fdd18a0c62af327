//! The paper's estimators of the bound on log p(x), from p(x, z) and q(z|x), and the weights of the
//! importance-weighted bound (`models/iwae.rs`). All in nats, one number for each row of x.

use super::config::Estimator;
use crate::Tape;
use crate::autograd::Var;
use crate::models::iwae::repeat;
use crate::ops::random;
use crate::rng::Key;
use crate::tensor::Tensor;

/// A latent-variable model with prior N(0, I) and a Gaussian q(z|x). x \[B, D\], z \[B, Z\].
pub trait LatentModel {
    /// Z.
    fn latent(&self) -> usize;
    /// Mean and log-variance of q(z|x), \[B, Z\] each.
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

/// z = mu + e^(lv / 2) eps, eps ~ N(0, I) (10). mu and lv are \[samples * B, Z\]: row l B + i is for draw l of image i.
/// Panics if mu is not a matrix.
pub fn reparameterize<'t>(mu: &Var<'t>, lv: &Var<'t>, samples: usize, key: Key) -> Var<'t> {
    let [rows, latent] = *mu.shape() else { panic!("a mean is [rows, Z], not {:?}", mu.shape()) };
    let eps = random::normal_rows(mu.device(), key, [samples, rows / samples, latent]);
    let eps = mu.tape().constant(eps.reshape(mu.shape()));
    mu.add(&lv.affine(0.5, 0.0).exp().mul(&eps))
}

/// The negative bound of each row and its parts, in nats.
pub struct VaeBound<'t> {
    /// reconstruction + kl, \[B\].
    pub total: Var<'t>,
    /// -log p(x|z), mean over the samples, \[B\].
    pub reconstruction: Var<'t>,
    /// KL(q || p): exact (estimator B), or the mean of log q(z|x) - log p(z) over the samples (A), \[B\].
    pub kl: Var<'t>,
}

/// The negative SGVB estimate of the bound with `samples` (L) draws from q, equations (6) and (7).
pub fn negative_bound<'t>(
    model: &(impl LatentModel + ?Sized),
    x: &Var<'t>,
    estimator: Estimator,
    samples: usize,
    key: Key,
) -> VaeBound<'t> {
    let (mu, lv) = model.encode(x);
    let rows = x.shape()[0];
    let repeated = |v: &Var<'t>| repeat(v, samples);
    // Row l B + i holds sample l of image i.
    let (x_l, mu_l, lv_l) = (repeated(x), repeated(&mu), repeated(&lv));
    let z = reparameterize(&mu_l, &lv_l, samples, key);
    let mean = |v: Var<'t>| match samples {
        1 => v,
        _ => v.reshape(&[samples, rows]).sum_axes(0, 1).affine(1.0 / samples as f32, 0.0),
    };
    let reconstruction = mean(model.neg_log_likelihood(&x_l, &z));
    let kl = match estimator {
        Estimator::B => mu.gaussian_kl(&lv),
        Estimator::A => mean(neg_log_prior(&z).sub(&z.gaussian_nll(&mu_l, &lv_l))),
    };
    VaeBound { total: reconstruction.add(&kl), reconstruction, kl }
}

/// log p(x, z) - log q(z|x) for `samples` draws z ~ q(z|x) per row of x, \[samples * B\]: element l B + i is draw l
/// of image i.
pub fn log_weights(
    model: &(impl LatentModel + ?Sized),
    x: &Tensor,
    samples: usize,
    key: Key,
) -> Tensor {
    let tape = Tape::inference();
    let x = tape.constant(x.clone());
    let (mu, lv) = model.encode(&x);
    let (x_l, mu_l, lv_l) = (repeat(&x, samples), repeat(&mu, samples), repeat(&lv, samples));
    let z = reparameterize(&mu_l, &lv_l, samples, key);
    z.gaussian_nll(&mu_l, &lv_l).sub(&model.neg_log_joint(&x_l, &z)).value().clone()
}
