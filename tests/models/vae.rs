//! Auto-Encoding Variational Bayes on models with known exact results.

use pixelloom::autograd::Var;
use pixelloom::models::iwae::iwae;
use pixelloom::models::vae::bound::{self, LatentModel, negative_bound};
use pixelloom::models::vae::hmc::Chain;
use pixelloom::models::vae::marginal::{MarginalSettings, log_marginal};
use pixelloom::models::vae::{Estimator, Likelihood, Method, Vae, VaeConfig};
use pixelloom::models::{Model, Weighted};
use pixelloom::nn::{Module, Optimizer, OptimizerConfig};
use pixelloom::ops::matmul::Activation;
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

const D: usize = 5;
const Z: usize = 2;
const NOISE: f64 = 0.5;
/// Its columns are orthogonal, so the posterior is a product of one-dimensional normal distributions.
const W: [[f64; Z]; D] = [[0.6, 0.5], [-0.9, 0.2], [0.4, -0.3], [0.3, 0.8], [0.2, -1.2]];
const B: [f64; D] = [0.1, -0.2, 0.3, 0.0, 0.5];

/// z ~ N(0, I), x ~ N(W z + b, NOISE^2 I). q(z|x) is the posterior, with its mean moved by `offset` and its log
/// variance by `spread`.
struct LinearGaussian {
    w: Tensor,
    b: Tensor,
    /// The mean of q is this matrix times (x - b), plus the offset.
    gain: Tensor,
    offset: f32,
    log_variance: [f64; Z],
    spread: f32,
}

fn column_squares() -> [f64; Z] {
    std::array::from_fn(|j| W.iter().map(|w| w[j] * w[j]).sum())
}

impl LinearGaussian {
    fn new(device: &Device, offset: f32, spread: f32) -> LinearGaussian {
        let dot: f64 = W.iter().map(|w| w[0] * w[1]).sum();
        assert!(dot.abs() < 1e-12, "columns are not orthogonal: {dot}");
        // Posterior: variance 1 / (1 + |w_j|^2 / s^2), mean variance * w_j . (x - b) / s^2.
        let precision = column_squares().map(|c| 1.0 + c / (NOISE * NOISE));
        let flat = |f: &dyn Fn(usize, usize) -> f64, r: usize, c: usize| {
            (0..r * c).map(|i| f(i / c, i % c) as f32).collect::<Vec<_>>()
        };
        let gain = flat(&|j, i| W[i][j] / (NOISE * NOISE) / precision[j], Z, D);
        LinearGaussian {
            w: Tensor::new(device, &flat(&|i, j| W[i][j], D, Z), &[D, Z]),
            b: Tensor::new(device, &B.map(|b| b as f32), &[D]),
            gain: Tensor::new(device, &gain, &[Z, D]),
            offset,
            log_variance: precision.map(|p| -p.ln()),
            spread,
        }
    }

    /// log N(x; b, W W^T + s^2 I), by the eigenvalues |w_j|^2 + s^2 along the orthogonal columns and s^2 elsewhere.
    fn log_p(x: &[f32]) -> f64 {
        let centred: Vec<f64> = x.iter().zip(B).map(|(&x, b)| f64::from(x) - b).collect();
        let s2 = NOISE * NOISE;
        let mut rest: f64 = centred.iter().map(|c| c * c).sum();
        let (mut quadratic, mut log_det) = (0.0, (D - Z) as f64 * s2.ln());
        for (j, norm2) in column_squares().into_iter().enumerate() {
            let along = W.iter().zip(&centred).map(|(w, c)| w[j] * c).sum::<f64>() / norm2.sqrt();
            rest -= along * along;
            quadratic += along * along / (norm2 + s2);
            log_det += (norm2 + s2).ln();
        }
        quadratic += rest / s2;
        -0.5 * (quadratic + log_det + D as f64 * std::f64::consts::TAU.ln())
    }
}

impl LatentModel for LinearGaussian {
    fn latent(&self) -> usize {
        Z
    }

