//! Labels next to points, placed so that no label covers another one or a point.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::INK;

/// Left, top, right and bottom in pixels.
type Bounds = [i32; 4];

struct Label {
    text: String,
    at: (i32, i32),
    /// Half the side of its marker.
    reach: i32,
}

/// Labels of points, in pixels of the whole picture.
#[derive(Default)]
pub struct Labels {
    all: Vec<Label>,
}

impl Labels {
    /// Height of a line of text, and approximate width of a letter.
    const HEIGHT: i32 = 26;
    const LETTER: i32 = 11;

    /// Adds the label of a point whose marker is `size` times as large as usual.
    pub fn push(&mut self, text: &str, at: (i32, i32), size: f64) {
        let reach = (10.0 * size).round() as i32;
        self.all.push(Label { text: text.into(), at, reach });
    }

    /// Draws the labels on `area`, those of large markers first. Each is next to its point, or farther away at the end of
    /// a line. A label without enough room is left out.
    pub fn draw(
        mut self,
        area: &DrawingArea<SVGBackend, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<io::Error>> {
        self.all.sort_by_key(|label| -label.reach);
        let (width, height) = area.dim_in_pixel();
        let (left, top) = area.get_base_pixel();
        let page = [left + 150, top, left + width as i32, top + height as i32 - 100];
        let mut taken: Vec<Bounds> =
            self.all.iter().map(|label| around(label.at, label.reach / 2)).collect();
        let font = ("sans-serif", 22).into_font().color(&INK);
        for label in &self.all {
            let size = (Self::LETTER * label.text.chars().count() as i32, Self::HEIGHT);
            let free = |place: &Bounds| {
                within(place, &page) && !taken.iter().any(|other| overlap(place, other))
            };
            let Some(place) = places(label, size).find(free) else { continue };
            let to = |(x, y): (i32, i32)| (x - left, y - top);
            let near = (label.at.0.clamp(place[0], place[2]), label.at.1.clamp(place[1], place[3]));
            if (near.0 - label.at.0).abs().max((near.1 - label.at.1).abs()) > label.reach + 8 {
                area.draw(&PathElement::new(
                    vec![to(label.at), to(near)],
                    INK.mix(0.4).stroke_width(1),
                ))?;
            }
            area.draw(&Text::new(label.text.clone(), to((place[0], place[1])), font.clone()))?;
            taken.push(place);
        }
        Ok(())
    }
}

/// Possible positions of a label with this size, best first: next to its point, then farther and farther away in eight
/// directions.
fn places(label: &Label, (width, height): (i32, i32)) -> impl Iterator<Item = Bounds> + '_ {
    const DIRECTIONS: [(i32, i32); 8] =
        [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)];
    (0..7).flat_map(move |ring| {
        DIRECTIONS.into_iter().map(move |(dx, dy)| {
            let away = label.reach + 4 + 28 * ring;
            // The centre of the label, just far enough that the label does not cover its point.
            let x = label.at.0 + dx * (away + width / 2);
            let y = label.at.1 + dy * (away + height / 2);
            [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        })
    })
}

fn around((x, y): (i32, i32), reach: i32) -> Bounds {
    [x - reach, y - reach, x + reach, y + reach]
}

fn within(inner: &Bounds, outer: &Bounds) -> bool {
    inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]
}

fn overlap(a: &Bounds, b: &Bounds) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty labels of points that are close together.
    #[test]
    fn labels_stand_apart() {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, (1600, 860)).into_drawing_area();
        let mut labels = Labels::default();
        for i in 0..20 {
            labels.push(&format!("kernel{i:02}"), (800 + i, 400 - i), 1.0);
        }
        labels.draw(&root).unwrap();
        root.present().unwrap();
        drop(root);
        let number = |line: &str, key: &str| -> i32 {
            line.split(&format!("{key}=\""))
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        let places: Vec<(i32, i32)> = svg
            .lines()
            .filter(|line| line.starts_with("<text"))
            .map(|line| (number(line, " x"), number(line, " y")))
            .collect();
        assert_eq!(places.len(), 20, "{svg}");
        let width = 8 * Labels::LETTER;
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                let apart = (a.0 - b.0).abs() >= width || (a.1 - b.1).abs() >= Labels::HEIGHT;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}
