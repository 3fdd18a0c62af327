//! A batch in parts, as the ranks of data-parallel training have it: the loss and the gradients of the
//! whole are the means over the parts, weighted by their rows, since each row keeps its noise.

mod common;

use pixelloom::models::draw::DrawConfig;
use pixelloom::models::vae::{Estimator, Likelihood, Method, VaeConfig};
use pixelloom::ops::case::distance;
use pixelloom::ops::layout::slice;
use pixelloom::ops::random;
use pixelloom::rng::{Key, stream};
use pixelloom::train::ModelConfig;
use pixelloom::{Tape, Tensor};

const ROWS: usize = 7;

/// The loss and the gradients, one behind the other, of the rows `first..last`.
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
    let models = [
        vae(sgvb(Estimator::B, 1), Likelihood::Bernoulli),
        vae(sgvb(Estimator::A, 3), Likelihood::Bernoulli),
        vae(Method::WakeSleep, Likelihood::Bernoulli),
        vae(Method::WakeSleep, Likelihood::Gaussian),
        vae(em, Likelihood::Bernoulli),
        ModelConfig::Draw(draw),
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

/// Noise for a part that is drawn as if it were a batch would be that of other rows.
#[test]
#[should_panic(expected = "drawn by rows")]
fn noise_for_a_part_is_drawn_by_rows() {
    let key = Key::new(1, stream::TEST, 0).of_rows(&(2..3), 5);
    random::normal(&pixelloom::Device::cpu(), key, &[1, 4]);
}