    fn encode<'t>(&self, x: &Var<'t>) -> (Var<'t>, Var<'t>) {
        let tape = x.tape();
        let centred = x.sub(&tape.constant(self.b.clone()));
        let mu = centred.linear(&tape.constant(self.gain.clone()), None, Activation::None);
        let lv = self.log_variance.map(|v| v as f32 + self.spread);
        let lv = tape.constant(Tensor::new(x.device(), &lv, &[Z]));
        (mu.affine(1.0, self.offset), lv.expand(&[x.shape()[0], Z]))
    }

    fn neg_log_likelihood<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t> {
        let tape = x.tape();
        let (w, b) = (tape.constant(self.w.clone()), tape.constant(self.b.clone()));
        let mean = z.linear(&w, Some(&b), Activation::None);
        let lv = Tensor::full(x.device(), (2.0 * NOISE.ln()) as f32, x.shape());
        x.gaussian_nll(&mean, &tape.constant(lv))
    }
}

impl Weighted for LinearGaussian {
    fn numbers_a_row(&self) -> usize {
        D
    }

    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> pixelloom::Result<Tensor> {
        Ok(bound::log_weights(self, x, samples, key))
    }
}

/// Eight points, some likely and some not, and their exact log p(x).
fn points(device: &Device) -> (Tensor, Vec<f64>) {
    let key = Key::new(3, stream::TEST, 0);
    let x: Vec<f32> = (0..8 * D as u64).map(|i| 3.0 * key.uniform(i) - 1.5).collect();
    let exact = x.chunks(D).map(LinearGaussian::log_p).collect();
    (Tensor::new(device, &x, &[8, D]), exact)
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

/// The negative bound, averaged over the points and many draws.
fn average_bound(model: &LinearGaussian, x: &Tensor, estimator: Estimator) -> f64 {
    let tape = Tape::inference();
    let bound = negative_bound(
        model,
        &tape.constant(x.clone()),
        estimator,
        4000,
        Key::new(1, stream::LATENT, 0),
    );
    mean(&bound.total.value().to_vec().unwrap().iter().map(|&v| f64::from(v)).collect::<Vec<_>>())
}

#[test]
fn elbo_iwae_and_the_exact_likelihood_are_in_order() {
    let device = Device::cpu();
    let (x, exact) = points(&device);
    let exact = mean(&exact);
    let model = LinearGaussian::new(&device, 0.5, 0.7);
    let elbo = -average_bound(&model, &x, Estimator::B);
    let at = |k: usize| {
        // Enough repetitions that the standard error of each average is below 0.005.
        let draws = (200_000 / k).min(5_000);
        let one = |i: usize| {
            let bound = iwae(&model, &x, k, Key::new(2, stream::EVALUATE, (i * k) as u32)).unwrap();
            -mean(&bound)
        };
        mean(&(0..draws).map(one).collect::<Vec<_>>())
    };
    let iw: Vec<f64> = [2, 10, 100, 1000].map(at).to_vec();
    assert!(elbo + 0.02 < iw[0], "ELBO {elbo} against IWAE-2 {}", iw[0]);
    let rises = iw.windows(2).all(|w| w[0] + 0.005 < w[1]);
    assert!(rises, "IWAE does not rise: {iw:?}");
    assert!(iw[3] <= exact + 5e-3, "IWAE-1000 {} above log p {exact}", iw[3]);
    assert!((iw[3] - exact).abs() < 0.01, "IWAE-1000 {} far from log p {exact}", iw[3]);
}

/// There are enough rows that every sample is its own chunk. If two chunks had the same noise, the bound with two
/// samples would equal that with one.
#[test]
fn chunks_of_samples_draw_fresh_noise() {
    let device = Device::cpu();
    let model = LinearGaussian::new(&device, 0.5, 0.7);
    let x = Tensor::full(&device, 0.3, &[4096, D]);
    let key = Key::new(4, stream::EVALUATE, 0);
    let (one, two) = (iwae(&model, &x, 1, key).unwrap(), iwae(&model, &x, 2, key).unwrap());
    let same = one.iter().zip(&two).filter(|(a, b)| (*a - *b).abs() < 1e-7).count();
    assert!(same < 10, "{same} of 4096 bounds did not change with a second sample");
    let distinct: std::collections::BTreeSet<u64> = one.iter().map(|v| v.to_bits()).collect();
    assert!(distinct.len() > 4000, "rows share noise");
}

#[test]
fn estimators_a_and_b_have_the_same_mean() {
    let device = Device::cpu();
    let (x, _) = points(&device);
    let model = LinearGaussian::new(&device, 0.5, 0.7);
    let (a, b) = (average_bound(&model, &x, Estimator::A), average_bound(&model, &x, Estimator::B));
    assert!((a - b).abs() < 0.02, "A {a}, B {b}");
}

#[test]
fn at_the_posterior_estimator_a_is_exact_with_every_sample() {
    let device = Device::cpu();
    let (x, exact) = points(&device);
    let model = LinearGaussian::new(&device, 0.0, 0.0);
    for step in 0..20 {
        let tape = Tape::inference();
        let key = Key::new(5, stream::LATENT, step);
        let bound = negative_bound(&model, &tape.constant(x.clone()), Estimator::A, 1, key);
        for (got, exact) in bound.total.value().to_vec().unwrap().iter().zip(&exact) {
            assert!((f64::from(*got) + exact).abs() <= 2e-5 * exact.abs(), "{got} against {exact}");
        }
    }
}

#[test]
fn hmc_finds_the_posterior() {
    let device = Device::cpu();
    let (x, _) = points(&device);
    let model = LinearGaussian::new(&device, 0.0, 0.0);
    let tape = Tape::inference();
    let (mu, _) = model.encode(&tape.constant(x.clone()));
    let mu = mu.value().to_vec().unwrap();
    let far = vec![3.0; 8 * Z];
    let mut chain = Chain::start(&model, &x, far, 0.05, 4, Key::new(6, stream::HMC, 0)).unwrap();
    chain.run(&model, &x, 300, true).unwrap();
    let before = chain.accepted;
    let (mut sum, mut squares, draws) = (vec![0.0; mu.len()], vec![0.0; mu.len()], 4000);
    for _ in 0..draws {
        chain.run(&model, &x, 1, false).unwrap();
        for (i, &z) in chain.z().iter().enumerate() {
            sum[i] += f64::from(z);
            squares[i] += f64::from(z) * f64::from(z);
        }
    }
    let rate = (chain.accepted - before) as f64 / f64::from(8 * draws);
    assert!((0.75..0.999).contains(&rate), "acceptance {rate}");
    for (i, &mu) in mu.iter().enumerate() {
        let m = sum[i] / f64::from(draws);
        let variance = squares[i] / f64::from(draws) - m * m;
        let exact = model.log_variance[i % Z].exp();
        assert!((m - f64::from(mu)).abs() < 0.06, "mean {m} against {mu}");
        assert!((variance / exact - 1.0).abs() < 0.2, "variance {variance} against {exact}");
    }
}

#[test]
fn appendix_d_is_within_a_twentieth_of_a_nat() {
    let device = Device::cpu();
    let (x, exact) = points(&device);
    let model = LinearGaussian::new(&device, 0.0, 0.0);
    let settings = MarginalSettings { samples: 400, leapfrog: 4, burn_in: 300, thin: 5 };
    let key = Key::new(7, stream::HMC, 0);
    let got = log_marginal(&model, &x, settings, key, &|| false).unwrap().unwrap();
    for (got, exact) in got.iter().zip(&exact) {
        assert!((got - exact).abs() <= 0.05, "{got} against {exact}");
    }
}

/// A likelihood with two modes: a narrow one far from the prior holds nearly all of p(x), and a wide one near the
/// prior holds almost nothing.
struct TwoModes;

impl LatentModel for TwoModes {
    fn latent(&self) -> usize {
        1
    }

    fn encode<'t>(&self, x: &Var<'t>) -> (Var<'t>, Var<'t>) {
        let value = |v: f32| x.tape().constant(Tensor::full(x.device(), v, &[x.shape()[0], 1]));
        (value(2.6), value(2.0 * 0.1_f32.ln()))
    }

    /// -log(N(z; 2.5, 0.05^2) + e^-12 N(z; -1, 0.5^2)).
    fn neg_log_likelihood<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t> {
        let value = |v: f32| x.tape().constant(Tensor::full(x.device(), v, z.shape()));
        let narrow = z.gaussian_nll(&value(2.5), &value(2.0 * 0.05_f32.ln()));
        let wide = z.gaussian_nll(&value(-1.0), &value(2.0 * 0.5_f32.ln())).affine(1.0, 12.0);
        narrow.sub(&narrow.sub(&wide).softplus())
    }
}

