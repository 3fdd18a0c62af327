//! A classifier of digits and its training, in forty lines. Run it with `cargo run --release --example classifier`.

use pixelloom::prelude::*;

/// logits = W2 relu(W1 x + b1) + b2. Shapes: x [B, 784], logits [B, 10].
struct Classifier([Linear; 2]);

impl Module for Classifier {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.0[0].visit(&join(path, "hidden"), f);
        self.0[1].visit(&join(path, "logits"), f);
    }
}

impl Classifier {
    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t> {
        self.0[1].forward(&self.0[0].forward(x, Activation::Relu), Activation::None)
    }
}

/// Trains a classifier and returns its accuracy on the test images.
fn train(device: &Device, epochs: u32) -> Result<f64> {
    let (digits, rng) =
        (data::open("digits", None, "data".as_ref())?, &mut StdRng::seed_from_u64(1));
    let layer = |inputs, outputs, rng: &mut StdRng| Linear::uniform(device, inputs, outputs, rng);
    let model = Classifier([layer(784, 64, rng), layer(64, 10, rng)]);
    let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-3));
    for epoch in 0..epochs {
        for batch in digits.batches(device, Split::Train, 50, 1, epoch) {
            let tape = Tape::new();
            let labels = batch.labels.expect("digits have labels");
            let loss = model.logits(&tape.constant(batch.x)).cross_entropy(&labels);
            optimizer.step(&model, &tape.backward_from(&loss));
        }
    }
    let mut found = 0;
    for batch in digits.batches(device, Split::Test, 100, 1, 0) {
        let tape = Tape::inference();
        let p = model.logits(&tape.constant(batch.x)).softmax().value().to_vec()?;
        let labels = batch.labels.expect("digits have labels").to_vec()?;
        let best = |p: &[f32]| (0..10).max_by(|&a, &b| p[a].total_cmp(&p[b]));
        found += p.chunks(10).zip(labels).filter(|(p, y)| best(p) == Some(*y as usize)).count();
    }
    Ok(found as f64 / digits.test.count as f64)
}

fn main() -> Result<()> {
    let device = Device::auto();
    println!(
        "accuracy {:.1} % on the test digits ({})",
        100.0 * train(&device, 10)?,
        device.name()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns() {
        let share = train(&Device::cpu(), 5).unwrap();
        assert!(share > 0.9, "{share}");
    }
}
