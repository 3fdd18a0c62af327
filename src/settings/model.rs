//! The model families behind one name, for what is decided at run time: settings and checkpoints.
//! The training loop itself sees only `dyn Model`.

mod any;
mod figures;

pub use any::AnyModel;

use serde::{Deserialize, Serialize};

use super::limits;
use crate::data::{Binarization, DataSet, Images, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::draw::{Classifier, ClassifierConfig, Draw, DrawConfig};
use crate::models::pixel::{Body, MultiScale, MultiScaleConfig, PixelConfig, PixelModel};
use crate::models::product;
use crate::models::vae::{Vae, VaeConfig};

/// The widest map of an evaluation has about as many numbers (64 MiB), if an image has fewer.
const EVALUATED: usize = 1 << 24;
/// Images of an evaluation batch, at most.
const MOST_EVALUATED: usize = 100;

/// Which model, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelConfig {
    /// Variational auto-encoder.
    Vae(VaeConfig),
    /// PixelCNN.
    PixelCnn(PixelConfig),
    /// PixelRNN of Row LSTM layers.
    RowLstm(PixelConfig),
    /// PixelRNN of Diagonal BiLSTM layers.
    DiagBilstm(PixelConfig),
    /// A chain of pixel models, each enlarging the image of the one before.
    MultiScale(MultiScaleConfig),
    /// The recurrent attentive writer.
    Draw(DrawConfig),
    /// A classifier by attentive glimpses.
    Classifier(ClassifierConfig),
}

/// The families' names, as [`ModelConfig::kind`] gives them.
pub const KINDS: [&str; 7] =
    ["vae", "pixelcnn", "rowlstm", "diagbilstm", "multiscale", "draw", "classifier"];

