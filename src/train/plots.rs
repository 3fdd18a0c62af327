//! Plots: curves over the images a model has seen, as SVG text.
//!
//! They serve the report of a run and figures in the manner of Auto-Encoding Variational Bayes:
//! figure 2, the bound against training samples evaluated, and figure 3, the marginal likelihood,
//! both on a logarithmic axis, one colour an algorithm, training data dashed and test data solid.
//!
//! Text and axes take the colour of the text around the picture, so that one file serves light
//! and dark pages; a file of its own follows the viewer's preference.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// A full line, with a dot at every point while there are few.
    #[default]
    Solid,
    /// A broken line.
    Dashed,
    /// A thin pale line, for raw values behind their average.
    Faint,
}

/// One line of a plot.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// (x, y) from left to right; points that are not finite, or not positive on a logarithmic
    /// axis, are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Which of the six colours it has (modulo six).
    pub colour: usize,
}

/// What [`curve`] draws.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// Stands above the plot; may be empty.
    pub title: String,
    /// Quantity of the x axis with its unit.
    pub x_label: String,
    /// Quantity of the y axis with its unit.
    pub y_label: String,
    /// Whether the x axis is logarithmic.
    pub log_x: bool,
    /// Points above this are left out.
    pub y_max: Option<f64>,
    /// The lines, first drawn first.
    pub series: Vec<Series>,
    /// A horizontal line to compare with, such as a paper's result: its label and value.
    pub reference: Option<(String, f64)>,
}

/// Width and height in the units of the picture, two to a pixel since plotters rounds to units.
const SIZE: (u32, u32) = (1600, 860);

/// Told apart by colour-blind people, and from both black and white paper.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(190, 140, 0),
];

/// Stand-ins that are replaced by the colours of the page.
const INK: RGBColor = RGBColor(1, 2, 3);
const PAPER: RGBColor = RGBColor(3, 2, 1);

const STYLE: &str = "<style>\
    .curve{color:#1f2328;max-width:100%;height:auto}.curve .paper{fill:#fff}\
    @media screen and (prefers-color-scheme:dark){.curve{color:#e6e6e6}.curve .paper{fill:#16191d}}\
    </style>";

/// The plot as an SVG element, 800 x 430 pixels, that refers to nothing outside itself.
///
/// Without points there are axes and a line that says so.
pub fn curve(plot: &Plot) -> String {
    let mut svg = String::new();
    draw(plot, &mut svg).expect("drawing into a string needs no file and no font");
    let svg = svg
        .replace("#010203", "currentColor")
        .replace("fill=\"#030201\"", "class=\"paper\"")
        .replace("font-family=\"sans-serif\"", "font-family=\"system-ui, sans-serif\"");
    // The element's opening line is plotters' own; ours adds a description for those who can't see.
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"curve\" role=\"img\" \
         width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">\n{STYLE}\n{body}",
        SIZE.0 / 2,
        SIZE.1 / 2,
        SIZE.0,
        SIZE.1,
        super::report::escape(&describe(plot)),
    )
}

/// The plot in words: title, axes and where each line ends.
fn describe(plot: &Plot) -> String {
    let mut text = format!("{}: {} over {}.", plot.title, plot.y_label, plot.x_label);
    for Series { name, points, .. } in &plot.series {
        if let Some((x, y)) = points.last() {
            text += &format!(" {name}: {y:.2} at {}.", count(*x));
        }
    }
    if let Some((label, value)) = &plot.reference {
        text += &format!(" {label}: {value:.2}.");
    }
    text
}

/// (images seen, value of `key`) of the metrics lines of a kind (`train`, `eval`) and, unless
/// `None`, a split, from few to many images; of lines for the same number of images the last
/// counts, since a resumed run repeats the steps after its checkpoint.
pub fn series_from_metrics(
    metrics: &[Value],
    kind: &str,
    split: Option<&str>,
    key: &str,
) -> Vec<(f64, f64)> {
    let lines = metrics.iter().filter(|line| {
        line["kind"] == kind && split.is_none_or(|split| line["split"].as_str() == Some(split))
    });
    let points: BTreeMap<u64, f64> = lines
        .filter_map(|line| Some((line["images"].as_u64()?, line.get(key)?.as_f64()?)))
        .collect();
    points.into_iter().map(|(images, value)| (images as f64, value)).collect()
}

/// The running mean of a series: exponential with the time constant of one fortieth of its
/// points, corrected for its start.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 40.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |&(x, y)| {
        sum = keep * sum + y;
        weight = keep * weight + 1.0;
        (x, sum / weight)
    };
    points.iter().map(average).collect()
}

/// At most `most` points, evenly chosen, the last one among them.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(most).max(1);
    let mut kept: Vec<_> = points.iter().rev().step_by(step).copied().collect();
    kept.reverse();
    kept
}

