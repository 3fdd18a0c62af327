//! The user's own files in the format of MNIST, called `idx:PATH`.
//!
//! PATH is a folder that contains IDX files, directly or up to two levels below (`MNIST/raw`). If one folder has files of
//! several data sets, PATH includes the beginning of the file names (`gzip/emnist-letters`). All usual names are known:
//! `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, `emnist-letters-test-labels-idx1-ubyte`, `images.idx3-ubyte`,
//! each plain or gzipped. The part before `images` or `labels` determines the split: `train`, `val`, `test` or `t10k`;
//! without any of them it is train. Labels may be missing. A split without a file is taken from the training images
//! (`split.rs`), using the number of an image as its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Binarization::{self, Dynamic, Grey, Threshold};
use super::files::{self, fault};
use super::{DataSet, ImageOptions, Images, Tell, idx, sets, split};
use crate::error::{Error, Result};

/// Prefix of the names of the user's own IDX files.
pub(super) const PREFIX: &str = "idx:";

const SPLITS: [&str; 3] = ["train", "valid", "test"];

/// The files of the splits, and their labels.
#[derive(Default)]
struct Found {
    images: [Vec<PathBuf>; 3],
    labels: [Vec<PathBuf>; 3],
}

/// Opens the IDX files at `path` as the data set `name`. The default binarization is grey. `tell` receives a message about
/// splits that are taken from the training images.
///
/// Fails with [`Error::Config`] on a binarization that does not apply, and with [`Error::Data`] if files are missing,
/// damaged or inconsistent with each other.
pub(super) fn open(
    name: &str,
    path: &str,
    binarization: Option<Binarization>,
    options: ImageOptions,
    tell: Tell,
) -> Result<DataSet> {
    if path.is_empty() {
        return Err(Error::Config(format!(
            "data set \"{name}\" names no folder; write {PREFIX}PATH"
        )));
    }
    let binarization = sets::fitting(name, &[Grey, Dynamic, Threshold], binarization)?;
    let found = find(Path::new(path))?;
    let mut parts = [None, None, None];
    for (split, part) in parts.iter_mut().enumerate() {
        *part = read(&found, split, path, options.transpose)?;
    }
    let [train, valid, test] = parts;
    let Some(train) = train else {
        return fault(
            path,
            "contains no training images (train-images-idx3-ubyte, or images.idx3-ubyte, plain or .gz)",
        );
    };
    for (split, part) in [("valid", &valid), ("test", &test)] {
        let size = |images: &Images| (images.height, images.width);
        if let Some(part) = part
            && size(part) != size(&train)
        {
            let what = format!(
                "its {split} images are {} x {}, its training images {} x {} (height x width); they must agree",
                part.height, part.width, train.height, train.width
            );
            return fault(path, what);
        }
    }
    let [train, valid, test] = with_all_splits(path, train, valid, test, tell)?;
    let labels = [&train, &valid, &test].into_iter().filter_map(|images| images.labels.as_ref());
    let highest = labels.flatten().max().copied();
    let classes = highest.map_or(Vec::new(), |most| (0..=most).map(|n| n.to_string()).collect());
    Ok(DataSet { name: name.into(), binarization, classes, train, valid, test })
}

/// The three splits; takes the missing ones from `train`.
fn with_all_splits(
    path: &str,
    train: Images,
    valid: Option<Images>,
    test: Option<Images>,
    tell: Tell,
) -> Result<[Images; 3]> {
    let missing = (valid.is_none(), test.is_none());
    let least = split::least(missing.0, missing.1);
    if train.count < least {
        let count = train.count;
        return fault(
            path,
            format!("contains {count} training images; put at least {least} there"),
        );
    }
    for (missing, split) in [(missing.0, "valid"), (missing.1, "test")] {
        if missing {
            tell(&format!(
                "{path} has no {split} images: a tenth of the training images, chosen by their numbers, is the \
                 {split} split"
            ));
        }
    }
    if missing == (false, false) {
        return Ok([Some(train), valid, test].map(|images| images.expect("there")));
    }
    let names: Vec<Vec<u8>> = (0..train.count).map(|i| i.to_string().into_bytes()).collect();
    let of = split::cut(&names, missing, &path, tell);
    let part = |split: u8| {
        let indices: Vec<usize> = (0..train.count).filter(|&i| of[i] == split).collect();
        train.select(&indices)
    };
    Ok([part(0), valid.unwrap_or_else(|| part(1)), test.unwrap_or_else(|| part(2))])
}

/// The images of a split with their labels, if there are any.
fn read(found: &Found, split: usize, path: &str, transpose: bool) -> Result<Option<Images>> {
    let Some(file) = only(&found.images[split], "images", split, path)? else {
        return match only(&found.labels[split], "labels", split, path)? {
            Some(labels) => {
                let what = format!("these are labels, and there are no {} images", SPLITS[split]);
                fault(&labels.display().to_string(), what)
            }
            None => Ok(None),
        };
    };
    let whole = |file: &Path| files::read(file, 2 * idx::MOST as u64);
    let name = file.display().to_string();
    let mut images = idx::parse_images(&whole(file)?, &name)?;
    if transpose {
        images = transposed(&images);
    }
    if let Some(file) = only(&found.labels[split], "labels", split, path)? {
        let name = file.display().to_string();
        let labels = idx::parse_labels(&whole(file)?, &name)?;
        if labels.len() != images.count {
            let (labels, images) = (labels.len(), images.count);
            return fault(&name, format!("contains {labels} labels for {images} images"));
        }
        images.labels = Some(labels);
    }
    Ok(Some(images))
}

