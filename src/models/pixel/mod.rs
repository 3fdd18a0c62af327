//! Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner, Kavukcuoglu, arXiv 1601.06759): exact
//! likelihoods p(x) = prod over pixels in raster order, R then G then B, of p(x_i | x_<i).
//!
//! ```text
//! p(x)          = prod_i p(x_i | x_<i)                                                (1)
//! p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)                        (2)
//! [o, f, i, g]  = sigma(K_ss * h_{i-1} + K_is * x_i)     sigma: sigmoid, tanh for g   (3)
//! c_i           = f . c_{i-1} + i . g,   h_i = o . tanh(c_i)
//! ```
//!
//! The factors of (2) are softmaxes over the levels of a colour.
//!
//! Both PixelRNNs use the LSTM (3), for a row or a diagonal at a time. K_is is a masked convolution. K_ss reads the
//! previous states: pixels of the row above (Row LSTM; three in the paper), or the pixels above and to the left
//! (Diagonal BiLSTM). A PixelCNN has masked convolutions instead, 3 x 3 in the paper.
//!
//! [`PixelNet`] is the network (PixelCNN, Row LSTM or Diagonal BiLSTM), [`PixelModel`] the model that is trained, and
//! [`MultiScale`] the paper's chain of a small unconditional network and larger conditional networks.
//! [`sampler`] draws samples and completions pixel by pixel.
//!
//! Shapes: images of a batch \[B, H W C\] with values v / (levels - 1) in \[0, 1\].

mod config;
mod family;
mod multiscale;
mod net;
pub(crate) mod presets;
mod program;
pub mod sampler;
mod whole;

pub use super::abilities::{Known, Watch};
pub use config::{Body, MultiScaleConfig, PixelConfig};
pub use family::{DiagBilstmConfig, PixelCnnConfig, PixelKind, RowLstmConfig};
pub use multiscale::MultiScale;
pub use net::{Condition, PixelNet};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::halves::Halves;
use super::{Autoregressive, Model, PerImage, check_labels, expect_labels};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::error::Result;
use crate::nn::Module;
use crate::ops::pick::Scale;
use crate::ops::random;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

impl PixelNet {
    /// -log p(x) of each image, nats \[B\], from the logits of images x \[B, H, W, C\].
    #[track_caller]
    pub fn nll_of_logits<'t>(&self, logits: &Var<'t>, x: &Var<'t>) -> Var<'t> {
        let (rows, dims) = (x.shape()[0], self.config.dims());
        if self.config.levels == 2 {
            return logits.reshape(&[rows, dims]).bernoulli_nll(&x.reshape(&[rows, dims]));
        }
        // The kernel truncates to an integer; adding 0.5 makes it round.
        let top = (self.config.levels - 1) as f32;
        let target = x.affine(top, 0.5).reshape(&[rows * dims]);
        let each =
            logits.reshape(&[rows * dims, self.config.levels]).categorical_nll(target.value());
        each.reshape(&[rows, dims]).sum_axes(1, 2)
    }

    /// -log p(x) of each image x \[B, H, W, C\] in nats, \[B\]. `given` is as in [`PixelNet::forward`].
    #[track_caller]
    pub fn nll<'t>(&self, x: &Var<'t>, given: Option<&Var<'t>>) -> Var<'t> {
        self.nll_with(x, given, None)
    }

    /// Like [`PixelNet::nll`], with dropout as in [`PixelNet::forward_with`].
    #[track_caller]
    pub fn nll_with<'t>(&self, x: &Var<'t>, given: Option<&Var<'t>>, key: Option<Key>) -> Var<'t> {
        self.nll_of_logits(&self.forward_with(x, given, key), x)
    }

    /// Conversion of levels to the network's inputs.
    pub fn scale(&self) -> Scale {
        let c = &self.config;
        Scale { levels: c.levels, mean: c.mean, std: c.std }
    }

    /// Shape of a batch of `rows` images.
    pub fn images(&self, rows: usize) -> [usize; 4] {
        [rows, self.config.height, self.config.width, self.config.channels]
    }
}

/// How to split a batch of any pixel model.
fn halves() -> Halves<'static> {
    Halves { rows: 8, packed: Vec::new() }
}

