//! Golden values: cases computed in f64 by code that shares nothing with this project.
//!
//! `PIXELLOOM_GOLDEN` names the directory (default: `golden` in the directory of `PIXELLOOM_SHARED`,
//! which is `../shared`). It holds `index.json`, and for each case a `.safetensors` file with
//! `in.NAME`, `out.NAME`, `dout.NAME` (the gradient that flows in) and `grad.NAME`. Every case of a
//! kind known here runs on the CPU and, where there is one, a GPU. Errors are
//! max|a - b| / (1e-6 + max|b|): at most 1e-5 for values, 5e-5 for gradients, 2e-4 for gradients of
//! whole models.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pixelloom::autograd::Tape;
use pixelloom::ops::case::distance;
use pixelloom::ops::matmul::Activation;
use pixelloom::{Device, Tensor, Var};
use safetensors::SafeTensors;

/// The inputs of a case, by name.
type Inputs<'a, 't> = &'a BTreeMap<String, Var<'t>>;

/// A kind of case: the start of its name, the limit for its gradients, and what computes it.
struct Kind {
    stem: &'static str,
    gradients: f32,
    run: for<'a, 't> fn(Inputs<'a, 't>) -> Vec<(&'static str, Var<'t>)>,
}

static KINDS: [Kind; 4] = [
    Kind { stem: "bernoulli_nll", gradients: 5e-5, run: bernoulli_nll },
    Kind { stem: "gaussian_kl", gradients: 5e-5, run: gaussian_kl },
    Kind { stem: "softmax_nll", gradients: 5e-5, run: softmax_nll },
    Kind { stem: "vae_bernoulli", gradients: 2e-4, run: vae_bernoulli },
];

/// Kinds whose operations don't exist yet.
const NOT_YET: [&str; 10] = [
    "masked_conv",
    "row_lstm",
    "diagonal_lstm",
    "diagonal_bilstm",
    "lstm_cell",
    "filterbank",
    "attention_read",
    "attention_write",
    "draw",
    "pixel",
];

/// One number a row: the golden losses are by element.
fn bernoulli_nll<'t>(x: Inputs<'_, 't>) -> Vec<(&'static str, Var<'t>)> {
    let shape = x["logits"].shape();
    let column = [shape.iter().product(), 1];
    let nll = x["logits"].reshape(&column).bernoulli_nll(&x["x"].reshape(&column));
    vec![("nll", nll.reshape(shape))]
}

fn gaussian_kl<'t>(x: Inputs<'_, 't>) -> Vec<(&'static str, Var<'t>)> {
    vec![("kl", x["mu"].gaussian_kl(&x["lv"]))]
}

fn softmax_nll<'t>(x: Inputs<'_, 't>) -> Vec<(&'static str, Var<'t>)> {
    vec![("nll", x["logits"].categorical_nll(x["t"].value()))]
}

/// Auto-Encoding Variational Bayes: z = mu + e^(lv / 2) eps, loss = -log p(x | z) + KL.
fn vae_bernoulli<'t>(x: Inputs<'_, 't>) -> Vec<(&'static str, Var<'t>)> {
    let layer = |input: &Var<'t>, w: &str, b: &str, activation| {
        input.linear(&x[w], Some(&x[b]), activation)
    };
    let hidden = layer(&x["x"], "e1w", "e1b", Activation::Tanh);
    let mu = layer(&hidden, "mw", "mb", Activation::None);
    let lv = layer(&hidden, "vw", "vb", Activation::None);
    let z = lv.affine(0.5, 0.0).exp().mul(&x["eps"]).add(&mu);
    let hidden = layer(&z, "d1w", "d1b", Activation::Tanh);
    let logits = layer(&hidden, "ow", "ob", Activation::None);
    let kl = mu.gaussian_kl(&lv);
    let loss = logits.bernoulli_nll(&x["x"]).add(&kl);
    vec![("loss", loss), ("logits", logits), ("kl", kl)]
}

#[derive(serde::Deserialize)]
struct Entry {
    name: String,
}

/// The tensors of a file, by their full names.
fn load(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let value = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
    file.tensors()
        .into_iter()
        .map(|(name, t)| {
            assert_eq!(t.dtype(), safetensors::Dtype::F32, "{name}");
            (name, (t.shape().to_vec(), t.data().chunks_exact(4).map(value).collect()))
        })
        .collect()
}

