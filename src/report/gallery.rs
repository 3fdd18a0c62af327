//! The pictures of a run: finding them, their captions, and their sections of a page.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageDecoder;
use image::codecs::png::PngDecoder;

use super::html::{escape, figure, section};
use super::read::{MOST, damaged};
use crate::data::{files, thousands};
use crate::error::Result;

/// Maximum number of sheets in the section on samples over time.
const MOST_OVER_TIME: usize = 6;
/// Extension of a film.
const FILM: &str = ".gif";

/// A PNG or GIF file of a run.
pub struct RunPicture {
    /// Its path in the run directory, without `.png`.
    name: String,
    bytes: Vec<u8>,
    width: u32,
    height: u32,
}

/// A section and its pictures: file names in `samples/`, and captions.
struct Kind {
    section: &'static str,
    pictures: &'static [(&'static str, &'static str)],
}

/// The sections and captions, in the order of the page.
const KINDS: [Kind; 6] = [
    Kind {
        section: "Completions",
        pictures: &[(
            "completions",
            "completions, one row per image: the given part, the model's completions, the original",
        )],
    },
    Kind {
        section: "Manifold",
        pictures: &[(
            "manifold",
            "the manifold of the two latent dimensions: a grid on the unit square, mapped through the \
             inverse normal CDF; the first dimension grows to the right, the second upwards",
        )],
    },
    Kind {
        section: "Reconstructions",
        pictures: &[("reconstructions", "reconstructions, each below its test image")],
    },
    Kind {
        section: "Canvases",
        pictures: &[
            (
                "film",
                "samples being drawn, one row each: the canvas after each glimpse, with the area it writes \
                 to in red",
            ),
            ("film.gif", "samples being drawn, with the area that each glimpse writes to in red"),
        ],
    },
    Kind {
        section: "Reading",
        pictures: &[
            (
                "reading",
                "test images glimpse by glimpse, with the area that is read in green; below, the canvas \
                 with the area that is written in red. A classifier writes nothing; a red frame marks \
                 images that it gets wrong",
            ),
            ("reading.gif", "the same as a film"),
        ],
    },
    Kind {
        section: "Nearest training images",
        pictures: &[(
            "nearest",
            "samples, each next to its nearest training image, which has a blue frame",
        )],
    },
];

impl RunPicture {
    /// The step of a picture: 1000 for `samples/step-00001000`.
    pub fn moment(&self) -> Option<u64> {
        self.name.strip_prefix("samples/step-")?.parse().ok()
    }

    /// The PNG or GIF file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Its name without folder, and without `.png`.
    pub fn stem(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a film, a GIF.
    pub fn is_film(&self) -> bool {
        self.name.ends_with(FILM)
    }

    /// A figure element with the picture; `alt` describes it, and `caption` appears below it.
    fn figure(&self, alt: &str, caption: &str) -> String {
        let (width, height) = self.size();
        let kind = if self.is_film() { "gif" } else { "png" };
        let image = format!(
            "<img alt=\"{}\" width=\"{width}\" height=\"{height}\" \
             src=\"data:image/{kind};base64,{}\">",
            escape(alt),
            STANDARD.encode(&self.bytes)
        );
        figure(&image, caption)
    }

    /// A sheet of samples, with `of` before its step.
    fn sheet(&self, of: &str) -> String {
        let caption = format!("{of}after step {}", thousands(self.moment().unwrap_or(0) as usize));
        self.figure(&format!("Sheet of images drawn from the model {caption}"), &caption)
    }
}

/// The sections of a run's pictures: samples over time, a section per kind, then all others.
pub fn sections(all: &[RunPicture]) -> String {
    if all.is_empty() {
        return section("Pictures", "<p>No pictures yet.</p>\n");
    }
    let mut html = String::new();
    let over_time: Vec<_> = all.iter().filter(|picture| picture.moment().is_some()).collect();
    if !over_time.is_empty() {
        let chosen = over_time.len().min(MOST_OVER_TIME);
        // Evenly spaced from the first to the last.
        let at = |i: usize| over_time[i * (over_time.len() - 1) / (chosen - 1).max(1)];
        let sheets: String = (0..chosen).map(|i| at(i).sheet("")).collect();
        html += &section("Samples over time", &row("row time", &sheets));
    }
    for Kind { section: title, pictures } in &KINDS {
        let figures: String = pictures
            .iter()
            .filter_map(|(name, caption)| {
                let picture = all.iter().find(|picture| picture.stem() == *name)?;
                Some(picture.figure(&format!("Sheet of images: {caption}"), caption))
            })
            .collect();
        if !figures.is_empty() {
            html += &section(title, &row("row", &figures));
        }
    }
    let known = |picture: &RunPicture| {
        let mut names = KINDS.iter().flat_map(|kind| kind.pictures);
        picture.moment().is_some() || names.any(|(name, _)| *name == picture.stem())
    };
    let rest: String = all
        .iter()
        .filter(|picture| !known(picture))
        .map(|picture| picture.figure(&format!("Sheet of images: {}", picture.name), &picture.name))
        .collect();
    if !rest.is_empty() {
        html += &section("More pictures", &row("row", &rest));
    }
    html
}

/// The last sheet of samples of each run, side by side; empty if there is none.
pub fn last_samples(runs: &[(&str, &[RunPicture])]) -> String {
    let sheets: String = runs
        .iter()
        .filter_map(|(name, all)| {
            let last = all.iter().rev().find(|picture| picture.moment().is_some())?;
            Some(last.sheet(&format!("{name}, ")))
        })
        .collect();
    if sheets.is_empty() {
        return sheets;
    }
    let drawn = |all: &[RunPicture]| all.iter().any(|picture| picture.moment().is_some());
    let missing = runs.iter().filter(|(_, all)| !drawn(all));
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    let missing = match missing.is_empty() {
        true => String::new(),
        false => format!("<p>Without samples: {}.</p>\n", escape(&missing.join(", "))),
    };
    section("Samples", &(row("row time", &sheets) + &missing))
}

fn row(class: &str, figures: &str) -> String {
    format!("<div class=\"{class}\">\n{figures}</div>\n")
}

/// The pictures in the run directory and in `samples/`, ordered by step and name.
pub fn read(dir: &Path) -> Result<Vec<RunPicture>> {
    let mut found = Vec::new();
    for (folder, prefix) in [(dir.to_path_buf(), ""), (dir.join("samples"), "samples/")] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match name.strip_suffix(".png") {
                Some(stem) => found.push(picture(&path, format!("{prefix}{stem}"))?),
                None if name.ends_with(FILM) => found.push(film(&path, format!("{prefix}{name}"))?),
                None => {}
            }
        }
    }
    found.sort_by(|a, b| (a.moment(), &a.name).cmp(&(b.moment(), &b.name)));
    Ok(found)
}

fn picture(path: &Path, name: String) -> Result<RunPicture> {
    let bytes = files::whole(path, MOST).map_err(|e| damaged(path, e))?;
    let decoder = PngDecoder::new(Cursor::new(&bytes)).map_err(|e| damaged(path, e))?;
    let (width, height) = decoder.dimensions();
    Ok(RunPicture { name, bytes, width, height })
}

fn film(path: &Path, name: String) -> Result<RunPicture> {
    let bytes = files::whole(path, MOST).map_err(|e| damaged(path, e))?;
    let decoder = gif::Decoder::new(Cursor::new(&bytes)).map_err(|e| damaged(path, e))?;
    let (width, height) = (decoder.width().into(), decoder.height().into());
    Ok(RunPicture { name, bytes, width, height })
}
