//! A batch split into parts, as data-parallel training splits it among processes. Since every row keeps its noise,
//! the loss and gradients of the whole batch are the means over the parts, weighted by their number of rows.

use crate::common;
use pixelloom::autograd::Gradients;
use pixelloom::autograd::case::distance;
use pixelloom::models::ModelConfig;
use pixelloom::models::draw::DrawConfig;
use pixelloom::models::halves::{loss_and_gradients, on_one_tape};
use pixelloom::models::pixel::{Body, MultiScaleConfig, PixelConfig};
use pixelloom::models::vae::{Estimator, Likelihood, Method, VaeConfig};
use pixelloom::ops::layout::slice;
use pixelloom::ops::random;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

const ROWS: usize = 7;

/// The loss of the rows `first..last`, followed by the gradients of all parameters.
fn gradients(config: &ModelConfig, x: &Tensor, (first, last): (usize, usize)) -> Vec<f32> {
    let model = config.build(x.device(), 3).unwrap();
    let model = model.model();
    let key = Key::new(5, stream::LATENT, 11).of_rows(&(first..last), ROWS);
    let x = slice(x, 0, first as i64, last - first);
    let prepared = model.prepare(&x, None, key).unwrap();
    let tape = Tape::new();
    let loss = model.loss(&tape.constant(x), &prepared, key);
    let gradients = tape.backward_from(&loss);
    let mut all = loss.value().to_vec().unwrap();
    for (_, param) in model.parameters() {
        let zeros = Tensor::zeros(param.value().device(), param.value().shape());
        all.extend(gradients.param(param).unwrap_or(&zeros).to_vec().unwrap());
    }
    all
}

#[test]
fn parts_of_a_batch_add_up_to_the_whole() {
    let vae = |method, likelihood| {
        let mnist = VaeConfig::mnist(3);
        let (height, width, hidden) = (4, 5, 6);
        ModelConfig::Vae(VaeConfig { height, width, hidden, method, likelihood, ..mnist })
    };
    let sgvb = |estimator, samples| Method::Sgvb { estimator, samples };
    let em = Method::MonteCarloEm { leapfrog: 3, updates: 1 };
    let draw = DrawConfig { height: 4, width: 5, hidden: 6, latent: 3, ..DrawConfig::mnist() };
    let dropping = PixelConfig { height: 4, width: 5, dropout: 0.4, ..PixelConfig::mnist(2, 4) };
    let models = [
        vae(sgvb(Estimator::B, 1), Likelihood::Bernoulli),
        vae(sgvb(Estimator::A, 3), Likelihood::Bernoulli),
        vae(Method::WakeSleep, Likelihood::Bernoulli),
        vae(Method::WakeSleep, Likelihood::Gaussian),
        vae(em, Likelihood::Bernoulli),
        ModelConfig::Draw(draw),
        ModelConfig::pixel(Body::DiagBilstm, dropping),
    ];
    for device in common::devices() {
        let x = random::uniform(&device, Key::new(1, stream::TEST, 0), &[ROWS, 20]);
        for model in &models {
            let whole = gradients(model, &x, (0, ROWS));
            let parts = [(0, 3), (3, 4), (4, ROWS)];
            let mut sum = vec![0.0; whole.len()];
            for (first, last) in parts {
                let share = (last - first) as f32 / ROWS as f32;
                for (sum, part) in sum.iter_mut().zip(gradients(model, &x, (first, last))) {
                    *sum += share * part;
                }
            }
            let off = distance(&sum[..1], &whole[..1]).max(distance(&sum[1..], &whole[1..]));
            assert!(off < 1e-4, "{model:?} on {}: {off}", device.name());
        }
    }
}

/// A step on two halves of the rows gives the loss and gradients of the whole, also for a part of a larger batch,
/// and the same bits with any number of threads.
#[test]
fn a_step_in_two_parts_is_the_step() {
    let draw = DrawConfig { height: 4, width: 5, hidden: 6, latent: 3, ..DrawConfig::mnist() };
    let pixel = PixelConfig { height: 4, width: 5, dropout: 0.4, ..PixelConfig::mnist(2, 4) };
    let bodies = [Body::PixelCnn, Body::RowLstm, Body::DiagBilstm];
    // All stages together, and the last one alone.
    let chains = [None, Some(1)].map(|stage| {
        let net = PixelConfig { height: 2, width: 10, ..pixel };
        let chain = MultiScaleConfig::new(Body::RowLstm, net, vec![2]);
        ModelConfig::MultiScale(MultiScaleConfig { stage, ..chain })
    });
    let pixel = bodies.map(|body| ModelConfig::pixel(body, pixel));
    for config in [ModelConfig::Draw(draw)].iter().chain(&pixel).chain(&chains) {
        step_in_two_parts(config);
    }
}

fn step_in_two_parts(config: &ModelConfig) {
    let device = Device::cpu();
    let model = config.build(&device, 3).unwrap();
    let model = model.model();
    assert!(model.halves().is_some());
    let (rows, total) = (37, 50);
    let key = Key::new(5, stream::LATENT, 11).of_rows(&(4..4 + rows), total);
    let x = random::uniform(&device, Key::new(1, stream::TEST, 0), &[rows, 20]);
    let flat = |(loss, gradients): (Tensor, Gradients)| {
        let mut all = loss.to_vec().unwrap();
        for (_, param) in model.parameters() {
            all.extend(gradients.param(param).iter().flat_map(|g| g.to_vec().unwrap()));
        }
        all
    };
    let whole = flat(on_one_tape(model, &x, &[], key));
    let mut found = Vec::new();
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let parts = pool.install(|| loss_and_gradients(model, &x, &[], key));
        let parts = flat(parts);
        let off = distance(&parts[..1], &whole[..1]).max(distance(&parts[1..], &whole[1..]));
        assert!(off < 1e-4, "{config:?}: {off}");
        assert!(parts != whole, "no sum changed its order, so the batch was not split");
        found.push(parts);
    }
    assert!(found[0] == found[1] && found[0] == found[2]);
}

/// Noise for part of a batch must be drawn per row; drawn as for a whole batch it would belong to other rows.
#[test]
#[should_panic(expected = "drawn by rows")]
fn noise_for_a_part_is_drawn_by_rows() {
    let key = Key::new(1, stream::TEST, 0).of_rows(&(2..3), 5);
    random::normal(&pixelloom::Device::cpu(), key, &[1, 4]);
}