/// An error beyond its limit, NaN included.
fn miss(name: &str, got: &[f32], exact: &[f32], limit: f32) -> Option<String> {
    let error = distance(got, exact);
    (!(error <= limit)).then(|| format!("{name}: {error:.1e}"))
}

/// What is wrong with a case on a device.
fn failures(kind: &Kind, path: &Path, device: &Device) -> Vec<String> {
    let file = load(path);
    let tape = Tape::new();
    let tensor = |(shape, data): &(Vec<usize>, Vec<f32>)| Tensor::new(device, data, shape);
    let inputs: BTreeMap<String, Var> = file
        .iter()
        .filter_map(|(name, t)| {
            let name = name.strip_prefix("in.")?;
            let has_gradient = file.contains_key(&format!("grad.{name}"));
            let x = if has_gradient { tape.leaf(tensor(t)) } else { tape.constant(tensor(t)) };
            Some((name.to_string(), x))
        })
        .collect();
    let outputs = (kind.run)(&inputs);
    let with = |prefix: &str| file.keys().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(with("out."), outputs.len(), "{}: outputs", path.display());
    let mut wrong = Vec::new();
    for (name, y) in &outputs {
        let (shape, exact) = &file[&format!("out.{name}")];
        assert_eq!(y.shape(), shape, "{name}");
        wrong.extend(miss(&format!("out.{name}"), &y.value().to_vec().unwrap(), exact, 1e-5));
    }
    let seeds: Vec<_> =
        outputs.iter().map(|(name, y)| (y, tensor(&file[&format!("dout.{name}")]))).collect();
    let gradients = tape.backward(&seeds);
    for (name, (_, exact)) in &file {
        if let Some(input) = name.strip_prefix("grad.") {
            let got = gradients.of(&inputs[input]).map_or(Vec::new(), |g| g.to_vec().unwrap());
            wrong.extend(miss(name, &got, exact, kind.gradients));
        }
    }
    wrong
}

/// The directory of the golden values, if it exists.
fn directory() -> Option<PathBuf> {
    let of = |name| std::env::var_os(name).map(PathBuf::from);
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = of("PIXELLOOM_GOLDEN")
        .unwrap_or_else(|| of("PIXELLOOM_SHARED").unwrap_or_else(default).join("golden"));
    if path.join("index.json").is_file() {
        return Some(path);
    }
    println!("skipped: no golden values at {} (PIXELLOOM_GOLDEN)", path.display());
    None
}

/// The kind of a case of this name; `None` if it is not covered yet. Fails if nobody knows it.
fn kind_of(name: &str) -> Option<&'static Kind> {
    let kind = KINDS.iter().find(|kind| name.starts_with(kind.stem));
    let known = kind.is_some() || NOT_YET.iter().any(|stem| name.starts_with(stem));
    assert!(known, "golden case {name} is of no known kind");
    kind
}

#[test]
fn golden_values() {
    let Some(directory) = directory() else { return };
    let index = std::fs::read_to_string(directory.join("index.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&index).unwrap();
    let (mut wrong, mut waiting, mut ran) = (Vec::new(), Vec::new(), 0);
    for Entry { name } in entries {
        let Some(kind) = kind_of(&name) else {
            waiting.push(name);
            continue;
        };
        let path = directory.join(format!("{name}.safetensors"));
        for device in common::devices() {
            let failures = failures(kind, &path, &device);
            wrong.extend(failures.iter().map(|f| format!("{name}, {f} on {}", device.name())));
        }
        ran += 1;
    }
    println!("{ran} cases; not yet covered: {}", waiting.join(", "));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 0, "no case of a covered kind");
}

#[test]
#[should_panic(expected = "no known kind")]
fn an_unknown_kind_fails() {
    kind_of("masked_matmul_3x3");
}

#[test]
fn a_nan_or_a_wrong_value_is_a_miss() {
    assert_eq!(miss("y", &[1.0, 2.0], &[1.0, 2.0], 1e-5), None);
    for got in [&[f32::NAN, 2.0][..], &[1.0, 2.0001], &[1.0], &[1.0, f32::INFINITY]] {
        assert!(miss("y", got, &[1.0, 2.0], 1e-5).is_some(), "{got:?}");
    }
}
