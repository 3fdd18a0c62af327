//! Hamiltonian Monte Carlo for p(z|x) (Duane and others 1987; Neal 2011), which the paper uses for
//! Monte Carlo EM and for the marginal likelihood of appendix D.
//!
//! There is one chain per row of x. The device evaluates all rows at once; positions, momenta and step sizes are on
//! the host. A trajectory starts at (z, p) with p ~ N(0, I) and takes n leapfrog steps with U(z) = -log p(x, z):
//!
//! ```text
//! p -= e/2 U'(z);  n times {z += e p;  p -= e U'(z)}     (the last kick is e/2 U'(z))
//! accepted with probability min(1, exp(H - H')),  H = U + |p|^2 / 2
//! ```
//!
//! While tuning, ln e changes by 2 t^-0.6 (a - 0.9) after trajectory t, where a is its acceptance probability. The
//! acceptance rate thus approaches 90 %, as in the paper (Robbins & Monro 1951; Andrieu & Thoms 2008). In Monte Carlo
//! EM, each batch has a new chain with only ten trajectories, so its acceptance rate is higher. The step of each
//! trajectory is e times a uniform number between 0.7 and 1.3, because a trajectory of fixed length can return to its
//! start along a direction in which the posterior has just that period (Neal 2011, section 3.2).

use super::bound::LatentModel;
use crate::Tape;
use crate::device::Device;
use crate::error::Result;
use crate::rng::{Distribution, Key, fill_from, stream};
use crate::tensor::Tensor;

/// Initial step size of a chain.
pub const FIRST_STEP: f32 = 0.1;
/// Trajectories per E-step of Monte Carlo EM.
pub const E_STEPS: usize = 10;
/// Number of draws from the prior per E-step; the chains start at the best of them. Monte Carlo EM has no encoder
/// (section 5 of the paper), so there are no draws from q(z|x).
pub const E_DRAWS: u32 = 64;
/// Target acceptance rate of tuning.
const ACCEPTANCE: f32 = 0.9;
const STEP_RANGE: (f32, f32) = (1e-4, 2.0);

/// Chains for the rows of one batch.
pub struct Chain {
    /// \[rows, latent\].
    z: Vec<f32>,
    energy: Vec<f32>,
    gradient: Vec<f32>,
    step: Vec<f32>,
    latent: usize,
    leapfrog: usize,
    key: Key,
    trajectories: u32,
    tuned: u32,
    /// Number of accepted trajectories, over all rows.
    pub accepted: u64,
}

impl Chain {
    /// Starts chains at z \[rows, latent\]. Fails if the device fails. Panics if `leapfrog` is 0.
    pub fn start(
        model: &(impl LatentModel + ?Sized),
        x: &Tensor,
        z: Vec<f32>,
        step: f32,
        leapfrog: usize,
        key: Key,
    ) -> Result<Chain> {
        assert!(leapfrog > 0, "HMC: a trajectory needs at least one leapfrog step");
        let (energy, gradient) = energy(model, x, &z)?;
        let step = vec![step; energy.len()];
        let latent = model.latent();
        Ok(Chain {
            z,
            energy,
            gradient,
            step,
            latent,
            leapfrog,
            key,
            trajectories: 0,
            tuned: 0,
            accepted: 0,
        })
    }

    /// Positions \[rows, latent\] on `device`.
    pub fn position(&self, device: &Device) -> Tensor {
        Tensor::new(device, &self.z, &[self.energy.len(), self.latent])
    }

    /// Positions \[rows, latent\].
    pub fn z(&self) -> &[f32] {
        &self.z
    }

    /// -log p(x, z) of each row.
    pub fn energies(&self) -> &[f32] {
        &self.energy
    }

    /// Runs `count` trajectories; `tune` adapts the step sizes. Fails if the device fails.
    pub fn run(
        &mut self,
        model: &(impl LatentModel + ?Sized),
        x: &Tensor,
        count: usize,
        tune: bool,
    ) -> Result<()> {
        (0..count).try_for_each(|_| self.trajectory(model, x, tune))
    }

