//! Classification by attentive glimpses: DRAW without its decoder.
//!
//! Gregor and others, arXiv 1502.04623, section 4.1:
//!
//! ```text
//! r_t = read(x, h_{t-1}),  h_t = LSTM(h_{t-1}, r_t),  p(class) = softmax(W h_T + b)
//! ```
//!
//! The class depends only on the state after the last glimpse. Shapes: x \[B, H W C\], r \[B, N N C\],
//! h \[B, h\], logits \[B, classes\].

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::config::ClassifierConfig;
use super::network::{attention, first_attention, first_state};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::trace::Trace;
use crate::models::{Model, PerImage, Reads, check_labels, expect_labels};
use crate::nn::{Linear, LstmCell, Module, join};
use crate::ops::matmul::Activation;
use crate::rng::Key;
use crate::tensor::Tensor;

/// The classifier.
pub struct Classifier {
    /// Sizes.
    pub config: ClassifierConfig,
    lstm: LstmCell,
    attention: Linear,
    class: Linear,
}

impl Classifier {
    /// A model with weights drawn from `seed`.
    pub fn new(device: &Device, config: ClassifierConfig, seed: u64) -> Classifier {
        let rng = &mut StdRng::seed_from_u64(seed);
        let inputs = config.read * config.read * config.channels;
        let start = first_attention(config.read, (config.height, config.width), true);
        Classifier {
            lstm: LstmCell::new(device, inputs, config.hidden, rng),
            attention: attention(device, config.hidden, start, rng),
            class: Linear::uniform(device, config.hidden, config.classes, rng),
            config,
        }
    }

    /// Logits \[B, classes\] of x \[B, H W C\]. `each` receives the attention parameters \[B, 5\] of every glimpse.
    pub fn logits<'t>(&self, x: &Var<'t>, each: &mut dyn FnMut(&Var<'t>)) -> Var<'t> {
        let ClassifierConfig { height, width, channels, hidden, read, .. } = self.config;
        let rows = x.shape()[0];
        let image = x.reshape(&[rows, height, width, channels]);
        let (lstm, attention) = (self.lstm.shared(x), self.attention.shared(x));
        let [mut h, mut c] = first_state(x, rows, hidden, None);
        for _ in 0..self.config.glimpses {
            let p = attention.linear(&h);
            each(&p);
            let r = p.attention_read(read, &image, None);
            let input = r.reshape(&[rows, read * read * channels]).concat(&[&h], 1);
            [h, c] = lstm.lstm_cell(&input, &c, None);
        }
        self.class.forward(&h, Activation::None)
    }

    /// The glimpses at x \[B, H W C\], and the predicted class of each image. Fails if the device fails.
    pub fn look(&self, x: &Tensor) -> Result<(Trace, Vec<usize>)> {
        let tape = Tape::inference();
        let size = (self.config.height, self.config.width);
        let mut trace = Trace::new((self.config.read, 0), size);
        let x = tape.constant(x.clone());
        let logits = self.logits(&x, &mut |p| trace.push_read(p.value())).value().to_vec()?;
        Ok((trace.finish()?, logits.chunks_exact(self.config.classes).map(largest).collect()))
    }
}

/// Index of the largest element, or the first of several.
fn largest(logits: &[f32]) -> usize {
    (0..logits.len()).reduce(|best, i| if logits[i] > logits[best] { i } else { best }).unwrap_or(0)
}

impl Module for Classifier {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.lstm.visit(&join(path, "lstm"), f);
        self.attention.visit(&join(path, "attention"), f);
        self.class.visit(&join(path, "class"), f);
    }
}

impl Model for Classifier {
    fn prepare(&self, _: &Tensor, classes: Option<&Tensor>, _: Key) -> Result<Vec<Tensor>> {
        Ok(vec![expect_labels(classes)?.clone()])
    }

    fn loss<'t>(&self, x: &Var<'t>, prepared: &[Tensor], _: Key) -> Var<'t> {
        self.logits(x, &mut |_| {}).categorical_nll(&prepared[0]).mean()
    }

    fn evaluate(&self, x: &Tensor, classes: Option<&Tensor>, _: Key) -> Result<Vec<PerImage>> {
        let classes = check_labels(classes, self.config.classes)?;
        let truth = classes.to_vec()?;
        let tape = Tape::inference();
        let logits = self.logits(&tape.constant(x.clone()), &mut |_| {});
        let nll = logits.categorical_nll(classes).value().to_vec()?;
        let found = logits.value().to_vec()?;
        let wrong = found
            .chunks_exact(self.config.classes)
            .zip(truth)
            .map(|(logits, class)| f32::from(largest(logits) != class as usize));
        Ok(vec![("nll".into(), nll), ("error".into(), wrong.collect())])
    }

    fn reads_by_glimpses(&self) -> Option<&dyn Reads> {
        Some(self)
    }

    fn temper(&self, _: f32) {}

    fn sample(&self, _: &Device, _: usize, _: Key) -> Result<Tensor> {
        Err(Error::Config("a classifier draws no images; train draw instead".into()))
    }
}