impl ModelConfig {
    /// The family's name, as on the command line.
    pub fn kind(&self) -> &'static str {
        match self {
            ModelConfig::Vae(_) => "vae",
            ModelConfig::PixelCnn(_) => "pixelcnn",
            ModelConfig::RowLstm(_) => "rowlstm",
            ModelConfig::DiagBilstm(_) => "diagbilstm",
            ModelConfig::MultiScale(_) => "multiscale",
            ModelConfig::Draw(_) => "draw",
            ModelConfig::Classifier(_) => "classifier",
        }
    }

    /// A pixel model with this body.
    pub fn pixel(body: Body, config: PixelConfig) -> ModelConfig {
        match body {
            Body::PixelCnn => ModelConfig::PixelCnn(config),
            Body::RowLstm => ModelConfig::RowLstm(config),
            Body::DiagBilstm => ModelConfig::DiagBilstm(config),
        }
    }

    /// Rejects sizes that make no model. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        match self {
            ModelConfig::Vae(config) => config.check(),
            ModelConfig::PixelCnn(config) => config.check(Body::PixelCnn),
            ModelConfig::RowLstm(config) => config.check(Body::RowLstm),
            ModelConfig::DiagBilstm(config) => config.check(Body::DiagBilstm),
            ModelConfig::MultiScale(config) => config.check(),
            ModelConfig::Draw(config) => config.check(),
            ModelConfig::Classifier(config) => config.check(),
        }
    }

    /// Numbers that the largest tensor of an image has: a map of a layer, of a pixel times all pixels, or
    /// what a layer of draw sees at all glimpses (in training; an evaluation has less).
    fn widest(&self) -> usize {
        match self {
            ModelConfig::Vae(config) => config.dims().max(config.hidden).max(config.latent),
            ModelConfig::PixelCnn(config)
            | ModelConfig::RowLstm(config)
            | ModelConfig::DiagBilstm(config) => {
                product(&[config.height, config.width, config.widest()])
            }
            ModelConfig::MultiScale(config) => {
                let last = config.stages().last().map_or(1, PixelConfig::widest);
                product(&[config.height, config.width, last.max(config.condition)])
            }
            ModelConfig::Draw(config) => config.widest(),
            ModelConfig::Classifier(config) => config.widest(),
        }
    }

    /// Rejects batches too large for the widest tensor: all its numbers are to stay below 2^31. Fails
    /// with [`Error::Config`].
    pub fn check_batch(&self, rows: usize) -> Result<()> {
        let (width, most) = (self.widest(), 1_u64 << 31);
        let samples = match self {
            ModelConfig::Vae(config) => config.rows_per_image(),
            _ => 1,
        };
        let values = rows as u128 * samples as u128 * width as u128;
        if values < most.into() {
            return Ok(());
        }
        let (of_samples, fewer) = match samples {
            1 => (String::new(), None),
            _ => {
                (format!(", {samples} samples an image"), Some("model.method.samples".to_string()))
            }
        };
        let batch = (rows > 1).then(|| "--batch".to_string());
        let setting = limits::setting_of(self, &|model| Some(model.widest() as u64));
        let smaller: Vec<String> = [batch, fewer, setting].into_iter().flatten().collect();
        let advice = match smaller.is_empty() {
            true => "choose smaller images".into(),
            false => format!("choose a smaller {}", smaller.join(" or ")),
        };
        Err(Error::Config(format!(
            "batch = {rows}{of_samples}, with {width} numbers in the widest tensor of an image: a batch has \
             {values}, it must stay below {most}; {advice}"
        )))
    }

    /// Images that are evaluated at once. The noise of an image depends on its place in its batch, so
    /// this is a function of the model and no setting.
    pub fn evaluation_batch(&self) -> usize {
        match self {
            ModelConfig::Vae(_) => MOST_EVALUATED,
            _ => (EVALUATED / self.widest().max(1)).clamp(1, MOST_EVALUATED),
        }
    }

    /// A model with weights drawn by `seed`. Fails with [`Error::Config`] on impossible sizes, and on a weight
    /// that is too large for the device.
    pub fn build(&self, device: &Device, seed: u64) -> Result<AnyModel> {
        self.check()?;
        limits::check_weights(self, device)?;
        let pixel = |body, config: &PixelConfig| {
            AnyModel::Pixel(PixelModel::new(device, body, *config, seed))
        };
        Ok(match self {
            ModelConfig::Vae(config) => AnyModel::Vae(Vae::new(device, *config, seed)),
            ModelConfig::PixelCnn(config) => pixel(Body::PixelCnn, config),
            ModelConfig::RowLstm(config) => pixel(Body::RowLstm, config),
            ModelConfig::DiagBilstm(config) => pixel(Body::DiagBilstm, config),
            ModelConfig::MultiScale(config) => {
                AnyModel::MultiScale(MultiScale::new(device, config.clone(), seed))
            }
            ModelConfig::Draw(config) => AnyModel::Draw(Box::new(Draw::new(device, *config, seed))),
            ModelConfig::Classifier(config) => {
                AnyModel::Classifier(Classifier::new(device, *config, seed))
            }
        })
    }

    /// The model on a [`Device::meta`]: names and shapes of its weights, and no memory taken. Fails with
    /// [`Error::Config`] on impossible sizes.
    pub fn without_numbers(&self) -> Result<AnyModel> {
        self.build(&Device::meta(&Device::cpu()), 0)
    }

    /// Height, width, channels of the images it models.
    pub fn shape(&self) -> (usize, usize, usize) {
        match self {
            ModelConfig::Vae(config) => (config.height, config.width, 1),
            ModelConfig::PixelCnn(config)
            | ModelConfig::RowLstm(config)
            | ModelConfig::DiagBilstm(config) => (config.height, config.width, config.channels),
            ModelConfig::MultiScale(config) => (config.height, config.width, config.channels),
            ModelConfig::Draw(config) => (config.height, config.width, config.channels),
            ModelConfig::Classifier(config) => (config.height, config.width, config.channels),
        }
    }

    /// Values that a channel of the images can have, if the model counts them.
    pub fn levels(&self) -> Option<usize> {
        match self {
            ModelConfig::Vae(_) | ModelConfig::Draw(_) | ModelConfig::Classifier(_) => None,
            ModelConfig::PixelCnn(config)
            | ModelConfig::RowLstm(config)
            | ModelConfig::DiagBilstm(config) => Some(config.levels),
            ModelConfig::MultiScale(config) => Some(config.levels),
        }
    }

    /// Takes the image size from the data. Fails with [`Error::Config`] where it can have no such size.
    pub fn fit(&mut self, images: &Images) -> Result<()> {
        let size = (images.height, images.width, images.channels);
        match self {
            ModelConfig::Vae(config) => {
                if images.channels != 1 {
                    return Err(Error::Config(format!(
                        "the vae models images of 1 channel, these have {}; choose another data set",
                        images.channels
                    )));
                }
                (config.height, config.width) = (images.height, images.width);
            }
            ModelConfig::PixelCnn(config)
            | ModelConfig::RowLstm(config)
            | ModelConfig::DiagBilstm(config) => {
                (config.height, config.width, config.channels) = size;
            }
            ModelConfig::MultiScale(config) => {
                (config.height, config.width, config.channels) = size;
            }
            ModelConfig::Draw(config) => {
                (config.height, config.width, config.channels) = size;
            }
            ModelConfig::Classifier(config) => {
                (config.height, config.width, config.channels) = size;
            }
        }
        Ok(())
    }

    /// Optimiser steps a batch.
    pub fn updates(&self) -> u64 {
        match self {
            ModelConfig::Vae(config) => config.updates(),
            _ => 1,
        }
    }

    /// Whether it draws images: a classifier does not.
    pub fn draws(&self) -> bool {
        !matches!(self, ModelConfig::Classifier(_))
    }

    /// The data set as the model sees it: with the model's levels. Every use of a model with data goes
    /// through here. Fails with [`Error::Config`] unless sizes, levels and, of a classifier, classes
    /// agree.
    pub fn view(&self, data: DataSet) -> Result<DataSet> {
        if let ModelConfig::Classifier(config) = self {
            for split in [Split::Train, Split::Valid, Split::Test] {
                check_classes(config.classes, &data, split)?;
            }
        }
        self.view_unlabelled(data)
    }

    /// As [`ModelConfig::view`], of images whose classes nobody asks for.
    pub fn view_unlabelled(&self, data: DataSet) -> Result<DataSet> {
        let size = (data.test.height, data.test.width, data.test.channels);
        if size != self.shape() {
            return Err(Error::Config(format!(
                "images of {} are {size:?} (height, width, channels), the model's are {:?}; choose \
                 other --data",
                data.name,
                self.shape()
            )));
        }
        let Some(levels) = self.levels() else { return Ok(data) };
        let mode = data.binarization;
        if mode != Binarization::Grey && levels != 2 {
            return Err(Error::Config(format!(
                "{} with {mode} binarization has 2 levels, the model has model.levels = {levels}; \
                 choose --binarization grey or a model of 2 levels",
                data.name
            )));
        }
        if mode == Binarization::Grey && levels == 2 {
            return Err(Error::Config(format!(
                "{} has grey levels, the model has model.levels = 2; choose --binarization dynamic \
                 or threshold where the set allows it, or model.levels = 256",
                data.name
            )));
        }
        let data = data.quantized(levels);
        let has = usize::from(data.test.max) + 1;
        if mode == Binarization::Grey && has != levels {
            return Err(Error::Config(format!(
                "{} has {has} levels, the model has model.levels = {levels}; they must agree",
                data.name
            )));
        }
        Ok(data)
    }
}

