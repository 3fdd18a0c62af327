//! Learning with small models: prototypes, and classification from glimpses.

use pixelloom::models::Model;
use pixelloom::models::draw::{Classifier, ClassifierConfig, Draw, DrawConfig};
use pixelloom::nn::{Optimizer, OptimizerConfig, Schedule};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

fn train(model: &dyn Model, steps: u32, batch: impl Fn(u32) -> (Tensor, Tensor)) {
    let schedule = Schedule::Cosine { total: steps.into(), floor: 0.0 };
    let settings = OptimizerConfig { clip: Some(5.0), ..OptimizerConfig::new(Rule::Adam, 1e-2) };
    let settings = OptimizerConfig { schedule, ..settings };
    let mut optimizer = Optimizer::new(settings);
    for step in 0..steps {
        let (x, labels) = batch(step);
        let key = Key::new(1, stream::LATENT, step);
        let prepared = model.prepare(&x, Some(&labels), key).unwrap();
        let tape = Tape::new();
        let loss = model.loss(&tape.constant(x), &prepared, key);
        optimizer.step(model, &tape.backward_from(&loss));
    }
}

/// Four images of 8 x 6: a bar at each edge.
fn bars() -> Vec<Vec<f32>> {
    let image = |f: fn(usize, usize) -> bool| {
        (0..48).map(|i| f32::from(f(i / 6, i % 6))).collect::<Vec<f32>>()
    };
    vec![image(|r, _| r < 2), image(|r, _| r >= 6), image(|_, c| c < 2), image(|_, c| c >= 4)]
}

/// Four equally likely images cost ln 4 nats each; no bound can be lower.
#[test]
fn four_prototypes_cost_ln_four() {
    for attention in [true, false] {
        let device = Device::cpu();
        let config = DrawConfig {
            height: 8,
            width: 6,
            glimpses: 8,
            hidden: 32,
            latent: 4,
            attention,
            read: 3,
            write: 3,
            ..DrawConfig::mnist()
        };
        let model = Draw::new(&device, config, 1);
        let data: Vec<f32> = bars().concat().repeat(8);
        let x = Tensor::new(&device, &data, &[32, 48]);
        let none = Tensor::zeros(&device, &[32]);
        train(&model, 1500, |_| (x.clone(), none.clone()));
        let mut scores = Vec::new();
        for step in 0..50 {
            let parts = model.evaluate(&x, None, Key::new(2, stream::EVALUATE, step)).unwrap();
            scores.extend(parts[0].1.iter().map(|&v| f64::from(v)));
        }
        let bound = scores.iter().sum::<f64>() / scores.len() as f64;
        let least = 4.0_f64.ln();
        assert!(bound > least - 0.01 && bound < least + 0.5, "{bound} nats, attention {attention}");
    }
}

/// A dot near one of four corners, whose position the classifier must learn.
#[test]
fn a_classifier_learns_where_the_dot_is() {
    let device = Device::cpu();
    let config = ClassifierConfig {
        height: 12,
        width: 9,
        channels: 1,
        classes: 4,
        glimpses: 2,
        hidden: 16,
        read: 3,
    };
    let model = Classifier::new(&device, config, 1);
    let batch = |step: u32| {
        let key = Key::new(5, stream::TEST, step);
        let mut x = vec![0.0; 32 * 108];
        let mut labels = Vec::new();
        for i in 0..32_u64 {
            let (class, r, c) =
                (key.word(3 * i) % 4, key.word(3 * i + 1) % 4, key.word(3 * i + 2) % 3);
            let (row, column) = (r + 7 * (class / 2), c + 5 * (class % 2));
            x[i as usize * 108 + (row * 9 + column) as usize] = 1.0;
            labels.push(class as f32);
        }
        (Tensor::new(&device, &x, &[32, 108]), Tensor::new(&device, &labels, &[32]))
    };
    train(&model, 400, batch);
    let (x, labels) = batch(1_000_000);
    let parts = model.evaluate(&x, Some(&labels), Key::new(0, 0, 0)).unwrap();
    assert_eq!(parts[1].0, "error");
    let wrong = parts[1].1.iter().sum::<f32>();
    assert!(wrong <= 1.0, "{wrong} of 32 dots are placed wrong");
    // With all labels shifted, every answer is wrong.
    let shifted = labels.to_vec().unwrap().iter().map(|c| (c + 1.0) % 4.0).collect::<Vec<_>>();
    let shifted = Tensor::new(&device, &shifted, &[32]);
    let parts = model.evaluate(&x, Some(&shifted), Key::new(0, 0, 0)).unwrap();
    assert!(parts[1].1.iter().sum::<f32>() >= 31.0);
    let (trace, found) = model.look(&x).unwrap();
    assert_eq!((trace.frames.len(), found.len()), (2, 32));
    let Err(pixelloom::Error::Config(why)) = model.evaluate(&x, None, Key::new(0, 0, 0)) else {
        panic!("missing labels were accepted")
    };
    assert!(why.contains("labels"), "{why}");
    // Labels outside the classes are refused.
    for wrong in [4.0, 255.0, -1.0, f32::NAN] {
        let mut values = labels.to_vec().unwrap();
        values[7] = wrong;
        let values = Tensor::new(&device, &values, &[32]);
        let Err(pixelloom::Error::Data(why)) = model.evaluate(&x, Some(&values), Key::new(0, 0, 0))
        else {
            panic!("label {wrong} was accepted")
        };
        let expected = format!("label 7 of a batch is {wrong}, and the model has classes 0 to 3");
        assert!(why.contains(&expected), "{why}");
    }
}
