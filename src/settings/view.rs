//! Converts a data set to what a model expects.

use crate::data::{Binarization, DataSet, Split};
use crate::error::{Error, Result};
use crate::models::ModelConfig;

/// The data set quantized to the model's levels. Every use of a model with data goes through here. Fails with
/// [`Error::Config`] unless sizes, levels and, for a model with classes, classes agree.
pub fn view(model: &ModelConfig, data: DataSet) -> Result<DataSet> {
    if let Some(classes) = model.classes() {
        for split in [Split::Train, Split::Valid, Split::Test] {
            check_classes(classes, &data, split)?;
        }
    }
    view_unlabelled(model, data)
}

/// Like [`view`], for images whose classes are not needed.
pub fn view_unlabelled(model: &ModelConfig, data: DataSet) -> Result<DataSet> {
    let size = (data.test.height, data.test.width, data.test.channels);
    if size != model.shape() {
        return Err(Error::Config(format!(
            "images of {} are {size:?} (height, width, channels), but the model expects {:?}; choose other --data",
            data.name,
            model.shape()
        )));
    }
    let Some(levels) = model.levels() else { return Ok(data) };
    let mode = data.binarization;
    if mode != Binarization::Grey && levels != 2 {
        return Err(Error::Config(format!(
            "{} with {mode} binarization has 2 levels, but the model has model.levels = {levels}; choose \
             --binarization grey or a model with 2 levels",
            data.name
        )));
    }
    if mode == Binarization::Grey && levels == 2 {
        return Err(Error::Config(format!(
            "{} has grey levels, but the model has model.levels = 2; choose --binarization dynamic or \
             threshold if the data set supports it, or model.levels = 256",
            data.name
        )));
    }
    let data = data.quantized(levels);
    let has = usize::from(data.test.max) + 1;
    if mode == Binarization::Grey && has != levels {
        return Err(Error::Config(format!(
            "{} has {has} levels, but the model has model.levels = {levels}; they must agree",
            data.name
        )));
    }
    Ok(data)
}

/// Checks that the images of a split have labels below `classes`.
fn check_classes(classes: usize, data: &DataSet, split: Split) -> Result<()> {
    let Some(labels) = &data.split(split).labels else {
        return Err(Error::Config(format!(
            "a model with classes needs images with labels, but those of the {split} split of {} have none; choose \
             other --data, such as digits or cluttered-digits",
            data.name
        )));
    };
    let Some(i) = labels.iter().position(|&label| usize::from(label) >= classes) else {
        return Ok(());
    };
    let largest = labels.iter().max().map_or(0, |&label| usize::from(label));
    Err(Error::Config(format!(
        "model.classes = {classes}, but label {i} of the {split} split of {} is {} and the largest label \
         is {largest}; set model.classes={} or more",
        data.name,
        labels[i],
        largest + 1
    )))
}
