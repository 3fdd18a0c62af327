//! Strokes and markers of a series.

use plotters::prelude::*;

use super::{COLOURS, Series, Stroke};

/// The colour and width of a series.
pub fn style(series: &Series) -> ShapeStyle {
    let colour = COLOURS[series.colour % COLOURS.len()];
    match series.stroke {
        Stroke::Solid | Stroke::Dashed | Stroke::Marks => colour.stroke_width(4),
        Stroke::Dotted => colour.stroke_width(3),
        Stroke::Faint => colour.mix(0.45).stroke_width(2),
    }
}

/// Lengths of dash and gap, of a broken line.
pub fn dashes(stroke: Stroke) -> Option<(u32, u32)> {
    match stroke {
        Stroke::Dashed => Some((14, 10)),
        Stroke::Dotted => Some((4, 8)),
        Stroke::Solid | Stroke::Faint | Stroke::Marks => None,
    }
}

/// Positions and points of a line that get a marker: all of them if there are few, otherwise about eight.
pub fn marked(
    stroke: Stroke,
    points: &[(f64, f64)],
) -> impl Iterator<Item = (usize, (f64, f64))> + '_ {
    let every = match stroke {
        Stroke::Marks => 1,
        _ if points.len() <= 25 => 1,
        _ => points.len().div_ceil(8),
    };
    let none = matches!(stroke, Stroke::Faint | Stroke::Dotted);
    points.iter().copied().enumerate().step_by(every).filter(move |_| !none)
}

/// The size of the marker of a series' point.
pub fn size(series: &Series, point: usize) -> f64 {
    series.sizes.get(point).copied().unwrap_or(1.0)
}

/// The marker of a series at a place in pixels. Each colour has its own shape, for readers who cannot tell the
/// colours apart.
pub fn marker(series: &Series, (x, y): (i32, i32), size: f64) -> Polygon<(i32, i32)> {
    const SHAPES: [&[(i32, i32)]; 6] = [
        &[(-3, -8), (3, -8), (8, -3), (8, 3), (3, 8), (-3, 8), (-8, 3), (-8, -3)],
        &[(-7, -7), (7, -7), (7, 7), (-7, 7)],
        &[(0, -9), (9, 7), (-9, 7)],
        &[(0, -10), (10, 0), (0, 10), (-10, 0)],
        &[(0, 9), (9, -7), (-9, -7)],
        &[
            (-9, -6),
            (-6, -9),
            (0, -3),
            (6, -9),
            (9, -6),
            (3, 0),
            (9, 6),
            (6, 9),
            (0, 3),
            (-6, 9),
            (-9, 6),
            (-3, 0),
        ],
    ];
    let colour = COLOURS[series.colour % COLOURS.len()];
    let shape = SHAPES[series.colour % SHAPES.len()];
    let scaled = |d: i32| (f64::from(d) * size).round() as i32;
    let corners: Vec<_> = shape.iter().map(|(dx, dy)| (x + scaled(*dx), y + scaled(*dy))).collect();
    // Large markers are transparent, so that those behind them are visible.
    let style = if size > 1.0 { colour.mix(0.7).filled() } else { colour.filled() };
    Polygon::new(corners, style)
}