#[test]
fn appendix_d_finds_the_narrow_mode() {
    let x = Tensor::zeros(&Device::cpu(), &[40, 1]);
    let normal = |z: f64, variance: f64| {
        (-0.5 * z * z / variance).exp() / (std::f64::consts::TAU * variance).sqrt()
    };
    let exact = (normal(2.5, 1.0025) + (-12.0_f64).exp() * normal(1.0, 1.25)).ln();
    let key = Key::new(9, stream::HMC, 0);
    let got =
        log_marginal(&TwoModes, &x, MarginalSettings::paper(), key, &|| false).unwrap().unwrap();
    let mean = got.iter().sum::<f64>() / 40.0;
    assert!((mean - exact).abs() < 0.05, "{mean} against {exact}");
}

#[test]
fn kl_is_zero_at_the_prior_and_agrees_with_sampling() {
    let device = Device::cpu();
    let tape = Tape::inference();
    let zero = tape.constant(Tensor::zeros(&device, &[3, 7]));
    assert_eq!(zero.gaussian_kl(&zero).value().to_vec().unwrap(), [0.0; 3]);
    // KL = E_q [log q - log p].
    let n = 200_000;
    let value = |v: f32| tape.constant(Tensor::full(&device, v, &[n, 1]));
    let (mu, lv, zero) = (value(0.7), value(-0.9), value(0.0));
    let key = Key::new(8, stream::TEST, 0);
    let eps = tape.constant(pixelloom::ops::random::normal(&device, key, &[n, 1]));
    let z = mu.add(&lv.affine(0.5, 0.0).exp().mul(&eps));
    let sampled = z.gaussian_nll(&zero, &zero).sub(&z.gaussian_nll(&mu, &lv)).mean();
    let exact = mu.gaussian_kl(&lv).value().to_vec().unwrap()[0];
    let sampled = sampled.value().item().unwrap();
    assert!((sampled - exact).abs() < 0.01, "sampled {sampled}, exact {exact}");
}

