//! Draws pixels with the steps of a network. Pixel Recurrent Neural Networks, section 2.1. Shapes: table \[steps, WORDS\],
//! x, u \[B, pixels, C\], known \[pixels\], given \[B, given\], maps \[B, maps\].

use super::WORDS;
use super::params::SamplingParams;
use crate::ops::lstm_cell::reference::gates;
use crate::ops::pick::level;

/// One image: its maps, and what it shares with the others.
struct Image<'a> {
    p: &'a SamplingParams,
    table: &'a [f32],
    weights: &'a [f32],
    given: &'a [f32],
    x: &'a mut [f32],
    maps: &'a mut [f32],
}

/// Draws the pixels from `from_pixel` to before `to_pixel`; `known` ones are kept.
pub fn sample(
    p: &SamplingParams,
    [table, weights, given, u, known]: [&[f32]; 5],
    [x, maps]: [&mut [f32]; 2],
) {
    let [height, width, channels] = [p.height, p.width, p.channels].map(|n| n as usize);
    let values = height * width * channels;
    let [features, logits] = [p.features, p.features + p.logits].map(|n| n as usize);
    for b in 0..p.batch as usize {
        let given = &given[b * p.given as usize..][..p.given as usize];
        let maps = &mut maps[b * p.maps as usize..][..p.maps as usize];
        let (x, u) = (&mut x[b * values..][..values], &u[b * values..][..values]);
        let mut image = Image { p, table, weights, given, x, maps };
        for pixel in p.from_pixel as usize..p.to_pixel as usize {
            let (row, column) = (pixel / width, pixel % width);
            if known[pixel] != 0.0 {
                image.run(0..features, (row, column));
            } else {
                for channel in 0..channels {
                    image.run(0..logits, (row, column));
                    image.pick(pixel * channels + channel, u);
                }
            }
            if column + 1 == width {
                let scans = logits..logits + p.scans as usize;
                (0..width).rev().for_each(|column| image.run(scans.clone(), (row, column)));
            }
        }
    }
}

impl Image<'_> {
    /// The steps at one pixel.
    fn run(&mut self, steps: std::ops::Range<usize>, at: (usize, usize)) {
        for step in steps {
            let step: Vec<i64> =
                self.table[step * WORDS..][..WORDS].iter().map(|&n| n as i64).collect();
            if step[0] == 0 { self.convolve(&step, at) } else { self.remember(&step, at) }
        }
    }

    /// Index of the pixel at an offset, if it is in the image.
    fn seen(&self, at: (usize, usize), (down, right): (i64, i64)) -> Option<usize> {
        let (row, column) = (at.0 as i64 + down, at.1 as i64 + right);
        let [height, width] = [self.p.height, self.p.width].map(i64::from);
        let inside = (0..height).contains(&row) && (0..width).contains(&column);
        inside.then_some((row * width + column) as usize)
    }

    /// Element `at` of a space: the image, the given maps, or the maps.
    fn value(&self, space: i64, at: usize) -> f64 {
        f64::from([&*self.x, self.given, &*self.maps][space as usize][at])
    }

    fn convolve(&mut self, step: &[i64], at: (usize, usize)) {
        let [source, inputs, y, outputs, taps, across] =
            [2, 3, 4, 5, 6, 7].map(|i| step[i] as usize);
        let pixel = at.0 * self.p.width as usize + at.1;
        let relu = |v: f64| if v < 0.0 { 0.0 } else { v };
        for output in 0..outputs {
            let mut sum = 0.0;
            for tap in 0..taps {
                let offset = (step[8] + (tap / across) as i64, step[9] + (tap % across) as i64);
                let Some(neighbour) = self.seen(at, offset) else { continue };
                for i in 0..inputs {
                    let v = self.value(step[1], source + neighbour * inputs + i);
                    let w = self.weights[step[12] as usize + (tap * inputs + i) * outputs + output];
                    sum += if step[10] != 0 { relu(v) } else { v } * f64::from(w);
                }
            }
            if step[13] >= 0 {
                sum += f64::from(self.weights[step[13] as usize + output]);
            }
            if step[11] != 0 {
                sum = relu(sum);
            }
            if step[14] >= 0 {
                sum += self.value(step[14], step[15] as usize + pixel * outputs + output);
            }
            self.maps[y + pixel * outputs + output] = sum as f32;
        }
    }

    fn remember(&mut self, step: &[i64], at: (usize, usize)) {
        let [u, h, c, hidden, order, neighbours, s, c0] =
            [1, 2, 3, 4, 5, 6, 7, 8].map(|i| step[i] as usize);
        let pixel = at.0 * self.p.width as usize + at.1;
        let offset = |n: usize| match (order, n) {
            (0, n) => (-1, n as i64 - neighbours as i64 / 2),
            (_, 0) => (-1, 0),
            (order, _) => (0, if order == 2 { 1 } else { -1 }),
        };
        for channel in 0..hidden {
            let sums = [0, 1, 2, 3].map(|gate| {
                let mut sum = f64::from(self.maps[u + (4 * pixel + gate) * hidden + channel]);
                for n in 0..neighbours {
                    let Some(source) = self.seen(at, offset(n)) else { continue };
                    for k in 0..hidden {
                        let w = self.weights[s + (4 * (n * hidden + k) + gate) * hidden + channel];
                        sum += f64::from(self.maps[h + source * hidden + k]) * f64::from(w);
                    }
                }
                sum
            });
            let before = match self.seen(at, offset(neighbours / 2)) {
                Some(source) => self.maps[c + source * hidden + channel],
                None => self.weights[c0 + channel],
            };
            let [o, f, i, g] = gates(sums);
            let new = f * f64::from(before) + i * g;
            self.maps[c + pixel * hidden + channel] = new as f32;
            self.maps[h + pixel * hidden + channel] = (o * new.tanh()) as f32;
        }
    }

    /// Draws value `at` of the image.
    fn pick(&mut self, at: usize, u: &[f32]) {
        let levels = self.p.levels as usize;
        let each = if levels == 2 { 1 } else { levels };
        let logits = &self.maps[self.p.logits_at as usize + at * each..][..each];
        let v = level(logits, u[at], levels) / (levels as f64 - 1.0);
        self.x[at] = ((v - f64::from(self.p.mean)) / f64::from(self.p.std_dev)) as f32;
    }
}
