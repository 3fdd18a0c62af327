//! Measures the choices of a GPU's kernels ([`Tiles`]) on the training steps of a model.
//!
//! One choice after the other is varied around the table's value, while the others stay. Only values that change the
//! launches of the model are timed. Their steps take turns, so that a change of the clock rate affects all of them, and
//! each round yields the ratio of a value's time to that of the current value. A value is adopted if the median of its
//! ratios is the lowest, and at most 0.98.

use std::time::Instant;

use serde::Serialize;

use super::table::digits;
use super::timing::quantile;
use super::workloads::images;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::AnyModel;
use crate::models::halves::loss_and_gradients;
use crate::nn::TrainState;
use crate::rng::{Key, stream};
use crate::settings::{Config, build};
use crate::tensor::Tensor;
use crate::tiles::Tiles;
use crate::train::memory::Step;

/// Largest ratio to the current value's time at which another value is adopted. Smaller gains are within the noise.
const WORTH: f64 = 0.98;
/// Smallest and largest number of rounds in which values take turns.
const FEWEST: usize = 3;
const MOST: usize = 25;
/// Seconds of a value's turn, and its largest number of steps. On a GPU, the steps of a turn are queued, as in training.
const TURN: f64 = 0.02;
const MOST_STEPS: u32 = 32;
/// Seconds of a first step that is not repeated before it counts.
const SLOW: f64 = 0.5;

/// A value of a choice and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// The value.
    pub value: u32,
    /// Median milliseconds of a step.
    pub ms_per_step: f64,
    /// Median of its time divided by that of the current value in the same round.
    pub ratio: f64,
}

/// The result for a choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// Its value before.
    pub before: u32,
    /// The adopted value.
    pub value: u32,
    /// What was measured, the value before first.
    pub outcome: Measured,
}

/// What was measured for a choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// No value changes a launch of the model.
    NoEffect,
    /// The time was over.
    NoTime,
    /// The values took turns.
    Values(Vec<Timed>),
}

/// Values of a choice whose launches differ, the current one first. They are the table's value, a quarter, half, twice
/// and four times as much; for scans, one launch always or never.
fn values(tiles: (&Tiles, &Tiles), index: usize, step: &Step, device: &Device) -> Result<Vec<u32>> {
    let (table, current) = tiles;
    let (name, least, most) = Tiles::LIMITS[index];
    let usual = table.values()[index];
    let around = match name {
        "whole_scans" => vec![least, most],
        _ => vec![usual / 4, usual / 2, usual, 2 * usual, 4 * usual],
    };
    let (mut values, mut launches) = (Vec::new(), Vec::new());
    for value in [current.values()[index]].into_iter().chain(around) {
        let value = value.clamp(least, most);
        let of = step.launches(&device.with_tiles(current.with(index, value)))?.shapes;
        if !launches.contains(&of) {
            values.push(value);
            launches.push(of);
        }
    }
    Ok(values)
}

/// A model in training with some tiles.
struct Candidate {
    device: Device,
    model: AnyModel,
    training: TrainState,
    x: Tensor,
    labels: Option<Tensor>,
    number: u32,
    /// Seconds per step, by round.
    seconds: Vec<f64>,
}

impl Candidate {
    fn new(config: &Config, device: Device) -> Result<Candidate> {
        let (net, batch) = (&config.model, config.batch);
        let x = Tensor::new(&device, &images(net, batch), &[batch, net.dims()]);
        let labels = net.classes().map(|_| Tensor::zeros(&device, &[batch]));
        let model = build(net, &device, config.seed)?;
        // Steps of a schedule that never ends.
        let training = TrainState::new(config.optimizer(batch, u64::from(u32::MAX)));
        Ok(Candidate { device, model, training, x, labels, number: 0, seconds: Vec::new() })
    }