#[test]
fn the_gaussian_density_integrates_to_one() {
    let device = Device::cpu();
    let tape = Tape::inference();
    let n = 20_001;
    let grid: Vec<f32> = (0..n).map(|i| -10.0 + 20.0 * i as f32 / (n - 1) as f32).collect();
    let x = tape.constant(Tensor::new(&device, &grid, &[n, 1]));
    let value = |v: f32| tape.constant(Tensor::full(&device, v, &[n, 1]));
    let nll = x.gaussian_nll(&value(0.3), &value(-0.4)).value().to_vec().unwrap();
    let total: f64 =
        nll.iter().map(|&v| (-f64::from(v)).exp()).sum::<f64>() * 20.0 / (n - 1) as f64;
    assert!((total - 1.0).abs() < 1e-4, "integral {total}");
}

#[test]
fn the_gaussian_decoder_keeps_its_floor_and_its_range() {
    let device = Device::cpu();
    let config = VaeConfig { height: 3, width: 2, hidden: 4, ..VaeConfig::frey(2) };
    let model = Vae::new(&device, config, 1);
    // Drive the raw log variance far below the floor.
    for (name, p) in model.parameters() {
        if name == "decoder.log_variance.bias" {
            p.set(Tensor::full(&device, -100.0, &[6]));
        }
    }
    let tape = Tape::inference();
    let decoded = model.decode(&tape.constant(Tensor::full(&device, 3.0, &[1, 2])));
    let floor = config.log_variance_floor;
    for lv in decoded.log_variance.unwrap().value().to_vec().unwrap() {
        assert!(lv >= floor && lv < floor + 1e-3, "log variance {lv}");
    }
    assert!(decoded.output.value().to_vec().unwrap().iter().all(|m| (0.0..=1.0).contains(m)));
}

