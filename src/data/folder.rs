//! A folder of PNG and JPEG images as a data set, called `folder:PATH`.
//!
//! The folder has a subfolder `train`, and possibly `valid` (or `val`) and `test`, or it contains the images directly.
//! In both cases there may be one folder per class; the classes in alphabetical order have the labels 0, 1, 2, ... A
//! split without a folder is taken from the training images (`split.rs`). Within a split, images are ordered by class
//! and name (byte by byte).
//!
//! All images must have one size, unless [`ImageOptions::size`] sets it. They are grey if no image has a coloured pixel,
//! however they are stored; otherwise the grey ones are read as colour. An alpha channel that is constant is dropped.
//! Names that begin with a dot are skipped. Other files and folders are ignored, and `tell` receives a message about
//! them.

mod listing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rayon::prelude::*;

use self::listing::{Entry, Listing};
use super::Binarization::{self, Dynamic, Grey, Threshold};
use super::files::fault;
use super::picture::{self, Picture};
use super::{DataSet, ImageOptions, Images, Tell, resize, sets, thousands};
use crate::error::{Error, Result};

/// Prefix of the names of folders.
pub(super) const PREFIX: &str = "folder:";

/// Maximum total size of the pixels of all splits, in bytes.
pub(super) const MOST: usize = 2 << 30;

/// Maximum number of classes, since a label is a byte.
const CLASSES: usize = 256;

/// Opens the images in the folder `path` as the data set `name`. The default binarization is grey. `tell` receives
/// messages about what is ignored.
///
/// Fails with [`Error::Config`] on a binarization that does not apply, and with [`Error::Data`] if the folder or an image
/// is missing or damaged, or an image differs from the others in size.
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
    let Listing { splits, mut classes } = Listing::of(Path::new(path), tell)?;
    if classes.len() > CLASSES {
        let count = thousands(classes.len());
        tell(&format!("{path}: {count} classes are more than {CLASSES}: read without labels"));
        classes.clear();
    }
    let first = &splits[0][0].path;
    // The first image suffices to reject a binarization or a size.
    let mut like = Like::of(first, options)?;
    let mut binarization_of = like.binarization(name, binarization)?;
    let count: usize = splits.iter().map(Vec::len).sum();
    let [train, valid, test] = loop {
        like.check_count(path, count)?;
        let facts = Facts::default();
        let load = |entries: &Vec<Entry>| load(entries, &classes, &like, first, &facts);
        match splits.iter().map(load).collect::<std::result::Result<Vec<Images>, Stop>>() {
            Ok(images) => {
                facts.remark(path, count, like.channels, tell);
                break <[Images; 3]>::try_from(images).expect("three splits");
            }
            Err(Stop::Colour) => {
                like.channels = 3;
                binarization_of = like.binarization(name, binarization)?;
            }
            Err(Stop::Fault(error)) => return Err(error),
        }
    };
    let binarization = binarization_of;
    Ok(DataSet { name: name.into(), binarization, classes, train, valid, test })
}

/// The paths of the images of each split, relative to the folder `path`, in the order of the images. Fails with
/// [`Error::Data`].
pub(super) fn files(path: &str) -> Result<[Vec<String>; 3]> {
    let folder = Path::new(path);
    let below = |entry: Entry| {
        let file = entry.path.strip_prefix(folder).unwrap_or(&entry.path);
        file.to_string_lossy().into_owned()
    };
    let Listing { splits, .. } = Listing::of(folder, &|_| ())?;
    Ok(splits.map(|entries| entries.into_iter().map(below).collect()))
}

/// The size and channels that all images must have.
struct Like {
    height: usize,
    width: usize,
    channels: usize,
    /// The side to which images are cropped and resized.
    size: Option<usize>,
}

impl Like {
    /// The size and channels of the image at `path`.
    fn of(path: &Path, ImageOptions { size, .. }: ImageOptions) -> Result<Like> {
        let picture = opaque(path)?;
        let (height, width) = size.map_or((picture.height, picture.width), |size| (size, size));
        Ok(Like { height, width, channels: if picture.is_grey() { 1 } else { 3 }, size })
    }

    /// The requested binarization, or the default. Fails if it does not apply to images with these channels.
    fn binarization(&self, name: &str, asked: Option<Binarization>) -> Result<Binarization> {
        let modes: &[Binarization] =
            if self.channels == 1 { &[Grey, Dynamic, Threshold] } else { &[Grey] };
        sets::fitting(name, modes, asked)
    }

