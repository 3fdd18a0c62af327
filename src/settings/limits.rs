//! Size limits of models, with errors that name the setting to change.

use serde_json::Value;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::{AnyModel, ModelConfig};
use crate::nn::Param;

/// Builds a model with initial weights from `seed`. Fails with [`Error::Config`] on invalid sizes, and if a weight is
/// too large for the device.
pub fn build(model: &ModelConfig, device: &Device, seed: u64) -> Result<AnyModel> {
    check_weights(model, device)?;
    model.build(device, seed)
}

/// Rejects batches for which the widest tensor would have 2^31 elements or more. Fails with [`Error::Config`].
pub fn check_batch(model: &ModelConfig, rows: usize) -> Result<()> {
    let (width, most) = (model.widest(), 1_u64 << 31);
    let (key, samples) = model.samples().unwrap_or(("", 1));
    let values = rows as u128 * samples as u128 * width as u128;
    if values < most.into() {
        return Ok(());
    }
    let (of_samples, fewer) = match samples {
        1 => (String::new(), None),
        _ => (format!(", {samples} samples per image"), Some(key.to_string())),
    };
    let batch = (rows > 1).then(|| "--batch".to_string());
    let setting = setting_of(model, &|model| Some(model.widest() as u64));
    let smaller: Vec<String> = [batch, fewer, setting].into_iter().flatten().collect();
    let advice = match smaller.is_empty() {
        true => "choose smaller images".into(),
        false => format!("choose a smaller {}", smaller.join(" or ")),
    };
    Err(Error::Config(format!(
        "batch = {rows}{of_samples}: the widest tensor has {width} numbers per image and {values} per \
         batch; it must stay below {most}; {advice}"
    )))
}

/// Rejects a model with a weight that `device` cannot bind as one tensor. A smaller batch would not help, so the
/// message names the weight and the setting that makes it large. Fails with [`Error::Config`].
pub(crate) fn check_weights(config: &ModelConfig, device: &Device) -> Result<()> {
    let Some(limit) = device.largest_tensor() else { return Ok(()) };
    let all = weights(config)?;
    let Some((name, shape)) = all.into_iter().find(|(_, shape)| bytes(shape) > limit) else {
        return Ok(());
    };
    let same = |config: &ModelConfig| {
        let all = weights(config).ok()?;
        all.into_iter().find(|(other, _)| *other == name).map(|(_, shape)| bytes(&shape))
    };
    let smaller = setting_of(config, &same).unwrap_or("model".into());
    Err(Error::Config(format!(
        "the weight {name} {shape:?} takes {}, but {} can bind only {}; choose a smaller {smaller}, or \
         --device cpu",
        size(bytes(&shape)),
        device.name(),
        size(limit),
    )))
}

fn bytes(shape: &[usize]) -> u64 {
    4 * shape.iter().map(|&n| n as u64).product::<u64>()
}

/// Names and shapes of the weights.
pub(crate) fn weights(config: &ModelConfig) -> Result<Vec<(String, Vec<usize>)>> {
    let built = config.without_numbers()?;
    let of = |(name, p): (String, &Param)| (name, p.value().shape().to_vec());
    Ok(built.model().parameters().into_iter().map(of).collect())
}

/// The setting of `model` that reduces `figure` most when it is halved, or none if no setting matters. Sizes that
/// follow from the images are not considered.
pub(crate) fn setting_of(
    model: &ModelConfig,
    figure: &dyn Fn(&ModelConfig) -> Option<u64>,
) -> Option<String> {
    let now = figure(model)?;
    let table = serde_json::to_value(model).ok()?;
    let mut keys = Vec::new();
    numbers(&table, "", &mut keys);
    let halved = |key: &String| {
        let mut table = table.clone();
        let value = table.pointer_mut(key)?;
        *value = (value.as_u64()? / 2).into();
        let model: ModelConfig = serde_json::from_value(table).ok()?;
        model.check().ok()?;
        figure(&model).filter(|then| *then < now)
    };
    let best = keys.iter().filter_map(|key| Some((halved(key)?, key))).min()?;
    Some(format!("model{}", best.1.replace('/', ".")))
}

/// Settings that follow from the images.
const OF_IMAGES: [&str; 4] = ["height", "width", "channels", "levels"];

/// Collects the paths of all integers in `table`.
pub(crate) fn numbers(table: &Value, path: &str, keys: &mut Vec<String>) {
    for (key, value) in table.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        if value.is_u64() && !OF_IMAGES.contains(&key.as_str()) {
            keys.push(path);
        } else {
            numbers(value, &path, keys);
        }
    }
}

/// Bytes in readable units.
pub fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e5 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} kB", b / 1e3),
    }
}