/// That the images of a split have labels below `classes`.
fn check_classes(classes: usize, data: &DataSet, split: Split) -> Result<()> {
    let Some(labels) = &data.split(split).labels else {
        return Err(Error::Config(format!(
            "a classifier needs images with labels, and those of {} have none; choose other --data, \
             such as cluttered-digits",
            data.name
        )));
    };
    let Some(i) = labels.iter().position(|&label| usize::from(label) >= classes) else {
        return Ok(());
    };
    let largest = labels.iter().max().map_or(0, |&label| usize::from(label));
    Err(Error::Config(format!(
        "model.classes = {classes}, but label {i} of the {split} split of {} is {}, and labels there go up \
         to {largest}; set model.classes={} or more",
        data.name,
        labels[i],
        largest + 1
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_in_files() {
        let net = PixelConfig::mnist(1, 2);
        let chain = MultiScaleConfig::new(Body::RowLstm, net, vec![2]);
        let models = [
            ModelConfig::Vae(VaeConfig::mnist(2)),
            ModelConfig::PixelCnn(net),
            ModelConfig::RowLstm(net),
            ModelConfig::DiagBilstm(net),
            ModelConfig::MultiScale(chain),
            ModelConfig::Draw(DrawConfig::mnist()),
            ModelConfig::Classifier(ClassifierConfig::cluttered(8)),
        ];
        for (model, kind) in models.iter().zip(KINDS) {
            let value = serde_json::to_value(model).unwrap();
            assert_eq!((value["kind"].as_str(), model.kind()), (Some(kind), kind));
            assert_eq!(&serde_json::from_value::<ModelConfig>(value).unwrap(), model);
        }
    }

    #[test]
    fn batches_stay_small_enough() {
        let large = ModelConfig::RowLstm(PixelConfig::colour(64, 4, 512));
        large.check_batch(64).unwrap();
        let Err(Error::Config(message)) = large.check_batch(128) else { panic!("taken") };
        assert!(message.contains("batch = 128") && message.contains("model.hidden"), "{message}");
        assert_eq!(large.evaluation_batch(), 1);
        assert_eq!(ModelConfig::PixelCnn(PixelConfig::mnist(7, 16)).evaluation_batch(), 100);
    }
}