#[test]
fn the_paper_model_has_815_824_parameters_and_stable_names() {
    let model = Vae::new(&Device::cpu(), VaeConfig::mnist(20), 0);
    assert_eq!(model.parameter_count(), 815_824);
    let names: Vec<String> = model.parameters().into_iter().map(|(n, _)| n).collect();
    let layers = [
        "encoder.hidden",
        "encoder.mean",
        "encoder.log_variance",
        "decoder.hidden",
        "decoder.mean",
    ];
    let expected: Vec<String> =
        layers.iter().flat_map(|l| [format!("{l}.weight"), format!("{l}.bias")]).collect();
    assert_eq!(names, expected);
}

/// The prior N(0, I) on the weights counts once per data set. The objective (N/M) sum_batch + |w|^2 / 2 is N times
/// the loss used in training, mean_batch + |w|^2 / (2N), and Adagrad is invariant to the factor N.
#[test]
fn the_weight_prior_counts_once_a_data_set() {
    struct One(pixelloom::Param);
    impl Module for One {
        fn visit<'a>(&'a self, _: &str, f: &mut dyn FnMut(&str, &'a pixelloom::Param)) {
            f("w", &self.0);
        }
    }
    let device = Device::cpu();
    let (n, m, rate) = (50.0_f64, 4, 0.1);
    let x: Vec<f32> = vec![1.0, 2.0, -0.5, 3.0];
    let model = One(pixelloom::Param::new(Tensor::new(&device, &[4.0], &[1])));
    let config = OptimizerConfig {
        decay: (1.0 / n) as f32,
        epsilon: 0.0,
        ..OptimizerConfig::new(Rule::Adagrad, rate as f32)
    };
    let mut optimizer = Optimizer::new(config);
    let (mut w, mut squares) = (4.0_f64, 0.0);
    for _ in 0..3 {
        let tape = Tape::new();
        let d = tape.param(&model.0).sub(&tape.constant(Tensor::new(&device, &x, &[m])));
        let loss = d.square().mean().affine(0.5, 0.0);
        optimizer.step(&model, &tape.backward_from(&loss));
        // By hand: the objective of equation (8) with its prior, for the whole data set.
        let sum: f64 = x.iter().map(|&x| w - f64::from(x)).sum();
        let g = n / m as f64 * sum + w;
        squares += g * g;
        w -= rate * g / squares.sqrt();
    }
    let got = f64::from(model.0.value().item().unwrap());
    assert!((got - w).abs() <= 1e-5, "{got} against {w} by hand");
    assert!(w < 3.8, "the steps did not move the weight");
}

/// Four equally likely images of twelve pixels, repeated to 32 rows: log p(x) is at most -ln 4 on average.
fn prototypes(device: &Device) -> Tensor {
    let rows = ["110000110000", "001100001100", "000011000011", "101010101010"];
    let x: Vec<f32> = rows.concat().bytes().map(|b| f32::from(b - b'0')).collect();
    Tensor::new(device, &x.repeat(8), &[32, 12])
}

fn trained(method: Method, steps: u32) -> (Vae, Tensor) {
    let device = Device::cpu();
    let config = VaeConfig {
        height: 3,
        width: 4,
        hidden: 24,
        latent: 2,
        likelihood: Likelihood::Bernoulli,
        method,
        ..VaeConfig::mnist(2)
    };
    let model = Vae::new(&device, config, 4);
    let x = prototypes(&device);
    let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-2));
    let mut step = 0;
    while step < steps {
        let prepared = model.prepare(&x, None, Key::new(1, stream::HMC, step)).unwrap();
        for _ in 0..model.updates() {
            let tape = Tape::new();
            let key = Key::new(1, stream::LATENT, step);
            let loss = model.loss(&tape.constant(x.clone()), &prepared, key);
            optimizer.step(&model, &tape.backward_from(&loss));
            step += 1;
        }
    }
    (model, x)
}

