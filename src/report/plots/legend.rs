//! The legend of a plot, outside of its axes, so that it covers no data.

use std::io;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::TextStyle;

use super::marks::{dashes, marker, style};
use super::{Plot, Stroke};

/// Draws the legend (rows of line samples and names) at the top of `area`, and returns the rest for the plot.
pub fn legend<'a>(
    plot: &Plot,
    area: DrawingArea<SVGBackend<'a>, Shift>,
    font: &TextStyle<'_>,
) -> Result<DrawingArea<SVGBackend<'a>, Shift>, DrawingAreaErrorKind<io::Error>> {
    /// Height of a row, and length of a sample.
    const ROW: i32 = 46;
    const SAMPLE: i32 = 72;
    let width = area.dim_in_pixel().0 as i32;
    let (mut x, mut y) = (156, 10);
    let mut places = Vec::new();
    for series in &plot.series {
        // Letters are about half as wide as the font is high, which is 32.
        let needed = SAMPLE + 16 + 17 * series.name.chars().count() as i32 + 40;
        if x > 156 && x + needed > width {
            (x, y) = (156, y + ROW);
        }
        places.push((x, y));
        x += needed;
    }
    let Some(&(_, last)) = places.last() else { return Ok(area) };
    let (above, below) = area.split_vertically(last + ROW);
    for (series, (x, y)) in plot.series.iter().zip(places) {
        let ends = vec![(x, y + 16), (x + SAMPLE, y + 16)];
        match (series.stroke, dashes(series.stroke)) {
            (Stroke::Marks, _) => {}
            (_, Some((dash, gap))) => {
                above.draw(&DashedPathElement::new(ends, dash, gap, style(series)))?;
            }
            _ => above.draw(&PathElement::new(ends, style(series)))?,
        }
        if !matches!(series.stroke, Stroke::Faint | Stroke::Dotted) {
            above.draw(&marker(series, (x + SAMPLE / 2, y + 16), 1.0))?;
        }
        above.draw(&Text::new(series.name.clone(), (x + SAMPLE + 16, y), font.clone()))?;
    }
    Ok(below)
}