    fn dims(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Fails if `count` images exceed the limit.
    fn check_count(&self, path: &str, count: usize) -> Result<()> {
        let dims = self.dims();
        if dims.checked_mul(count).is_some_and(|total| total <= MOST) {
            return Ok(());
        }
        fault(
            path,
            format!(
                "{} images of {dims} bytes exceed the limit of {MOST} bytes; use fewer or smaller images \
                 (--size 32)",
                thousands(count)
            ),
        )
    }
}

/// Why loading stopped.
enum Stop {
    /// An image has colours, but the images were assumed to be grey.
    Colour,
    Fault(Error),
}

/// Statistics of all images.
#[derive(Default)]
struct Facts {
    /// Number of grey images.
    grey: AtomicUsize,
    /// Number of 16-bit images, and the largest value in them.
    deep: AtomicUsize,
    highest: AtomicU32,
}

impl Facts {
    fn add(&self, picture: &Picture, grey: bool) {
        self.grey.fetch_add(usize::from(grey), Ordering::Relaxed);
        if let Some(highest) = picture.highest {
            self.deep.fetch_add(1, Ordering::Relaxed);
            self.highest.fetch_max(highest.into(), Ordering::Relaxed);
        }
    }

    /// Sends messages about what the user may not expect.
    fn remark(self, path: &str, count: usize, channels: usize, tell: Tell) {
        let (grey, deep) = (self.grey.into_inner(), self.deep.into_inner());
        if channels == 3 && grey > 0 {
            let (grey, count) = (thousands(grey), thousands(count));
            tell(&format!("{path}: {grey} of the {count} images are grey and are read as colour"));
        }
        let highest = self.highest.into_inner();
        if deep > 0 && highest < 1 << 15 {
            let bits = u32::BITS - highest.leading_zeros();
            tell(&format!(
                "warning: {path}: images of 16 bits hold numbers from 0 to {highest} of 65535 ({bits} bits), so they \
                 are read as almost black (the upper 8 bits are kept); scale them to the full range first"
            ));
        }
    }
}

/// Loads the images of a split. All must have the size of the file `first`, as described by `like`.
fn load(
    entries: &[Entry],
    classes: &[String],
    like: &Like,
    first: &Path,
    facts: &Facts,
) -> std::result::Result<Images, Stop> {
    let dims = like.dims();
    // Filled in place, because a second copy of the pixels may not fit into memory.
    let mut pixels: Arc<[u8]> = std::iter::repeat_n(0, entries.len() * dims).collect();
    let rows = Arc::get_mut(&mut pixels).expect("not shared yet");
    // Reports the first fault in the order of the files, for any number of threads.
    let failed = rows.par_chunks_exact_mut(dims).zip(entries).find_map_first(|(row, entry)| {
        match pixels_of(&entry.path, like, first, facts) {
            Ok(bytes) => row.copy_from_slice(&bytes),
            Err(stop) => return Some(stop),
        }
        None
    });
    let label = |entry: &Entry| {
        let class = entry.class.as_ref()?;
        classes.binary_search(class).ok().map(|label| label as u8)
    };
    match failed {
        Some(stop) => Err(stop),
        None => Ok(Images {
            pixels,
            labels: entries.iter().map(label).collect(),
            count: entries.len(),
            height: like.height,
            width: like.width,
            channels: like.channels,
            max: 255,
            scene: None,
        }),
    }
}

/// A picture without transparency.
fn opaque(path: &Path) -> Result<Picture> {
    picture::read(path)?.opaque(&path.display().to_string())
}

/// The pixels of the image at `path`, with the size and channels of `like`.
fn pixels_of(
    path: &Path,
    like: &Like,
    first: &Path,
    facts: &Facts,
) -> std::result::Result<Vec<u8>, Stop> {
    let picture = opaque(path).map_err(Stop::Fault)?;
    let grey = picture.is_grey();
    if like.channels == 1 && !grey {
        return Err(Stop::Colour);
    }
    facts.add(&picture, grey);
    let picture = picture.with_channels(like.channels);
    if let Some(size) = like.size {
        return Ok(match (picture.height, picture.width) == (size, size) {
            true => picture.bytes,
            false => resize::squared(&picture, size),
        });
    }
    if (picture.height, picture.width) != (like.height, like.width) {
        let what = format!(
            "is {} x {} (height x width), but {} is {} x {}; images of a data set must have one size: \
             --size 32 crops and resizes them to 32 x 32",
            picture.height,
            picture.width,
            first.display(),
            like.height,
            like.width
        );
        return fault(&path.display().to_string(), what).map_err(Stop::Fault);
    }
    Ok(picture.bytes)
}
