//! Golden values: cases computed in f64 by independent code that shares nothing with this project.
//!
//! They are in `tests/golden`, whose README describes the format; `PIXELLOOM_GOLDEN` names another folder. The
//! folder holds `index.json`, and for each case a `.safetensors` file with `in.NAME`, `out.NAME`, `dout.NAME`
//! (the upstream gradient) and `grad.NAME`. Every case runs on the CPU and, if there is one, on a GPU; a case of an
//! unknown kind fails. The error max|a - b| / (1e-6 + max|b|) must be at most 1e-5 for values, 5e-5 for
//! gradients, and 2e-4 for gradients of whole models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common;
use pixelloom::autograd::Tape;
use pixelloom::autograd::case::distance;
use pixelloom::models::draw::{Draw, DrawConfig};
use pixelloom::models::pixel::{Body, PixelConfig, PixelNet};
use pixelloom::nn::{Module, Param};
use pixelloom::ops::lstm_scan::Order;
use pixelloom::ops::mask::{Mask, Sight};
use pixelloom::ops::masked_conv::{Around, Window};
use pixelloom::ops::matmul::Activation;
use pixelloom::ops::shared::Shared;
use pixelloom::{Device, Tensor, Var};
use rand::SeedableRng;
use safetensors::SafeTensors;

/// The inputs of a case, by name.
type Inputs<'a, 't> = &'a BTreeMap<String, Var<'t>>;

/// A kind of case: the prefix of its name, the tolerance of its gradients, and the function that computes it.
struct Kind {
    stem: &'static str,
    gradients: f32,
    run: for<'a, 't> fn(Inputs<'a, 't>, &Attributes) -> Ran<'t>,
}

/// The outputs of a case by name, and the model whose parameters hold its weights, if there is one.
type Ran<'t> = (Vec<(&'static str, Var<'t>)>, Option<Model>);

/// A model, and the map from our names of its parameters to those in the golden files.
struct Model {
    module: Box<dyn Module>,
    golden_name: Box<dyn Fn(&str) -> String>,
}

impl Model {
    /// The parameter whose golden name is `golden`.
    fn param(&self, golden: &str) -> Option<&Param> {
        let mut all = self.module.parameters().into_iter();
        all.find(|(ours, _)| (self.golden_name)(ours) == golden).map(|(_, param)| param)
    }
}

/// Sets all weights of a model to the inputs of the case.
fn fill(module: &dyn Module, golden_name: &dyn Fn(&str) -> String, x: Inputs) {
    for (name, param) in module.parameters() {
        param.set(x[&golden_name(&name)].value().clone());
    }
}

static KINDS: [Kind; 14] = [
    Kind { stem: "bernoulli_nll", gradients: 5e-5, run: bernoulli_nll },
    Kind { stem: "gaussian_kl", gradients: 5e-5, run: gaussian_kl },
    Kind { stem: "softmax_nll", gradients: 5e-5, run: softmax_nll },
    Kind { stem: "vae_bernoulli", gradients: 2e-4, run: vae_bernoulli },
    Kind { stem: "masked_conv", gradients: 5e-5, run: masked_conv },
    Kind { stem: "row_lstm", gradients: 5e-5, run: row_lstm },
    Kind { stem: "diagonal_lstm", gradients: 5e-5, run: diagonal_lstm },
    Kind { stem: "diagonal_bilstm", gradients: 5e-5, run: diagonal_bilstm },
    Kind { stem: "pixel", gradients: 2e-4, run: pixel },
    Kind { stem: "lstm_cell", gradients: 5e-5, run: lstm_cell },
    Kind { stem: "filterbank", gradients: 5e-5, run: filterbank },
    Kind { stem: "attention_read", gradients: 5e-5, run: attention_read },
    Kind { stem: "attention_write", gradients: 5e-5, run: attention_write },
    Kind { stem: "draw", gradients: 2e-4, run: draw },
];

