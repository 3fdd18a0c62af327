//! A folder of PNG images as a data set, called `folder:PATH`. Either the folder contains the folders `train`, `valid`
//! and `test` with images, or it contains the images directly, and each image's name decides its split: h =
//! sha256(seed, name) / 2^256 lies in \[0, 1), and the image belongs to train if h < 0.8, to valid if h < 0.9,
//! otherwise to test. So adding or removing images does not move other images. Within a split, images are ordered by
//! name (bytewise). Small folders are an exception, because every split needs an image. If a split would be empty, the
//! nearest image in the order of h moves into it. `tell` receives a message about this, because that image moves back
//! once added images fill the split. This affects about half of all folders of 12 images and hardly any folder of 100.
//! The seed was chosen so that a dozen images with usual names, such as 000.png, are not affected. All images must have
//! the same size and be all grey or all colour; a palette counts as colour even if its colours are grey. Other kinds of
//! files, other folders and names that start with a dot are ignored. A file whose name ends in `.png` must be a PNG;
//! directories and broken links with such a name are skipped, and `tell` receives a message about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::Binarization::{self, Dynamic, Grey, Threshold};
use super::files::fault;
use super::picture::{self, Picture};
use super::{DataSet, Images, Tell, sets, thousands};
use crate::error::{Error, Result};

/// Prefix of a data set's name that means a folder.
pub(super) const PREFIX: &str = "folder:";

/// Seed of the split of a folder without splits.
const SEED: u64 = 0x666f_6c64_0014_5f4d;

/// Where train and valid end, as fractions of 2^64.
const ENDS: [u64; 2] = [(u64::MAX / 10) * 8, (u64::MAX / 10) * 9];

/// Number of skipped entries that a message names.
const SHOWN: usize = 3;

const SPLITS: [&str; 3] = ["train", "valid", "test"];

/// Maximum bytes of pixels, all splits together.
const MOST: usize = 2 << 30;

/// Opens the images in the folder `path` as the data set `name`; grey for `None`. `tell` receives messages about
/// skipped entries. Fails with [`Error::Config`] on an unsupported binarization, and with [`Error::Data`] if a folder
/// or an image is missing or damaged, or an image differs in kind from the others.
pub(super) fn open(
    name: &str,
    path: &str,
    binarization: Option<Binarization>,
    tell: Tell,
) -> Result<DataSet> {
    if path.is_empty() {
        return Err(Error::Config(format!(
            "data set \"{name}\" names no folder; write {PREFIX}PATH"
        )));
    }
    let splits = files(Path::new(path), tell)?;
    let first = &splits[0][0];
    let model = opaque(first)?;
    // The first image decides which binarizations are possible, before the others are read.
    let modes: &[Binarization] =
        if model.channels == 1 { &[Grey, Dynamic, Threshold] } else { &[Grey] };
    let binarization = sets::fitting(name, modes, binarization)?;
    let count: usize = splits.iter().map(Vec::len).sum();
    let dims = model.bytes.len();
    if dims.checked_mul(count).is_none_or(|total| total > MOST) {
        return fault(
            path,
            format!(
                "{} images of {dims} bytes exceed the limit of {MOST} bytes; use fewer or smaller images",
                thousands(count)
            ),
        );
    }
    let [train, valid, test] = splits.each_ref().map(|paths| load(paths, &model, first));
    Ok(DataSet { name: name.into(), binarization, train: train?, valid: valid?, test: test? })
}

/// The image files of the splits, none of which is empty.
fn files(folder: &Path, tell: Tell) -> Result<[Vec<PathBuf>; 3]> {
    let name = folder.display();
    let direct = listed(folder, tell)?;
    let there = SPLITS.map(|split| folder.join(split).is_dir());
    if there == [false; 3] {
        return cut(folder, direct, tell);
    }
    if let Some(missing) = there.iter().position(|there| !there) {
        return fault(
            &name.to_string(),
            format!(
                "has no folder \"{}\"; it needs the folders {}, or images directly in it",
                SPLITS[missing],
                SPLITS.join(", ")
            ),
        );
    }
    if let Some(stray) = direct.first() {
        return fault(
            &stray.display().to_string(),
            format!("is next to the folders {}; move it into one of them", SPLITS.join(", ")),
        );
    }
    let [train, valid, test] = SPLITS.map(|split| {
        let inner = folder.join(split);
        match listed(&inner, tell) {
            Ok(paths) if paths.is_empty() => fault(
                &inner.display().to_string(),
                "contains no PNG images (*.png); put some there",
            ),
            other => other,
        }
    });
    Ok([train?, valid?, test?])
}

/// The files of a folder whose names end in `.png` (in any case), sorted by name.
fn listed(folder: &Path, tell: Tell) -> Result<Vec<PathBuf>> {
    let cannot = |e| Error::Data(format!("{}: cannot be read: {e}", folder.display()));
    if !folder.is_dir() {
        let what = if folder.exists() { "is not a folder" } else { "no such folder" };
        let what = format!("{what}; {PREFIX}PATH names a folder of PNG images");
        return fault(&folder.display().to_string(), what);
    }
    let (mut paths, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        let png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        if hidden || !png {
            continue;
        }
        match no_file(&path) {
            Some(what) => others.push((path, what)),
            None => paths.push(path),
        }
    }
    paths.sort();
    others.sort();
    if !others.is_empty() {
        tell(&left_out(folder, &others));
    }
    Ok(paths)
}

