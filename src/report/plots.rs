//! Plots: curves over the images a model has seen, as SVG text. They are used in reports and in figures like those of
//! Auto-Encoding Variational Bayes: Figure 2, the bound against training samples evaluated, and Figure 3, the marginal
//! likelihood, both on a logarithmic axis, with one colour per algorithm, training data dashed and test data solid.
//! Text and axes take the colour of the text around the picture, so that the same SVG works on light and dark pages; as
//! a separate file it follows the viewer's preference.

mod axis;
mod labels;
mod legend;
mod marks;

use std::collections::BTreeMap;
use std::io;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use crate::text;
use axis::{PlotAxis, count};
use labels::Labels;
use legend::legend;
use marks::{dashes, marked, marker, size, style};

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// A solid line, with a dot at every point if there are few.
    #[default]
    Solid,
    /// A dashed line.
    Dashed,
    /// A thin pale line, for raw values behind their average.
    Faint,
    /// Dots without a line.
    Marks,
    /// A dotted line, for values that are calculated rather than measured.
    Dotted,
}

/// One line of a plot.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// (x, y) from left to right. Points that are NaN, infinite or, on a logarithmic axis, not positive are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Index of its colour, modulo six.
    pub colour: usize,
    /// A label for each point; may be empty.
    pub labels: Vec<String>,
    /// How large its markers are, one each, 1 being the usual size; may be empty.
    pub sizes: Vec<f64>,
    /// Which of the page's runs it belongs to.
    pub run: usize,
}

/// What [`curve`] draws.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// Title above the plot; lines after the first are smaller; may be empty.
    pub title: String,
    /// Quantity of the x axis with its unit.
    pub x_label: String,
    /// Quantity of the y axis with its unit.
    pub y_label: String,
    /// Whether the x axis is logarithmic.
    pub log_x: bool,
    /// Whether the y axis is logarithmic.
    pub log_y: bool,
    /// Points below this are left out.
    pub y_min: Option<f64>,
    /// Points above this are left out.
    pub y_max: Option<f64>,
    /// The lines, in drawing order.
    pub series: Vec<Series>,
    /// A horizontal line to compare with, such as a paper's result: its label and value.
    pub reference: Option<(String, f64)>,
}

/// Width and height in SVG units: two per pixel, because plotters rounds to whole units.
const SIZE: (u32, u32) = (1600, 860);

/// Colours that colour-blind people can distinguish, visible on black and on white.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(190, 140, 0),
];

/// Placeholders that are replaced by the colours of the page.
const INK: RGBColor = RGBColor(1, 2, 3);
const PAPER: RGBColor = RGBColor(3, 2, 1);

const STYLE: &str = "<style>\
    .curve{color:#1f2328;max-width:100%;height:auto}.curve .paper{fill:#fff}\
    @media screen and (prefers-color-scheme:dark){.curve{color:#e6e6e6}.curve .paper{fill:#16191d}}\
    </style>";

/// The plot as a self-contained SVG element of 800 x 430 pixels.
///
/// Without points it has axes and the text "no points yet".
pub fn curve(plot: &Plot) -> String {
    let mut svg = String::new();
    draw(plot, &mut svg).expect("drawing to a string cannot fail");
    let svg = svg
        .replace("#010203", "currentColor")
        .replace("fill=\"#030201\"", "class=\"paper\"")
        .replace("font-family=\"sans-serif\"", "font-family=\"system-ui, sans-serif\"");
    // Replace the opening line of plotters by one with a description for screen readers.
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    // Control characters, which XML does not allow, can only come from names in files.
    text::lines(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"curve\" role=\"img\" \
         width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">\n{STYLE}\n{body}",
        SIZE.0 / 2,
        SIZE.1 / 2,
        SIZE.0,
        SIZE.1,
        super::html::escape(&describe(plot)),
    ))
}

/// The plot in words: title, axes and the last point of each line.
fn describe(plot: &Plot) -> String {
    let title = if plot.title.is_empty() { "Plot" } else { &plot.title.replace('\n', ", ") };
    let mut text = format!("{title}: {} over {}.", plot.y_label, plot.x_label);
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

/// A plot of the mean KL of each glimpse in nats; `what` is the data set, split, binarization and device.
pub fn glimpse_plot(kl: &[f64], what: &str) -> Plot {
    let points = kl.iter().enumerate().map(|(t, &kl)| (t as f64 + 1.0, kl)).collect();
    Plot {
        title: format!("Information in each glimpse\n{what}"),
        x_label: "glimpse".into(),
        y_label: "mean KL, nats/image".into(),
        series: vec![Series { name: "KL(q(z) | N(0, I))".into(), points, ..Series::default() }],
        ..Plot::default()
    }
}

/// Points (images seen, value of `key`) from the metrics lines of a kind (`train`, `eval`) and, unless `None`, a split,
/// in order of images seen. If several lines have the same number of images, the last one counts, because a resumed run
/// repeats the steps after its checkpoint.
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

/// The running mean of a series over a window of a twentieth of its points. Near the start the window shrinks on both
/// sides, so that the mean does not lag behind a steep fall; near the end it extends only to earlier points.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sums = vec![0.0];
    points.iter().for_each(|p| sums.push(sums[sums.len() - 1] + p.1));
    let mean = |i: usize| {
        let reach = (points.len() / 40).min(i);
        let (first, end) = (i - reach, (i + reach + 1).min(points.len()));
        (points[i].0, (sums[end] - sums[first]) / (end - first) as f64)
    };
    (0..points.len()).map(mean).collect()
}