/// A pixel model with its exact likelihood.
pub struct PixelModel {
    /// The network.
    pub net: PixelNet,
}

impl PixelModel {
    /// A model with weights drawn from `seed`.
    pub fn new(device: &Device, body: Body, config: PixelConfig, seed: u64) -> PixelModel {
        let rng = &mut StdRng::seed_from_u64(seed);
        PixelModel { net: PixelNet::new(device, body, config, None, rng) }
    }
}

impl Module for PixelModel {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.net.visit(path, f);
    }
}

impl PixelModel {
    /// What the network is given for the labels \[B\]; `None` for a model without classes. Fails with
    /// [`Error::Config`](crate::Error::Config) if there are no labels, and with [`Error::Data`](crate::Error::Data) if
    /// the model has no such class.
    fn given(&self, labels: Option<&Tensor>) -> Result<Option<Tensor>> {
        let classes = self.net.config.classes;
        if classes == 0 {
            return Ok(None);
        }
        check_labels(labels, classes).map(|labels| Some(self.net.one_hot(labels)))
    }
}

impl Model for PixelModel {
    fn halves(&self) -> Option<Halves<'_>> {
        Some(halves())
    }

    fn prepare(&self, _: &Tensor, labels: Option<&Tensor>, _: Key) -> Result<Vec<Tensor>> {
        if self.net.config.classes == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![self.net.one_hot(expect_labels(labels)?)])
    }

    fn loss<'t>(&self, x: &Var<'t>, prepared: &[Tensor], key: Key) -> Var<'t> {
        let key = Key { stream: stream::DROPOUT, ..key };
        let given = prepared.first().map(|one_hot| x.tape().constant(one_hot.clone()));
        let x = x.reshape(&self.net.images(x.shape()[0]));
        self.net.nll_with(&x, given.as_ref(), Some(key)).mean()
    }

    fn evaluate(&self, x: &Tensor, labels: Option<&Tensor>, _: Key) -> Result<Vec<PerImage>> {
        let tape = Tape::inference();
        let given = self.given(labels)?.map(|given| tape.constant(given));
        let x = tape.constant(x.reshape(&self.net.images(x.shape()[0])));
        Ok(vec![("nll".into(), self.net.nll(&x, given.as_ref()).value().to_vec()?)])
    }

    fn temper(&self, temperature: f32) {
        self.net.temper(temperature);
    }

    /// With classes, image i has class i modulo their number.
    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor> {
        let classes: Vec<usize> = match self.classes() {
            0 => Vec::new(),
            classes => (0..count).map(|i| i % classes).collect(),
        };
        self.draw(device, count, &classes, None, key, &mut Watch::nobody())
    }

    fn autoregressive(&self) -> Option<&dyn Autoregressive> {
        Some(self)
    }
}

impl Autoregressive for PixelModel {
    fn classes(&self) -> usize {
        self.net.config.classes
    }

    fn draw(
        &self,
        device: &Device,
        count: usize,
        classes: &[usize],
        known: Option<Known>,
        key: Key,
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let shape = self.net.images(count);
        let key = Key { stream: stream::SAMPLE, ..key };
        let u = random::uniform_rows(device, key, [1, count, self.net.config.dims()]);
        let u = u.reshape(&shape);
        let images = known.map(|known| known.images.reshape(&shape));
        let known = known.zip(images.as_ref()).map(|(k, images)| Known { images, mask: k.mask });
        assert_eq!(
            classes.len(),
            if self.classes() > 0 { count } else { 0 },
            "a class for each image"
        );
        let labels: Vec<f32> = classes.iter().map(|&class| class as f32).collect();
        let given = self.given(Some(&Tensor::new(device, &labels, &[classes.len()])))?;
        let x = sampler::fill(&self.net, known, &u, given.as_ref(), watch)?;
        Ok(x.reshape(&[count, self.net.config.dims()]))
    }

    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let labels = Tensor::zeros(x.value().device(), &[x.shape()[0]]);
        let given = (self.classes() > 0).then(|| x.tape().constant(self.net.one_hot(&labels)));
        self.net.forward(x, given.as_ref())
    }

    fn note_on_logits(&self) -> Option<&'static str> {
        (self.classes() > 0).then_some("these are the predictions for images of class 0")
    }
}