/// The golden losses are per element, so each element becomes a row.
fn bernoulli_nll<'t>(x: Inputs<'_, 't>, _: &Attributes) -> Ran<'t> {
    let shape = x["logits"].shape();
    let column = [shape.iter().product(), 1];
    let nll = x["logits"].reshape(&column).bernoulli_nll(&x["x"].reshape(&column));
    (vec![("nll", nll.reshape(shape))], None)
}

fn gaussian_kl<'t>(x: Inputs<'_, 't>, _: &Attributes) -> Ran<'t> {
    (vec![("kl", x["mu"].gaussian_kl(&x["lv"]))], None)
}

fn softmax_nll<'t>(x: Inputs<'_, 't>, _: &Attributes) -> Ran<'t> {
    (vec![("nll", x["logits"].categorical_nll(x["t"].value()))], None)
}

/// Auto-Encoding Variational Bayes: z = mu + e^(lv / 2) eps, loss = -log p(x | z) + KL.
fn vae_bernoulli<'t>(x: Inputs<'_, 't>, _: &Attributes) -> Ran<'t> {
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
    (vec![("loss", loss), ("logits", logits), ("kl", kl)], None)
}

/// \[B, C, H, W\], as in the golden files, to \[B, H, W, C\].
fn channels_last<'t>(x: &Var<'t>) -> Var<'t> {
    x.permute(&[0, 2, 3, 1])
}

/// \[B, H, W, C\] to \[B, C, H, W\].
fn channels_first<'t>(x: &Var<'t>) -> Var<'t> {
    x.permute(&[0, 3, 1, 2])
}

/// A masked convolution of x \[B, H, W, C\] with weights (out, in, kh, kw).
fn conv<'t>(x: &Var<'t>, w: &Var<'t>, b: &Var<'t>, mask: Mask, around: Around) -> Var<'t> {
    let (kh, kw) = (w.shape()[2], w.shape()[3]);
    let window = Window::centred(kh, kw, mask);
    x.masked_conv(&w.masked(mask), window, around, Some(b), None)
}

fn masked_conv<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let sight = if a.kind == "A" { Sight::A } else { Sight::B };
    let mask = Mask::new(sight, a.groups);
    let y = conv(&channels_last(&x["x"]), &x["w"], &x["b"], mask, Around::default());
    (vec![("y", channels_first(&y))], None)
}

/// One direction of an LSTM layer; the names of its weights begin with `prefix`.
fn scan<'t>(x: Inputs<'_, 't>, prefix: &str, a: &Attributes, order: Order) -> Var<'t> {
    let get = |name: &str| &x[&format!("{prefix}{name}")];
    let mask = Mask { stacks: 4, ..Mask::new(Sight::B, a.groups) };
    let around = Around::default();
    let u = conv(&channels_last(&x["x"]), get("i2s_w"), get("i2s_b"), mask, around);
    let s = get("s2s_w");
    let [gates, hidden, taps] = *s.shape() else { panic!("s2s_w {:?}", s.shape()) };
    let s = s.reshape(&[gates, hidden, 1, taps]).masked(Mask::NONE);
    let zero = s.tape().constant(Tensor::zeros(s.device(), &[hidden]));
    u.lstm_scan(&s, &zero, order)
}

fn row_lstm<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    (vec![("h", channels_first(&scan(x, "", a, Order::Rows(3))))], None)
}

fn diagonal_lstm<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    (vec![("h", channels_first(&scan(x, "", a, Order::Diagonal)))], None)
}

fn diagonal_bilstm<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let left = scan(x, "l_", a, Order::Diagonal);
    let right = scan(x, "r_", a, Order::MirroredDiagonal);
    let height = right.shape()[1];
    (vec![("h", channels_first(&left.add(&right.slice(1, -1, height))))], None)
}