/// The file of a split, if there is one; of a plain and a gzipped version, the plain one.
fn only<'a>(
    files: &'a [PathBuf],
    things: &str,
    split: usize,
    path: &str,
) -> Result<Option<&'a PathBuf>> {
    let mut stems: BTreeMap<String, &PathBuf> = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(".gz").unwrap_or(&name).to_string();
        let plain = stem == name;
        let entry = stems.entry(stem).or_insert(file);
        if plain {
            *entry = file;
        }
    }
    if stems.len() > 1 {
        let names: Vec<&str> = stems.keys().map(String::as_str).take(3).collect();
        let what = format!(
            "contains the {} {things} of several data sets ({}); name one by the beginning of its files: \
             {PREFIX}{path}/NAME",
            SPLITS[split],
            names.join(", ")
        );
        return fault(path, what);
    }
    Ok(stems.into_values().next())
}

/// The IDX files at `path`.
fn find(path: &Path) -> Result<Found> {
    let name = path.display().to_string();
    let (folder, begin) = match (path.is_dir(), path.parent(), path.file_name()) {
        (true, ..) => (path.to_path_buf(), String::new()),
        (false, Some(parent), Some(begin)) if !path.exists() => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            (parent.to_path_buf(), begin.to_string_lossy().to_lowercase())
        }
        _ => {
            return fault(
                &name,
                format!("is not a folder; {PREFIX}PATH names a folder of IDX files"),
            );
        }
    };
    if !folder.is_dir() {
        return fault(&name, format!("no such folder; {PREFIX}PATH names a folder of IDX files"));
    }
    let mut level = vec![folder];
    for _ in 0..3 {
        let (mut with_files, mut below) = (Vec::new(), Vec::new());
        for folder in level {
            let (found, folders) = contents(&folder, &begin)?;
            if found.images.iter().any(|files| !files.is_empty()) {
                with_files.push((folder, found));
            }
            below.extend(folders);
        }
        if let [(first, _), (second, _), ..] = &with_files[..] {
            let (first, second) = (first.display(), second.display());
            return fault(
                &name,
                format!("contains IDX files in {first} and in {second}; name one of them"),
            );
        }
        if let Some((_, found)) = with_files.pop() {
            return Ok(found);
        }
        // With a beginning of names, only this folder is searched.
        level = if begin.is_empty() { below } else { Vec::new() };
    }
    fault(
        &name,
        "contains no IDX images (train-images-idx3-ubyte, images.idx3-ubyte and the like, plain or .gz)",
    )
}

/// The IDX files of a folder whose names start with `begin`, and its subfolders in order.
fn contents(folder: &Path, begin: &str) -> Result<(Found, Vec<PathBuf>)> {
    let cannot = |e| Error::Data(format!("{}: cannot be read: {e}", folder.display()));
    let (mut found, mut folders) = (Found::default(), Vec::new());
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if let Some((things, split)) = name.starts_with(begin).then(|| role(&name)).flatten()
        {
            let of = if things == "images" { &mut found.images } else { &mut found.labels };
            of[split].push(path);
        }
    }
    folders.sort();
    Ok((found, folders))
}

/// What a file with this name (in lower case) contains, "images" or "labels", and its split.
fn role(name: &str) -> Option<(&'static str, usize)> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let (things, before) = match stem.split_once("image") {
        Some((before, after)) if after.contains("idx3") => ("images", before),
        _ => match stem.split_once("label") {
            Some((before, after)) if after.contains("idx1") => ("labels", before),
            _ => return None,
        },
    };
    let split = if before.contains("train") {
        0
    } else if before.contains("val") {
        1
    } else if before.contains("test") || before.contains("t10k") {
        2
    } else {
        0
    };
    Some((things, split))
}

/// The images with rows and columns exchanged.
fn transposed(images: &Images) -> Images {
    let (height, width) = (images.height, images.width);
    let mut pixels = Vec::with_capacity(images.pixels.len());
    for i in 0..images.count {
        let image = images.image(i);
        pixels.extend((0..height * width).map(|at| image[at % height * width + at / height]));
    }
    Images { pixels: pixels.into(), height: width, width: height, ..images.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_known() {
        for (name, things, split) in [
            ("train-images-idx3-ubyte", "images", 0),
            ("train-images.idx3-ubyte", "images", 0),
            ("t10k-labels-idx1-ubyte.gz", "labels", 2),
            ("t10k-images.idx3-ubyte", "images", 2),
            ("emnist-letters-train-labels-idx1-ubyte.gz", "labels", 0),
            ("emnist-letters-test-images-idx3-ubyte", "images", 2),
            ("val_images.idx3", "images", 1),
            ("images.idx3-ubyte", "images", 0),
            ("labels.idx1-ubyte", "labels", 0),
        ] {
            assert_eq!(role(name), Some((things, split)), "{name}");
        }
        for name in ["train-labels-idx3-ubyte", "images.png", "emnist-letters-mapping.txt"] {
            assert_eq!(role(name), None, "{name}");
        }
    }

    #[test]
    fn rows_become_columns() {
        let images = Images {
            pixels: (0..12).collect(),
            labels: None,
            count: 2,
            height: 2,
            width: 3,
            channels: 1,
            max: 255,
            scene: None,
        };
        let turned = transposed(&images);
        assert_eq!((turned.height, turned.width), (3, 2));
        assert_eq!(turned.pixels[..], [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(transposed(&turned).pixels, images.pixels);
    }
}
