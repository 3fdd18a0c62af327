//! Communication between ranks: everything at the start, gradients after each backward pass.

use crate::autograd::Gradients;
use crate::error::{Error, Result};
use crate::nn::{Module, TrainState};
use crate::ops::layout::{concat, slice};
use crate::ranks::Ranks;
use crate::run::Position;
use crate::tensor::Tensor;
use crate::tiles::Tiles;

/// Broadcasts the weights, the optimiser's state and the position from rank 0 to all ranks. Needs no shared file
/// system.
pub fn share_start(
    ranks: Ranks,
    model: &dyn Module,
    state: &mut TrainState,
    position: &mut Position,
) -> Result<()> {
    if ranks.count() == 1 {
        return Ok(());
    }
    let reached: Vec<&String> = state.optimizer.states.keys().collect();
    let averaged = !state.ema.averages.is_empty();
    let text = serde_json::to_string(&(&*position, reached, averaged));
    let text = text.expect("a position is JSON");
    let text = ranks.tell_text(text);
    let (start, reached, averaged): (Position, Vec<String>, bool) =
        serde_json::from_str(&text).map_err(|e| Error::Config(format!("rank 0 sent {e}")))?;
    *position = start;
    state.optimizer.steps = position.optimizer_steps;
    for (name, param) in model.parameters() {
        param.set(told(ranks, &param.value())?);
        if averaged {
            let average = state.ema.averages.entry(name.clone());
            let average = average.or_insert_with(|| param.value());
            *average = told(ranks, average)?;
        }
        if reached.contains(&name) {
            let zeros = || Tensor::zeros(param.value().device(), param.value().shape());
            let count = state.optimizer.config.rule.states();
            let states = state.optimizer.states.entry(name);
            for moment in states.or_insert_with(|| (0..count).map(|_| zeros()).collect()) {
                *moment = told(ranks, moment)?;
            }
        }
    }
    Ok(())
}

/// The tiles of rank 0, which all ranks use.
pub fn share_tiles(ranks: Ranks, tiles: Tiles) -> Result<Tiles> {
    let text = serde_json::to_string(&tiles).expect("tiles are JSON");
    serde_json::from_str(&ranks.tell_text(text))
        .map_err(|e| Error::Config(format!("rank 0 sent {e}")))
}

/// A tensor of this shape with the values of rank 0.
fn told(ranks: Ranks, tensor: &Tensor) -> Result<Tensor> {
    let mut values = tensor.to_vec()?;
    ranks.tell(&mut values);
    Ok(Tensor::new(tensor.device(), &values, tensor.shape()))
}

/// The loss and the gradients of the whole batch (means over its rows), from those of this rank's rows, which are the
/// fraction `share` of the batch. Does one all-reduce of one flat buffer with the gradients, the loss, and the number
/// of ranks that have a gradient of each parameter.
pub fn sum_gradients(
    ranks: Ranks,
    model: &dyn Module,
    share: f32,
    loss: &Tensor,
    gradients: Gradients,
) -> Result<(Tensor, Gradients)> {
    if ranks.count() == 1 {
        return Ok((loss.clone(), gradients));
    }
    let (device, parameters) = (loss.device(), model.parameters());
    let own: Vec<_> = parameters.iter().map(|(_, p)| gradients.param(p)).collect();
    let lengths: Vec<usize> = parameters.iter().map(|(_, p)| p.value().len()).collect();
    let parts = own.iter().zip(&lengths).map(|(gradient, &n)| match gradient {
        Some(gradient) => gradient.reshape(&[n]),
        None => Tensor::zeros(device, &[n]),
    });
    let mut flat = flatten(parts.chain([loss.reshape(&[1])]).collect()).to_vec()?;
    let summed = flat.len();
    flat.iter_mut().for_each(|value| *value *= share);
    flat.extend(own.iter().map(|gradient| f32::from(u8::from(gradient.is_some()))));
    ranks.sum(&mut flat);
    let whole = Tensor::new(device, &flat[..summed], &[summed]);
    let (mut gradients, mut first) = (Gradients::none(), 0);
    for (((_, param), &n), &reached) in parameters.iter().zip(&lengths).zip(&flat[summed..]) {
        if reached > 0.0 {
            let gradient = slice(&whole, 0, first as i64, n);
            gradients.set_param(param, gradient.reshape(param.value().shape()));
        }
        first += n;
    }
    Ok((slice(&whole, 0, first as i64, 1).reshape(&[]), gradients))
}

/// Concatenates vectors three at a time in a tree, so that each is copied log3(n) times.
fn flatten(mut parts: Vec<Tensor>) -> Tensor {
    while parts.len() > 1 {
        let threes = parts.chunks(3).map(|three| concat(&three.iter().collect::<Vec<_>>(), 0));
        parts = threes.collect();
    }
    parts.swap_remove(0)
}