    /// Seconds per step of some steps.
    fn run(&mut self, steps: u32) -> Result<f64> {
        let (begin, model) = (Instant::now(), self.model.model());
        for _ in 0..steps {
            let key = Key::new(0, stream::LATENT, self.number);
            let prepared = model.prepare(&self.x, self.labels.as_ref(), key)?;
            let (loss, gradients) = loss_and_gradients(model, &self.x, &prepared, key);
            self.training.update(model, &loss, &gradients);
            self.device.flush()?;
            self.number += 1;
        }
        self.device.synchronize()?;
        Ok(begin.elapsed().as_secs_f64() / f64::from(steps))
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    quantile(&all, 0.5)
}

/// The medians of each value, from its seconds per step by round.
fn medians(values: &[u32], seconds: &[Vec<f64>]) -> Vec<Timed> {
    let timed = |(&value, own): (&u32, &Vec<f64>)| {
        let ratios = own.iter().zip(&seconds[0]).map(|(own, first)| own / first).collect();
        Timed { value, ms_per_step: 1e3 * median(own.clone()), ratio: median(ratios) }
    };
    values.iter().zip(seconds).map(timed).collect()
}

/// The value to adopt; the first is the current one.
fn best(timed: &[Timed]) -> u32 {
    let least = timed.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("the current value");
    if least.ratio <= WORTH { least.value } else { timed[0].value }
}

/// Steps of the warm-up of `cold` values and of the fewest rounds of all `values`.
fn steps_needed(cold: usize, values: usize) -> f64 {
    (2 * cold + FEWEST * values) as f64
}

/// Times the values of a choice for about `share` of the `left` seconds; `None` if these are too few for [`FEWEST`]
/// rounds. `step` is the shortest time of a step so far, and is updated.
fn time(
    values: &[u32],
    (config, device): (&Config, &Device),
    with: impl Fn(u32) -> Tiles,
    (left, share): (f64, f64),
    step: &mut f64,
) -> Result<Option<Vec<Timed>>> {
    let (start, mut all) = (Instant::now(), Vec::new());
    for value in values {
        let needed = steps_needed(values.len() - all.len(), values.len()) * *step;
        if step.is_finite() && start.elapsed().as_secs_f64() + needed > left {
            return Ok(None);
        }
        let mut candidate = Candidate::new(config, device.with_tiles(with(*value)))?;
        // The first step allocates buffers and moments.
        let first = candidate.run(1)?;
        *step = step.min(if first < SLOW { candidate.run(1)? } else { first });
        all.push(candidate);
    }
    let steps = ((TURN / *step) as u32).clamp(1, MOST_STEPS);
    for round in 0..MOST {
        if round >= FEWEST && start.elapsed().as_secs_f64() >= share {
            break;
        }
        for candidate in &mut all {
            let seconds = candidate.run(steps)?;
            candidate.seconds.push(seconds);
        }
    }
    let seconds: Vec<Vec<f64>> = all.into_iter().map(|candidate| candidate.seconds).collect();
    Ok(Some(medians(values, &seconds)))
}

/// Measures the choices for the model, batch size and optimizer of `config` on a GPU, in about `seconds`. `device` has
/// the table's tiles; `current` are those to start from. `told` receives the result for each choice. Returns the tiles.
///
/// Errors: [`Error::Config`] if the time was too short for any choice, or if the model does not fit; those of the device.
pub fn tune(
    config: &Config,
    (device, current): (&Device, Tiles),
    seconds: f64,
    told: &mut dyn FnMut(&Choice) -> Result<()>,
) -> Result<Tiles> {
    let start = Instant::now();
    let (model, optimizer, labels) =
        (&config.model, config.optimizer, config.model.classes().is_some());
    let step = Step { model, optimizer, rows: config.batch, processes: 1, labels };
    step.check(device)?;
    let table = device.tiles();
    let count = Tiles::LIMITS.len();
    let all = |index| values((&table, &current), index, &step, device);
    let first: Vec<Vec<u32>> = (0..count).map(all).collect::<Result<_>>()?;
    let matters = |values: &&Vec<u32>| values.len() > 1;
    let (mut tiles, mut measured, mut step_seconds) = (current, false, f64::INFINITY);
    let mut most = 0;
    for (index, (name, ..)) in Tiles::LIMITS.into_iter().enumerate() {
        let before = tiles.values()[index];
        let values = match tiles == current {
            true => first[index].clone(),
            false => values((&table, &tiles), index, &step, device)?,
        };
        let rest = first[index..].iter().filter(matters).count().max(1);
        let left = seconds - start.elapsed().as_secs_f64();
        let with = |value| tiles.with(index, value);
        let outcome = match values.len() {
            1 => Measured::NoEffect,
            count => {
                most = count.max(most);
                let of = (config, device);
                match time(&values, of, with, (left, left / rest as f64), &mut step_seconds)? {
                    Some(timed) => Measured::Values(timed),
                    None => Measured::NoTime,
                }
            }
        };
        let value = match &outcome {
            Measured::Values(timed) => best(timed),
            _ => before,
        };
        measured |= matches!(outcome, Measured::Values(_));
        tiles = tiles.with(index, value);
        told(&Choice { name, before, value, outcome })?;
    }
    if !measured && most > 0 {
        let needed =
            2.0 * (start.elapsed().as_secs_f64() + steps_needed(most, most) * step_seconds);
        return Err(Error::Config(format!(
            "a step of this model takes {} s here, so {seconds} s are too few to compare anything; choose --seconds \
             {needed:.0} or a smaller --batch",
            digits(step_seconds)
        )));
    }
    Ok(tiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_adopted_if_it_is_faster_in_most_rounds() {
        // The second round was slow for all values, and the third hid a gain.
        let seconds = [vec![1.0, 3.0, 1.0], vec![0.9, 2.7, 1.1], vec![0.97, 2.99, 0.98]];
        let timed = medians(&[8, 4, 2], &seconds);
        let ratios: Vec<f64> = timed.iter().map(|timed| (100.0 * timed.ratio).round()).collect();
        assert_eq!(ratios, [100.0, 90.0, 98.0]);
        assert_eq!(timed[1].ms_per_step, 1100.0);
        assert_eq!(best(&timed), 4);
        assert_eq!(best(&timed[..1]), 8);
        let small_gain = Timed { ratio: 0.985, ..timed[1].clone() };
        assert_eq!(best(&[timed[0].clone(), small_gain]), 8);
    }

    #[test]
    fn only_values_that_change_a_launch_are_timed() {
        let config = |name: &str| crate::settings::presets::find(name).unwrap().config();
        let of = |name: &str, index: usize, tiles: Tiles| {
            let config = config(name);
            let step = Step {
                model: &config.model,
                optimizer: config.optimizer,
                rows: config.batch,
                processes: 1,
                labels: false,
            };
            // Imitates a GPU.
            let device = Device::meta(&Device::reference());
            values((&Tiles::DISCRETE, &tiles), index, &step, &device).unwrap()
        };
        let index = |name: &str| Tiles::LIMITS.iter().position(|(n, ..)| *n == name).unwrap();
        for name in ["wide_convolutions", "weight_groups", "weight_piece", "whole_scans"] {
            assert_eq!(of("aevb-mnist", index(name), Tiles::DISCRETE).len(), 1, "{name}");
        }
        assert!(of("aevb-mnist", index("product_piece"), Tiles::DISCRETE).len() > 1);
        let rows = of("digits-diagbilstm", index("whole_scans"), Tiles::DISCRETE);
        assert_eq!(rows, [1, 65_536]);
        let current = Tiles::DISCRETE.with(index("whole_scans"), 65_536);
        assert_eq!(of("digits-diagbilstm", index("whole_scans"), current), [65_536, 1]);
    }
}