/// A complete pixel model with the weights of the case.
fn pixel<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let [_, channels, height, width] = *x["x"].shape() else { panic!("x") };
    let config = PixelConfig {
        height,
        width,
        channels,
        levels: a.levels,
        head: a.head,
        ..PixelConfig::mnist(a.layers, a.hidden)
    };
    let body = match a.kind.as_str() {
        "cnn" => Body::PixelCnn,
        "row" => Body::RowLstm,
        "diagonal" => Body::DiagBilstm,
        other => panic!("pixel model {other}"),
    };
    let rng = &mut rand::rngs::StdRng::seed_from_u64(0);
    let net = PixelNet::new(x["x"].device(), body, config, None, rng);
    let golden_name = move |ours: &str| pixel_name(ours, body);
    fill(&net, &golden_name, x);
    let image = channels_last(&x["x"]);
    let logits = net.forward(&image, None);
    let nll = net.nll_of_logits(&logits, &image);
    let model = Model { module: Box::new(net), golden_name: Box::new(golden_name) };
    (vec![("nll", nll), ("logits", channels_first(&logits))], Some(model))
}

/// The golden name of a parameter of a pixel model.
fn pixel_name(ours: &str, body: Body) -> String {
    let cnn = body == Body::PixelCnn;
    let (path, what) = ours.rsplit_once('.').unwrap();
    let what = match what {
        "weight" => "w",
        "bias" => "b",
        other => other,
    };
    let path = path.split('.').collect::<Vec<_>>();
    match path[..] {
        ["first"] => format!("in_{what}"),
        ["head", i] => format!("o{}_{what}", i.parse::<usize>().unwrap() + 1),
        ["layers", i, "down"] => format!("b{i}_a_{what}"),
        ["layers", i, "conv"] => format!("b{i}_b_{what}"),
        ["layers", i, "up"] => format!("b{i}_{}_{what}", if cnn { "c" } else { "up" }),
        ["layers", i, "lstm", "input"] => format!("b{i}_i2s_{what}"),
        ["layers", i, "lstm"] => format!("b{i}_s2s_w"),
        ["layers", i, side, "input"] => format!("b{i}_{}_i2s_{what}", &side[..1]),
        ["layers", i, side] => format!("b{i}_{}_s2s_w", &side[..1]),
        _ => panic!("parameter {ours}"),
    }
}

/// The cell takes its gates from a product, so the given gates are multiplied by the identity.
fn lstm_cell<'t>(x: Inputs<'_, 't>, _: &Attributes) -> Ran<'t> {
    let (gates, tape) = (x["z"].shape()[1], x["z"].tape());
    let eye: Vec<f32> = (0..gates * gates).map(|i| f32::from(i / gates == i % gates)).collect();
    let constant =
        |data: &[f32], shape: &[usize]| tape.constant(Tensor::new(x["z"].device(), data, shape));
    let weights = constant(&eye, &[gates, gates]);
    let shared = Shared::new(&weights, Some(&constant(&vec![0.0; gates], &[gates])));
    let [h, c] = shared.lstm_cell(&x["z"], &x["c"], None);
    (vec![("h", h), ("c_next", c)], None)
}

fn filterbank<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let [fx, fy, gamma] = x["p"].filterbank(a.n, (a.height, a.width));
    (vec![("fx", fx), ("fy", fy), ("gamma", gamma)], None)
}

fn attention_read<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let batch = x["p"].shape()[0];
    let image = x["img"].reshape(&[batch, a.height, a.width, 1]);
    let patch = x["p"].attention_read(a.n, &image, None);
    (vec![("patch", patch.reshape(&[batch, a.n, a.n]))], None)
}

fn attention_write<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let (batch, size) = (x["p"].shape()[0], [a.height, a.width]);
    let blank = Tensor::zeros(x["p"].device(), &[batch, size[0], size[1], 1]);
    let patch = x["w"].reshape(&[batch, a.n, a.n, 1]);
    let canvas = x["p"].attention_write(&patch, &x["p"].tape().constant(blank));
    (vec![("canvas", canvas.reshape(&[batch, size[0], size[1]]))], None)
}