/// At most `most` evenly spaced points, including the last.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(most).max(1);
    let mut kept: Vec<_> = points.iter().rev().step_by(step).copied().collect();
    kept.reverse();
    kept
}

impl Plot {
    /// Whether a point lies within the axes.
    fn shows(&self, (x, y): &(f64, f64)) -> bool {
        x.is_finite()
            && y.is_finite()
            && (!self.log_x || *x > 0.0)
            && (!self.log_y || *y > 0.0)
            && self.y_max.is_none_or(|max| *y <= max)
            && self.y_min.is_none_or(|min| *y >= min)
    }
}

fn draw(plot: &Plot, svg: &mut String) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let points_of = |s: &Series| s.points.iter().copied().filter(|p| plot.shows(p)).collect();
    let lines: Vec<Vec<(f64, f64)>> = plot.series.iter().map(points_of).collect();
    let lines_are_empty = lines.iter().all(Vec::is_empty);
    let reference = plot.reference.as_ref().filter(|(_, value)| value.is_finite());
    let all = || lines.iter().flatten();
    // A linear axis of counts starts at 0.
    let none = (!plot.log_x && !lines_are_empty).then_some(0.0);
    let x = PlotAxis::new(all().map(|p| p.0).chain(none), plot.log_x);
    let y =
        PlotAxis::new(all().map(|p| p.1).chain(reference.map(|r| r.1)), plot.log_y).widened(0.07);
    let (left, right) = (x.low, x.high);
    let middle = (x.middle(), y.middle());

    let font = ("sans-serif", 32).into_font().color(&INK);
    let mut root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&PAPER)?;
    if !plot.title.is_empty() {
        root = root.margin(12, 0, 0, 0);
    }
    for (i, line) in plot.title.lines().enumerate() {
        let size = if i == 0 { 42 } else { 30 };
        root = root.titled(line, ("sans-serif", size).into_font().color(&INK))?;
    }
    let root = legend(plot, root, &font)?;
    let mut builder = ChartBuilder::on(&root);
    builder.margin(16).margin_right(48).x_label_area_size(90).y_label_area_size(140);
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

    let mut labels = Labels::default();
    for (series, points) in plot.series.iter().zip(lines) {
        draw_series(&mut chart, plot, series, points, &mut labels)?;
    }
    if let Some((label, value)) = reference {
        let ends = [(left, *value), (right, *value)];
        chart.draw_series(DashedLineSeries::new(ends, 4, 8, INK.stroke_width(3)))?;
        let style = font.clone().pos(Pos::new(HPos::Left, VPos::Bottom));
        let text = Text::new(format!("{label}: {value:.2}"), (16, -4), style);
        chart.draw_series([EmptyElement::at((left, *value)) + text])?;
    }
    labels.draw(&root)?;
    if lines_are_empty {
        let style = font.pos(Pos::new(HPos::Center, VPos::Center));
        chart.draw_series([Text::new("no points yet", middle, style)])?;
    }
    root.present()?;
    Ok(())
}

/// Draws a series as a line or marks, and collects the labels of its points.
fn draw_series<'a, 'b: 'a>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<PlotAxis, PlotAxis>>,
    plot: &Plot,
    series: &Series,
    points: Vec<(f64, f64)>,
    labels: &mut Labels,
) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let style = style(series);
    let line = if series.stroke == Stroke::Marks { Vec::new() } else { points.clone() };
    match dashes(series.stroke) {
        Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(line, dash, gap, style))?,
        None => chart.draw_series(LineSeries::new(line, style))?,
    };
    let named = series.points.iter().zip(&series.labels).enumerate();
    for (i, (point, label)) in named.filter(|(_, (point, _))| plot.shows(point)) {
        labels.push(label, chart.backend_coord(point), size(series, i));
    }
    let marked = marked(series.stroke, &points);
    chart.draw_series(
        marked.map(|(i, p)| EmptyElement::at(p) + marker(series, (0, 0), size(series, i))),
    )?;
    Ok(())
}