/// -log p(x), averaged over the four images, by the trapezium rule over z in \[-6, 6\]^2, without sampling and without
/// the encoder.
fn marginal_nats(model: &Vae, x: &Tensor) -> f64 {
    let side = 161;
    let at = |i: usize| -6.0 + 12.0 * i as f32 / (side - 1) as f32;
    let grid: Vec<f32> = (0..side * side).flat_map(|i| [at(i / side), at(i % side)]).collect();
    let z = Tensor::new(x.device(), &grid, &[side * side, 2]);
    let area = (12.0 / (side - 1) as f64).powi(2);
    let tape = Tape::inference();
    let nats = |image: &[f32]| {
        let x = Tensor::new(x.device(), image, &[1, 12]);
        let x = tape.constant(x).expand(&[side * side, 12]);
        let joint = model.neg_log_joint(&x, &tape.constant(z.clone())).value().to_vec().unwrap();
        -(area * joint.iter().map(|&v| (-f64::from(v)).exp()).sum::<f64>()).ln()
    };
    mean(&x.to_vec().unwrap()[..48].chunks(12).map(nats).collect::<Vec<_>>())
}

#[test]
fn four_prototypes_cost_ln_four_from_above() {
    let ln4 = 4.0_f64.ln();
    for estimator in [Estimator::A, Estimator::B] {
        let (model, x) = trained(Method::Sgvb { estimator, samples: 2 }, 1500);
        let bound = mean(&iwae(&model, &x, 500, Key::new(3, stream::EVALUATE, 0)).unwrap());
        assert!(bound >= ln4 - 0.02, "estimator {estimator:?}: {bound} lies below ln 4");
        assert!(bound <= ln4 + 0.6, "estimator {estimator:?}: {bound} is far above ln 4");
        let per_image = model.evaluate(&x, None, Key::new(4, stream::EVALUATE, 0)).unwrap();
        let exact = marginal_nats(&model, &x);
        assert!(exact >= ln4 - 1e-3, "{exact} lies below ln 4");
        assert!((bound - exact).abs() < 0.05, "IWAE-500 {bound}, by quadrature {exact}");
        let elbo = mean(&per_image[0].1.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        assert!(elbo >= bound - 0.05, "bound {elbo} below IWAE-500 {bound}");
        for i in 0..32 {
            let parts = per_image[1].1[i] + per_image[2].1[i];
            assert!((per_image[0].1[i] - parts).abs() <= 1e-4, "the parts do not add up");
        }
    }
}

#[test]
fn the_baselines_learn_too() {
    let untrained = marginal_nats(&trained(Method::WakeSleep, 0).0, &prototypes(&Device::cpu()));
    let em = Method::MonteCarloEm { leapfrog: 8, updates: 5 };
    for (method, steps) in [(Method::WakeSleep, 3000), (em, 4000)] {
        let (model, x) = trained(method, steps);
        let nats = marginal_nats(&model, &x);
        assert!(nats < 3.0 && untrained > 6.0, "{method:?}: {untrained} before, {nats} after");
        assert!(nats >= 4.0_f64.ln() - 1e-3, "{method:?}: {nats} lies below ln 4");
    }
}

#[test]
fn samples_come_from_the_prior_through_the_decoder() {
    let device = Device::cpu();
    let (model, _) = trained(Method::Sgvb { estimator: Estimator::B, samples: 1 }, 200);
    let key = Key::new(9, stream::SAMPLE, 0);
    let z = pixelloom::ops::random::normal(&device, key, &[6, 2]);
    let direct = model.decode_means(&z).to_vec().unwrap();
    assert_eq!(model.sample(&device, 6, key).unwrap().to_vec().unwrap(), direct);
}