/// A complete DRAW network with the weights and noise of the case; the canvas starts at zero.
fn draw<'t>(x: Inputs<'_, 't>, a: &Attributes) -> Ran<'t> {
    let config = DrawConfig {
        height: a.height,
        width: a.width,
        channels: 1,
        glimpses: a.glimpses,
        hidden: a.hidden,
        latent: a.latent,
        attention: a.read_n > 0,
        read: a.read_n,
        write: a.write_n,
        learned_states: false,
        beta: 1.0,
        kl_warmup: 0,
    };
    let net = Draw::new(x["x"].device(), config, 0);
    fill(&net, &draw_name, x);
    let bound = net.bound(&x["x"], x["eps"].value(), &mut |_| {});
    let loss = bound.reconstruction.add(&bound.kl);
    let canvas = bound.canvas.reshape(&[x["x"].shape()[0], a.height, a.width]);
    let model = Model { module: Box::new(net), golden_name: Box::new(draw_name) };
    (vec![("loss", loss), ("kl", bound.kl), ("canvas", canvas)], Some(model))
}

/// The golden name of a parameter of a DRAW network.
fn draw_name(ours: &str) -> String {
    let (path, what) = ours.rsplit_once('.').unwrap();
    let name = match path {
        "encoder" => "e",
        "mean" => "mu",
        "log_deviation" => "ls",
        "decoder" => "d",
        "write" => "w",
        "read_attention" => "ra_",
        "write_attention" => "wa_",
        _ => panic!("parameter {ours}"),
    };
    format!("{name}{}", &what[..1])
}

/// The attributes of a case; missing ones are 0 or empty.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Attributes {
    kind: String,
    groups: usize,
    layers: usize,
    hidden: usize,
    levels: usize,
    head: usize,
    n: usize,
    width: usize,
    height: usize,
    read_n: usize,
    write_n: usize,
    glimpses: usize,
    latent: usize,
}

#[derive(serde::Deserialize)]
struct Entry {
    name: String,
    attrs: Attributes,
}

/// Shape and values of every tensor in a file, by name.
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

/// A report of an error above `limit` or NaN; `None` if the values agree.
fn miss(name: &str, got: &[f32], exact: &[f32], limit: f32) -> Option<String> {
    let error = distance(got, exact);
    (!(error <= limit)).then(|| format!("{name}: {error:.1e}"))
}

/// The mismatches of a case on a device.
fn failures(kind: &Kind, path: &Path, attributes: &Attributes, device: &Device) -> Vec<String> {
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
    let (outputs, model) = (kind.run)(&inputs, attributes);
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
            let param = model.as_ref().and_then(|model| model.param(input));
            let got = match param {
                Some(param) => gradients.param(param),
                None => gradients.of(&inputs[input]),
            };
            let got = got.map_or(Vec::new(), |g| g.to_vec().unwrap());
            wrong.extend(miss(name, &got, exact, kind.gradients));
        }
    }
    wrong
}

/// The folder with the golden values.
fn directory() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::env::var_os("PIXELLOOM_GOLDEN").map_or_else(default, PathBuf::from)
}

/// The kind of the case `name`. Panics if it is unknown.
fn kind_of(name: &str) -> &'static Kind {
    let kind = KINDS.iter().find(|kind| name.starts_with(kind.stem));
    kind.unwrap_or_else(|| panic!("golden case {name} is of no known kind"))
}

#[test]
fn golden_values() {
    let directory = directory();
    let index = directory.join("index.json");
    let index =
        std::fs::read_to_string(&index).unwrap_or_else(|e| panic!("{}: {e}", index.display()));
    let entries: Vec<Entry> = serde_json::from_str(&index).unwrap();
    let (mut wrong, mut ran) = (Vec::new(), 0);
    for Entry { name, attrs } in entries {
        let kind = kind_of(&name);
        let path = directory.join(format!("{name}.safetensors"));
        for device in common::devices() {
            let failures = failures(kind, &path, &attrs, &device);
            wrong.extend(failures.iter().map(|f| format!("{name}, {f} on {}", device.name())));
        }
        ran += 1;
    }
    println!("{ran} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 0, "no case");
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
