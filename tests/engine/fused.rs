//! Fused kernels agree with the plain operations that they replace: values and gradients, on every device.

use crate::common;
use pixelloom::Device;
use pixelloom::autograd::Var;
use pixelloom::autograd::case::{Case, Input, distance};

type Call = for<'t> fn(&[Var<'t>]) -> Vec<Var<'t>>;

const BATCH: usize = 5;
const UNITS: usize = 19;
const FILTERS: usize = 3;
/// Channels of the images.
const CHANNELS: usize = 2;
const PATCH: usize = FILTERS * FILTERS * CHANNELS;
const LATENT: usize = 7;

/// What differs between `fused` and `plain` on any device.
fn differences(inputs: Vec<Input>, fused: Call, plain: Call) -> Vec<String> {
    let [fused, plain] = [fused, plain].map(|call| Case::new("fused", "", inputs.clone(), call));
    let on = |device: &Device| -> Vec<String> {
        let pairs = fused.results(device).unwrap().into_iter().zip(plain.results(device).unwrap());
        let differ = |((name, found), (other, exact)): ((String, Vec<f32>), (String, Vec<f32>))| {
            assert_eq!(name, other);
            let d = distance(&found, &exact);
            (!(d <= 1e-5)).then(|| format!("{}, {name}: {d:.1e}", device.name()))
        };
        pairs.filter_map(differ).collect()
    };
    common::devices().iter().flat_map(on).collect()
}

fn images(name: &'static str) -> Input {
    Input::uniform(name, &[BATCH, 6, 9, CHANNELS], -1.0, 1.0)
}

fn columns(name: &'static str, columns: usize) -> Input {
    Input::uniform(name, &[BATCH, columns], -0.5, 0.5)
}

#[test]
fn a_read_with_the_encoders_input() {
    let inputs = vec![
        columns("attention", 5),
        images("x"),
        images("canvas"),
        columns("h", UNITS),
        columns("state", UNITS),
    ];
    let differ = differences(
        inputs,
        |x| x[0].attention_read_input(FILTERS, &x[1], &x[2], [&x[3], &x[4]]).to_vec(),
        |x| {
            let r = x[0].attention_read(FILTERS, &x[1], Some(&x[2]));
            let r = r.reshape(&[BATCH, 2 * PATCH]);
            vec![r.concat(&[&x[3], &x[4]], 1), x[2].affine(1.0, 0.0)]
        },
    );
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_write_from_the_decoders_outputs() {
    let inputs = vec![columns("heads", PATCH + 10), images("canvas")];
    let differ = differences(
        inputs,
        |x| x[0].attention_write_heads(FILTERS, &x[1]).to_vec(),
        |x| {
            let [w, p, next] = x[0].split(1, [PATCH, 5, 5]);
            let w = w.reshape(&[BATCH, FILTERS, FILTERS, CHANNELS]);
            vec![p.attention_write(&w, &x[1]), next]
        },
    );
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_sample_with_the_decoders_input() {
    let inputs = vec![
        columns("m", 2 * LATENT),
        Input::normal("eps", &[2, BATCH, LATENT]).constant(),
        columns("h", UNITS),
        Input::normal("before", &[BATCH]),
    ];
    let differ = differences(
        inputs,
        |x| {
            let (input, kl, total) = x[0].latent_input((x[1].value(), 1), &x[2], &x[3]);
            vec![input, total, x[3].mul(&x[0].tape().constant(kl))]
        },
        |x| {
            let [z, kl] = x[0].latent(x[1].value(), 1);
            let alone = x[0].tape().constant(kl.value().clone());
            vec![z.concat(&[&x[2]], 1), x[3].add(&kl), x[3].mul(&alone)]
        },
    );
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