/// What is at `path`, if it is not a readable file.
fn no_file(path: &Path) -> Option<&'static str> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Some("a directory"),
        Ok(meta) if !meta.is_file() => Some("not a regular file"),
        // Other failures become an error when the file is read.
        Err(_) if fs::read_link(path).is_ok_and(|to| !path.with_file_name(to).exists()) => {
            Some("a broken link")
        }
        _ => None,
    }
}

/// A message about entries whose names end in `.png` but that are not files.
fn left_out(folder: &Path, others: &[(PathBuf, &str)]) -> String {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<String> =
        others.iter().take(SHOWN).map(|(path, what)| format!("{} ({what})", name(path))).collect();
    if others.len() > SHOWN {
        names.push(format!("{} more", thousands(others.len() - SHOWN)));
    }
    format!("{}: skipped, because they are not files: {}", folder.display(), names.join(", "))
}

/// The position of an image's name between 0 and 2^64, a pure function of the name.
fn place(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let sum = Sha256::new().chain_update(SEED.to_be_bytes()).chain_update(name).finalize();
    sum.iter().take(8).fold(0, |place, &byte| (place << 8) | u64::from(byte))
}

/// Splits images by their names.
fn cut(folder: &Path, paths: Vec<PathBuf>, tell: Tell) -> Result<[Vec<PathBuf>; 3]> {
    let count = paths.len();
    let name = folder.display();
    if count < 3 {
        return fault(
            &name.to_string(),
            format!(
                "contains {count} PNG images (*.png), too few for train, valid and test; put at least 3 \
                 there, or folders with these names and images in them"
            ),
        );
    }
    let mut placed: Vec<(u64, PathBuf)> =
        paths.into_iter().map(|path| (place(&path), path)).collect();
    placed.sort();
    let ends = ENDS.map(|end| placed.partition_point(|(place, _)| *place < end));
    // An empty split takes the nearest image.
    let valid = ends[0].clamp(1, count - 2);
    let test = ends[1].clamp(valid + 1, count - 1);
    if [valid, test] != ends {
        tell(&format!(
            "{name}: with only {count} images, a split by name would be empty, so it takes images of \
             another split; these may move back when images are added"
        ));
    }
    let part = |range: std::ops::Range<usize>| {
        let mut paths: Vec<PathBuf> = placed[range].iter().map(|(_, path)| path.clone()).collect();
        paths.sort();
        paths
    };
    Ok([part(0..valid), part(valid..test), part(test..count)])
}

/// The images of a split, which must have the size and channels of `model`, the image in the file `first`.
fn load(paths: &[PathBuf], model: &Picture, first: &Path) -> Result<Images> {
    let dims = model.bytes.len();
    // Filled in place, because twice the pixels may not fit into memory.
    let mut pixels: Arc<[u8]> = std::iter::repeat_n(0, paths.len() * dims).collect();
    let rows = Arc::get_mut(&mut pixels).expect("not shared yet");
    // Report the first error in the order of the files, whatever the number of threads.
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
            "has an alpha channel or a transparent colour, which images of a data set cannot have; flatten \
             it onto a background and save it without transparency",
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// The split of each name, and whether no split took images of another.
    fn split(names: &BTreeSet<String>) -> (BTreeMap<String, usize>, bool) {
        let told = std::cell::Cell::new(false);
        let paths = names.iter().map(PathBuf::from).collect();
        let parts = cut(Path::new("x"), paths, &|_| told.set(true)).unwrap();
        let name = |path: &PathBuf| path.display().to_string();
        let of = |(k, part): (usize, &Vec<PathBuf>)| {
            assert!(!part.is_empty() && part.is_sorted(), "{part:?}");
            part.iter().map(|path| (name(path), k)).collect::<Vec<_>>()
        };
        (parts.iter().enumerate().flat_map(of).collect(), !told.get())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever images are added or removed, an image moves only if a split would be empty.
        #[test]
        fn no_image_changes_its_split(
            names in prop::collection::btree_set("[^/\0]{1,12}", 3..40),
            added in prop::collection::btree_set("[^/\0]{1,12}", 0..400),
        ) {
            let (before, alone) = split(&names);
            prop_assert_eq!(before.len(), names.len());
            let all: BTreeSet<String> = names.union(&added).cloned().collect();
            let (after, _) = split(&all);
            let moved = names.iter().filter(|name| before[*name] != after[*name]).count();
            // Two splits can be empty.
            prop_assert!(moved <= if alone { 0 } else { 2 }, "{} of {} moved", moved, names.len());
        }
    }

    #[test]
    fn splits_have_their_parts() {
        let names = (0..10_000).map(|n| format!("{n}.png")).collect();
        let (of, alone) = split(&names);
        let count = |k| of.values().filter(|split| **split == k).count();
        // Expected 1,000 each, with a standard deviation of 30.
        assert!(alone && count(1).abs_diff(1000) < 150 && count(2).abs_diff(1000) < 150);
    }
}