fn draw(plot: &Plot, svg: &mut String) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let seen = |(x, y): &(f64, f64)| {
        x.is_finite()
            && y.is_finite()
            && (!plot.log_x || *x > 0.0)
            && plot.y_max.is_none_or(|max| *y <= max)
    };
    let points_of = |s: &Series| s.points.iter().copied().filter(|p| seen(p)).collect();
    let lines: Vec<Vec<(f64, f64)>> = plot.series.iter().map(points_of).collect();
    let lines_are_empty = lines.iter().all(Vec::is_empty);
    let reference = plot.reference.as_ref().filter(|(_, value)| value.is_finite());
    let all = || lines.iter().flatten();
    let x = Axis::new(all().map(|p| p.0), plot.log_x);
    let y = Axis::new(all().map(|p| p.1).chain(reference.map(|r| r.1)), false).widened(0.05);
    let (left, right, low, high) = (x.low, x.high, y.low, y.high);

    let font = ("sans-serif", 32).into_font().color(&INK);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&PAPER)?;
    let mut builder = ChartBuilder::on(&root);
    builder.margin(16).margin_right(48).x_label_area_size(90).y_label_area_size(140);
    if !plot.title.is_empty() {
        builder.caption(&plot.title, ("sans-serif", 42).into_font().color(&INK));
    }
    let mut chart = builder.build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(INK.mix(0.13))
        .axis_style(INK.mix(0.6))
        .label_style(font.clone())
        .axis_desc_style(font.clone())
        .x_desc(&plot.x_label)
        .y_desc(&plot.y_label)
        .draw()?;

    for (series, points) in plot.series.iter().zip(lines) {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let dots = points.len() <= 40 && series.stroke != Stroke::Faint;
        let marks = if dots { points.clone() } else { Vec::new() };
        let style = match series.stroke {
            Stroke::Solid | Stroke::Dashed => colour.stroke_width(4),
            Stroke::Faint => colour.mix(0.35).stroke_width(2),
        };
        let dashed = series.stroke == Stroke::Dashed;
        let drawn = if dashed {
            chart.draw_series(DashedLineSeries::new(points, 14, 10, style))?
        } else {
            chart.draw_series(LineSeries::new(points, style))?
        };
        drawn.label(&series.name).legend(move |(x, y)| {
            let ends = vec![(x, y), (x + 48, y)];
            if dashed {
                DashedPathElement::new(ends, 14, 10, style).into_dyn()
            } else {
                PathElement::new(ends, style).into_dyn()
            }
        });
        chart.draw_series(marks.into_iter().map(|p| Circle::new(p, 7, colour.filled())))?;
    }
    if let Some((label, value)) = reference {
        let ends = [(left, *value), (right, *value)];
        chart.draw_series(DashedLineSeries::new(ends, 4, 8, INK.stroke_width(3)))?;
        let style = font.clone().pos(Pos::new(HPos::Left, VPos::Bottom));
        let text = Text::new(format!("{label}: {value:.2}"), (16, -4), style);
        chart.draw_series([EmptyElement::at((left, *value)) + text])?;
    }
    if !plot.series.is_empty() {
        let falls = |s: &Series| s.points.last().map(|p| p.1) < s.points.first().map(|p| p.1);
        let corner = if plot.series.iter().all(falls) {
            SeriesLabelPosition::UpperRight
        } else {
            SeriesLabelPosition::LowerRight
        };
        chart
            .configure_series_labels()
            .position(corner)
            .legend_area_size(60)
            .margin(16)
            .background_style(PAPER.mix(0.85))
            .border_style(INK.mix(0.3))
            .label_font(font.clone())
            .draw()?;
    }
    if lines_are_empty {
        let middle = (left + (right - left) / 2.0, low + (high - low) / 2.0);
        let style = font.pos(Pos::new(HPos::Center, VPos::Center));
        chart.draw_series([Text::new("no points yet", middle, style)])?;
    }
    root.present()?;
    Ok(())
}

/// An axis from `low` to `high`, straight or logarithmic.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// The axis that the values just fill; some interval if there are fewer than two.
    fn new(values: impl Iterator<Item = f64>, log: bool) -> Axis {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match (low, high) {
            _ if low < high => Axis { low, high, log },
            _ if low > high && log => Axis { low: 1.0, high: 10.0, log },
            _ if low > high => Axis { low: 0.0, high: 1.0, log },
            _ if log => Axis { low: low / 2.0, high: 2.0 * low, log },
            _ => {
                let margin = 0.5 * low.abs().max(1.0);
                Axis { low: low - margin, high: low + margin, log }
            }
        }
    }

    /// A straight axis with a margin of a share of its length on both sides.
    fn widened(self, share: f64) -> Axis {
        let margin = share * (self.high - self.low);
        Axis { low: self.low - margin, high: self.high + margin, ..self }
    }

    /// The distance of straight ticks: 1, 2 or 5 times a power of ten, five to ten on the axis.
    fn step(&self) -> f64 {
        let least = (self.high - self.low) / 10.0;
        let power = 10_f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0].map(|m| m * power);
        steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let position = |v: f64| if self.log { v.ln() } else { v };
        let (low, high) = (position(self.low), position(self.high));
        let share = (position(*value) - low) / (high - low);
        from + (share * f64::from(to - from)).round() as i32
    }

    /// Round numbers; on a logarithmic axis 1, 2 and 5 times the powers of ten, or the powers
    /// alone where there are more than four, unless fewer than two of them are in sight.
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

impl ValueFormatter<f64> for Axis {
    /// Large numbers as counts, others with as many decimals as the ticks need.
    fn format_ext(&self, value: &f64) -> String {
        if self.log || self.high >= 10_000.0 {
            return count(*value);
        }
        let decimals = (-self.step().log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// 2500000 as "2.5M", 20000 as "20k".
fn count(x: f64) -> String {
    let (scaled, unit) = match x.abs() {
        a if a >= 999_500.0 => (x / 1e6, "M"),
        a if a >= 999.5 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    // Three significant digits, and no zeros behind a point.
    let text = format!("{:.*}", if scaled.abs() < 9.995 { 2 } else { 1 }, scaled);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}
