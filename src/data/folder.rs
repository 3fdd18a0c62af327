//! A folder of PNG images as a data set, called `folder:PATH`.
//!
//! Either it has the folders `train`, `valid` and `test` with images in them, in the order of their
//! names; or the images lie in it directly: sorted by name (byte by byte), shuffled under a seed of
//! its own, and cut into 80% train, 10% valid and 10% test, at least one each. So the splits are the
//! same in every run, as long as the names are.
//!
//! All images have one size and are all grey or all colour; a palette counts as colour, grey as it
//! may look. Files of other kinds and other folders are ignored; what is called `.png` must be one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::Binarization::{self, Dynamic, Grey, Threshold};
use super::files::fault;
use super::picture::{self, Picture};
use super::{DataSet, Images, sets, shuffled, thousands};
use crate::error::{Error, Result};
use crate::rng::{self, Key};

/// What a name begins with that means a folder.
pub(super) const PREFIX: &str = "folder:";

/// Orders the images of a folder without splits before they are cut.
const SEED: u64 = 0x666f_6c64;

const SPLITS: [&str; 3] = ["train", "valid", "test"];

/// The most bytes of pixels that are read, all splits together.
const MOST: usize = 2 << 30;

/// Opens the images in the folder `path` as the data set `name`; grey for `None`.
///
/// Fails with [`Error::Config`] on a binarization that does not fit, with [`Error::Data`] on a folder
/// or an image that is missing, damaged or unlike the others.
pub(super) fn open(name: &str, path: &str, binarization: Option<Binarization>) -> Result<DataSet> {
    if path.is_empty() {
        return Err(Error::Config(format!(
            "data set \"{name}\" names no folder; write {PREFIX}PATH"
        )));
    }
    let splits = files(Path::new(path))?;
    let first = &splits[0][0];
    let model = opaque(first)?;
    // What fits is known from the first image; the others need not be read to refuse.
    let modes: &[Binarization] =
        if model.channels == 1 { &[Grey, Dynamic, Threshold] } else { &[Grey] };
    let binarization = sets::fitting(name, modes, binarization)?;
    let count: usize = splits.iter().map(Vec::len).sum();
    let dims = model.bytes.len();
    if dims.checked_mul(count).is_none_or(|total| total > MOST) {
        return fault(
            path,
            format!(
                "{} images of {dims} bytes are more than the {MOST} bytes that are read; \
                 take fewer or smaller ones",
                thousands(count)
            ),
        );
    }
    let [train, valid, test] = splits.each_ref().map(|paths| load(paths, &model, first));
    Ok(DataSet { name: name.into(), binarization, train: train?, valid: valid?, test: test? })
}

/// The image files of the splits, none of which is empty.
fn files(folder: &Path) -> Result<[Vec<PathBuf>; 3]> {
    let name = folder.display();
    let direct = listed(folder)?;
    let there = SPLITS.map(|split| folder.join(split).is_dir());
    if there == [false; 3] {
        return cut(folder, direct);
    }
    if let Some(missing) = there.iter().position(|there| !there) {
        return fault(
            &name.to_string(),
            format!(
                "has no folder \"{}\"; it needs {}, or images and none of these",
                SPLITS[missing],
                SPLITS.join(", ")
            ),
        );
    }
    if let Some(stray) = direct.first() {
        return fault(
            &stray.display().to_string(),
            format!("lies beside the folders {}; move it into one of them", SPLITS.join(", ")),
        );
    }
    let [train, valid, test] = SPLITS.map(|split| {
        let inner = folder.join(split);
        match listed(&inner) {
            Ok(paths) if paths.is_empty() => {
                fault(&inner.display().to_string(), "holds no PNG images (*.png); put some there")
            }
            other => other,
        }
    });
    Ok([train?, valid?, test?])
}

/// The files of a folder that are called `.png`, in whatever case, sorted by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |e| Error::Data(format!("{}: cannot be read: {e}", folder.display()));
    if !folder.is_dir() {
        let what = if folder.exists() { "is not a folder" } else { "no such folder" };
        let what = format!("{what}; {PREFIX}PATH names a folder of PNG images");
        return fault(&folder.display().to_string(), what);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Shuffles sorted images and cuts them into splits.
fn cut(folder: &Path, paths: Vec<PathBuf>) -> Result<[Vec<PathBuf>; 3]> {
    let count = paths.len();
    if count < 3 {
        return fault(
            &folder.display().to_string(),
            format!(
                "holds {count} PNG images (*.png), too few for train, valid and test; \
                 put at least 3 there, or folders of these names with images in them"
            ),
        );
    }
    let order = shuffled(count, Key::new(SEED, rng::stream::SPLIT, 0));
    let tenth = (count / 10).max(1);
    let part = |range: std::ops::Range<usize>| {
        order[range].iter().map(|&i| paths[i].clone()).collect::<Vec<PathBuf>>()
    };
    let (valid, test) = (count - 2 * tenth, count - tenth);
    Ok([part(0..valid), part(valid..test), part(test..count)])
}

/// The images of a split, which must be like `model`, the image of the file `first`.
fn load(paths: &[PathBuf], model: &Picture, first: &Path) -> Result<Images> {
    let dims = model.bytes.len();
    // Filled in place: twice the pixels may not fit into memory.
    let mut pixels: Arc<[u8]> = std::iter::repeat_n(0, paths.len() * dims).collect();
    let rows = Arc::get_mut(&mut pixels).expect("nobody else has it yet");
    // The first fault in the order of the files, however many threads read them.
    let failed = rows.par_chunks_exact_mut(dims).zip(paths).find_map_first(|(row, path)| {
        match opaque(path).and_then(|picture| alike(picture, path, model, first)) {
            Ok(bytes) => row.copy_from_slice(&bytes),
            Err(error) => return Some(error),
        }
        None
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(Images {
            pixels,
            labels: None,
            count: paths.len(),
            height: model.height,
            width: model.width,
            channels: model.channels,
            max: 255,
            scene: None,
        }),
    }
}

/// A picture without transparency.
fn opaque(path: &Path) -> Result<Picture> {
    let picture = picture::read(path)?;
    if matches!(picture.channels, 2 | 4) {
        return fault(
            &path.display().to_string(),
            "has an alpha channel or a transparent colour, which images of a data set cannot have; \
             save it on a background, without transparency",
        );
    }
    Ok(picture)
}

/// The pixels of `picture`, if it has the size and channels of `model`.
fn alike(picture: Picture, path: &Path, model: &Picture, first: &Path) -> Result<Vec<u8>> {
    let shape = |p: &Picture| (p.height, p.width, p.channels);
    if shape(&picture) == shape(model) {
        return Ok(picture.bytes);
    }
    let words = |p: &Picture| {
        let kind = if p.channels == 1 { "grey" } else { "colour" };
        format!("{} x {}, {kind}", p.height, p.width)
    };
    fault(
        &path.display().to_string(),
        format!(
            "is {} (height x width), but {} is {}; images of a data set must have one size and be \
             all grey or all colour",
            words(&picture),
            first.display(),
            words(model)
        ),
    )
}