    fn trajectory(
        &mut self,
        model: &(impl LatentModel + ?Sized),
        x: &Tensor,
        tune: bool,
    ) -> Result<()> {
        self.trajectories += 1;
        assert!(self.trajectories < 1 << 20, "HMC: noise is numbered for 2^20 trajectories");
        self.tuned += u32::from(tune);
        // The trajectory's number goes into the upper bits of the stream.
        let stream_number = stream::HMC | self.trajectories << 12;
        let momenta = Key { stream: stream_number + 1, ..self.key };
        let uniforms = Key { stream: stream_number + 2, ..self.key };
        let jitter = Key { stream: stream_number + 3, ..self.key };
        // A row's noise depends on its index in the whole batch.
        let before = u64::from(self.key.elsewhere.0);
        let step = (before..).zip(&self.step);
        let step: Vec<f32> = step.map(|(row, e)| e * (0.7 + 0.6 * jitter.uniform(row))).collect();
        let n = self.latent;
        let mut p = normals(momenta, self.energy.len(), n);
        let kinetic = |p: &[f32]| -> Vec<f32> {
            p.chunks(n).map(|p| 0.5 * p.iter().map(|p| p * p).sum::<f32>()).collect()
        };
        let start: Vec<f32> = self.energy.iter().zip(kinetic(&p)).map(|(u, k)| u + k).collect();
        let (mut z, mut gradient, mut potential) =
            (self.z.clone(), self.gradient.clone(), Vec::new());
        let kick = |p: &mut [f32], gradient: &[f32], step: &[f32], share: f32| {
            for (i, (p, g)) in p.iter_mut().zip(gradient).enumerate() {
                *p -= share * step[i / n] * g;
            }
        };
        kick(&mut p, &gradient, &step, 0.5);
        for i in 1..=self.leapfrog {
            for (j, (z, p)) in z.iter_mut().zip(&p).enumerate() {
                *z += step[j / n] * p;
            }
            (potential, gradient) = energy(model, x, &z)?;
            kick(&mut p, &gradient, &step, if i == self.leapfrog { 0.5 } else { 1.0 });
        }
        let end = kinetic(&p);
        for row in 0..self.energy.len() {
            let difference = start[row] - (potential[row] + end[row]);
            // A trajectory that overflowed is rejected, since the comparison is false for NaN.
            let accept = uniforms.uniform(before + row as u64) < difference.exp();
            if accept {
                let at = row * n..(row + 1) * n;
                self.z[at.clone()].copy_from_slice(&z[at.clone()]);
                self.gradient[at.clone()].copy_from_slice(&gradient[at]);
                self.energy[row] = potential[row];
                self.accepted += 1;
            }
            if tune {
                // A trajectory that overflowed has acceptance probability 0.
                let probability = if difference.is_nan() { 0.0 } else { difference.exp().min(1.0) };
                let gain = 2.0 * (self.tuned as f32).powf(-0.6);
                let factor = (gain * (probability - ACCEPTANCE)).exp();
                self.step[row] = (self.step[row] * factor).clamp(STEP_RANGE.0, STEP_RANGE.1);
            }
        }
        Ok(())
    }
}

/// Starting points for chains, \[rows, latent\]: for each row, the most probable of `draws` draws from the prior and,
/// with `encoder`, as many draws from q(z|x). A single draw from the prior rarely hits a narrow posterior, and a chain
/// that starts far away gets stuck in a lesser mode. `None` if `stop`, which is called every few draws, returns true.
pub fn best_draws(
    model: &(impl LatentModel + ?Sized),
    x: &Tensor,
    draws: u32,
    encoder: bool,
    key: Key,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<f32>>> {
    let (rows, latent) = (x.shape()[0], model.latent());
    let tape = Tape::inference();
    let data = tape.constant(x.clone());
    let proposal = match encoder {
        true => {
            let (mu, lv) = model.encode(&data);
            Some((mu.value().to_vec()?, lv.value().to_vec()?))
        }
        false => None,
    };
    let mut best = (vec![f32::INFINITY; rows], vec![0.0; rows * latent]);
    for draw in 0..draws * (1 + u32::from(encoder)) {
        if draw % 32 == 31 && stop() {
            return Ok(None);
        }
        let noise = Key { stream: stream::HMC | draw << 12, ..key };
        let mut z = normals(noise, rows, latent);
        if let Some((mu, lv)) = proposal.as_ref().filter(|_| draw % 2 == 1) {
            let moments = mu.iter().zip(lv);
            z.iter_mut().zip(moments).for_each(|(z, (m, v))| *z = m + (0.5 * v).exp() * *z);
        }
        let here = tape.constant(Tensor::new(x.device(), &z, &[rows, latent]));
        let energies = model.neg_log_joint(&data, &here).value().to_vec()?;
        for (row, energy) in energies.into_iter().enumerate() {
            if energy < best.0[row] {
                best.0[row] = energy;
                let at = row * latent..(row + 1) * latent;
                best.1[at.clone()].copy_from_slice(&z[at]);
            }
        }
    }
    Ok(Some(best.1))
}

/// Standard normals \[rows, latent\] for the rows that `key` covers.
fn normals(key: Key, rows: usize, latent: usize) -> Vec<f32> {
    let mut values = vec![0.0; rows * latent];
    let first = u64::from(key.elsewhere.0) * latent as u64;
    fill_from(key, Distribution::Normal, first, &mut values);
    values
}

/// U(z) = -log p(x, z) \[rows\] and its gradient \[rows, latent\].
fn energy(
    model: &(impl LatentModel + ?Sized),
    x: &Tensor,
    z: &[f32],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let tape = Tape::for_leaves();
    let rows = x.shape()[0];
    let z = tape.leaf(Tensor::new(x.device(), z, &[rows, model.latent()]));
    let u = model.neg_log_joint(&tape.constant(x.clone()), &z);
    let ones = Tensor::full(x.device(), 1.0, &[rows]);
    let gradients = tape.backward(&[(&u, ones)]);
    let gradient = gradients.of(&z).expect("the energy depends on z");
    Ok((u.value().to_vec()?, gradient.to_vec()?))
}
