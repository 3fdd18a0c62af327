//! Axes with round numbers; one type serves linear and logarithmic axes.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis from `low` to `high`, linear or logarithmic.
pub struct PlotAxis {
    /// The smallest value on it.
    pub low: f64,
    /// The largest value on it.
    pub high: f64,
    log: bool,
}

impl PlotAxis {
    /// The axis that just contains the values; an arbitrary interval around them if there are fewer than two.
    pub fn new(values: impl Iterator<Item = f64>, log: bool) -> PlotAxis {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match (low, high) {
            _ if low < high => PlotAxis { low, high, log },
            _ if low > high && log => PlotAxis { low: 1.0, high: 10.0, log },
            _ if low > high => PlotAxis { low: 0.0, high: 1.0, log },
            _ if log => PlotAxis { low: low / 2.0, high: 2.0 * low, log },
            _ => {
                let margin = 0.5 * low.abs().max(1.0);
                PlotAxis { low: low - margin, high: low + margin, log }
            }
        }
    }

    /// The axis with a margin on both sides, given as a share of its length.
    pub fn widened(self, share: f64) -> PlotAxis {
        if self.log {
            let margin = (self.high / self.low).powf(share);
            return PlotAxis { low: self.low / margin, high: self.high * margin, ..self };
        }
        let margin = share * (self.high - self.low);
        PlotAxis { low: self.low - margin, high: self.high + margin, ..self }
    }

    /// The value at its middle.
    pub fn middle(&self) -> f64 {
        if self.log {
            (self.low * self.high).sqrt()
        } else {
            self.low + (self.high - self.low) / 2.0
        }
    }

    /// The distance of linear ticks: 1, 2 or 5 times a power of ten, so that there are five to ten ticks.
    fn step(&self) -> f64 {
        let least = (self.high - self.low) / 10.0;
        let power = 10_f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0].map(|m| m * power);
        steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
    }
}

impl Ranged for PlotAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let position = |v: f64| if self.log { v.ln() } else { v };
        let (low, high) = (position(self.low), position(self.high));
        let share = (position(*value) - low) / (high - low);
        from + (share * f64::from(to - from)).round() as i32
    }

    /// Round numbers. On a logarithmic axis 1, 2 and 5 times the powers of ten, or only the powers if there are more
    /// than four decades, unless fewer than two of them would be visible.
    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        if self.log {
            let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let steps: &[f64] = if last - first > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let points: Vec<f64> = (first..=last)
                .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
                .filter(|x| (self.low..=self.high).contains(x))
                .collect();
            if points.len() > 1 {
                return points;
            }
        }
        let step = self.step();
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|i| i as f64 * step).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for PlotAxis {
    /// Formats large numbers as counts, others with as many decimals as the ticks need.
    fn format_ext(&self, value: &f64) -> String {
        if self.log || self.high >= 10_000.0 {
            return count(*value);
        }
        let decimals = (-self.step().log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// 2500000 as "2.5M", 20000 as "20k".
pub fn count(x: f64) -> String {
    let (scaled, unit) = match x.abs() {
        a if a >= 999_500.0 => (x / 1e6, "M"),
        a if a >= 999.5 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    // Three significant digits, without trailing zeros.
    let text = format!("{:.*}", if scaled.abs() < 9.995 { 2 } else { 1 }, scaled);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}
