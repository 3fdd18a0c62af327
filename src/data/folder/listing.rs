//! Finds the images of a folder, with the split and the class of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::files::fault;
use crate::data::{Tell, split, thousands};
use crate::error::{Error, Result};

/// Names of the splits' folders.
const SPLITS: [&[&str]; 3] = [&["train"], &["valid", "val", "validation"], &["test"]];

/// Extensions of image files, in lower case.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The extensions, for messages.
const IMAGES: &str = "PNG or JPEG images (*.png, *.jpg, *.jpeg)";

/// Number of ignored entries that a message names.
const SHOWN: usize = 3;

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The class, if there are folders of classes.
    pub class: Option<String>,
    pub path: PathBuf,
}

impl Entry {
    /// The name that determines the split: CLASS/FILE, or FILE without a class.
    fn name(&self) -> Vec<u8> {
        let file = self.path.file_name().unwrap_or_default().as_encoded_bytes();
        match &self.class {
            None => file.to_vec(),
            Some(class) => [class.as_bytes(), b"/", file].concat(),
        }
    }
}

/// The contents of a folder, without names that begin with a dot.
#[derive(Default)]
struct Contents {
    /// Files with the extension of an image, sorted.
    images: Vec<PathBuf>,
    /// Folders, sorted.
    folders: Vec<PathBuf>,
    /// Everything else, each with a remark for the message (may be empty).
    others: Vec<(PathBuf, &'static str)>,
}

impl Contents {
    fn of(folder: &Path) -> Result<Contents> {
        let cannot = |e| Error::Data(format!("{}: cannot be read: {e}", folder.display()));
        let mut found = Contents::default();
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if entry.file_name().as_encoded_bytes()[0] == b'.' {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(cannot)?;
            // Links that fail for another reason lead to an error when they are read.
            let broken = || fs::read_link(&path).is_ok_and(|to| !path.with_file_name(to).exists());
            let image = path.extension().is_some_and(|ending| {
                ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
            });
            let (directory, file) = match kind.is_symlink().then(|| fs::metadata(&path)) {
                None => (kind.is_dir(), kind.is_file()),
                Some(Ok(meta)) => (meta.is_dir(), meta.is_file()),
                Some(Err(_)) => (false, !broken()),
            };
            match (directory, file, image) {
                (true, ..) => found.folders.push(path),
                (_, true, true) => found.images.push(path),
                (_, true, false) => found.others.push((path, "")),
                _ if kind.is_symlink() => found.others.push((path, " (a broken link)")),
                _ => found.others.push((path, " (not a regular file)")),
            }
        }
        found.images.sort();
        found.folders.sort();
        Ok(found)
    }
}

/// The images of a data set, and their classes.
pub(super) struct Listing {
    /// Images of each split, none of them empty, in the order of class and name.
    pub splits: [Vec<Entry>; 3],
    /// Names of the classes, in order; empty if there are none.
    pub classes: Vec<String>,
}

impl Listing {
    /// Lists the images of `folder`. `tell` receives messages about what is ignored, and about splits that are taken from
    /// the training images. Fails with [`Error::Data`].
    pub fn of(folder: &Path, tell: Tell) -> Result<Listing> {
        let mut ignored = Vec::new();
        let splits = splits(folder, &mut ignored, tell);
        // Also before an error, which may be about images that are missing.
        if !ignored.is_empty() {
            ignored.sort();
            tell(&left_out(folder, &ignored));
        }
        let splits = splits?;
        let classes: BTreeSet<String> =
            splits.iter().flatten().filter_map(|entry| entry.class.clone()).collect();
        Ok(Listing { splits, classes: classes.into_iter().collect() })
    }
}

fn splits(
    folder: &Path,
    ignored: &mut Vec<(PathBuf, &'static str)>,
    tell: Tell,
) -> Result<[Vec<Entry>; 3]> {
    let name = folder.display().to_string();
    if !folder.is_dir() {
        let what = if folder.exists() { "is not a folder" } else { "no such folder" };
        return fault(&name, format!("{what}; {}PATH names a folder of images", super::PREFIX));
    }
    let mut top = Contents::of(folder)?;
    let mut parts = [None, None, None];
    for (part, names) in parts.iter_mut().zip(SPLITS) {
        let is = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            names.iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        let found: Vec<PathBuf> = top.folders.extract_if(.., |path| is(path)).collect();
        if let [first, second, ..] = &found[..] {
            let (first, second) = (first.display(), second.display());
            return fault(&name, format!("has both {first} and {second}; keep one of them"));
        }
        *part = found.into_iter().next();
    }
    if parts == [None, None, None] {
        let images = grouped(folder, top, ignored)?;
        return taken(&name, images, (true, true), tell);
    }
    let Contents { images, folders, others } = top;
    ignored.extend(others);
    ignored.extend(images.into_iter().map(|path| (path, "")));
    ignored.extend(folders.into_iter().map(|path| (path, " (a directory)")));
    let mut listed = Vec::new();
    for part in &parts {
        let Some(part) = part else {
            listed.push(None);
            continue;
        };
        let images = grouped(part, Contents::of(part)?, ignored)?;
        if images.is_empty() {
            return fault(
                &part.display().to_string(),
                format!("contains no {IMAGES}; put some there"),
            );
        }
        listed.push(Some(images));
    }
    let [train, valid, test] = <[_; 3]>::try_from(listed).expect("three splits");
    let Some(train) = train else {
        return fault(
            &name,
            "has no folder \"train\"; it needs that folder, and may have valid (or val) and test, \
             or images directly in it",
        );
    };
    let missing = (valid.is_none(), test.is_none());
    let [train, new_valid, new_test] = taken(&name, train, missing, tell)?;
    for (missing, split) in [(missing.0, "valid"), (missing.1, "test")] {
        if missing {
            tell(&format!(
                "{name} has no folder {split}: a tenth of the images of train, chosen by their names, is the \
                 {split} split"
            ));
        }
    }
    Ok([train, valid.unwrap_or(new_valid), test.unwrap_or(new_test)])
}

/// Divides `images` into the splits. Validation and test images are taken from them if the flags are set.
fn taken(
    name: &str,
    images: Vec<Entry>,
    (valid, test): (bool, bool),
    tell: Tell,
) -> Result<[Vec<Entry>; 3]> {
    let (count, least) = (images.len(), split::least(valid, test));
    if count < least {
        let splits = match (valid, test) {
            (true, true) => "train, valid and test",
            (true, false) => "train and valid",
            _ => "train and test",
        };
        return fault(
            name,
            format!(
                "too few {IMAGES} for {splits}: {count}; put at least {least} there, or folders of these names with \
                 images in them"
            ),
        );
    }
    let names: Vec<Vec<u8>> = images.iter().map(Entry::name).collect();
    let of = split::cut(&names, (valid, test), &name, tell);
    let mut splits = [Vec::new(), Vec::new(), Vec::new()];
    for (entry, split) in images.into_iter().zip(of) {
        splits[usize::from(split)].push(entry);
    }
    Ok(splits)
}

/// The images directly in `folder`, or those in its subfolders, which are then classes, whichever are more.
fn grouped(
    folder: &Path,
    contents: Contents,
    ignored: &mut Vec<(PathBuf, &'static str)>,
) -> Result<Vec<Entry>> {
    let Contents { images, folders, others } = contents;
    ignored.extend(others);
    let inner: Vec<Contents> = folders.iter().map(|f| Contents::of(f)).collect::<Result<_>>()?;
    let below: usize = inner.iter().map(|contents| contents.images.len()).sum();
    if images.len() >= below {
        ignored.extend(folders.into_iter().map(|path| (path, " (a directory)")));
        return Ok(images.into_iter().map(|path| Entry { class: None, path }).collect());
    }
    let mut entries = Vec::new();
    for (path, contents) in folders.into_iter().zip(inner) {
        if contents.images.is_empty() {
            ignored.push((path, " (a directory)"));
            continue;
        }
        let below = path.strip_prefix(folder).unwrap_or(&path);
        let class = Some(below.to_string_lossy().into_owned());
        entries
            .extend(contents.images.into_iter().map(|path| Entry { class: class.clone(), path }));
        ignored.extend(contents.others);
        ignored.extend(contents.folders.into_iter().map(|path| (path, " (a directory)")));
    }
    ignored.extend(images.into_iter().map(|path| (path, " (beside the folders of classes)")));
    entries.sort();
    Ok(entries)
}

/// A message about ignored entries.
fn left_out(folder: &Path, ignored: &[(PathBuf, &'static str)]) -> String {
    let name = |(path, what): &(PathBuf, &str)| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        format!("{}{what}", below.display())
    };
    let mut names: Vec<String> = ignored.iter().take(SHOWN).map(name).collect();
    if ignored.len() > SHOWN {
        names.push(format!("{} more", thousands(ignored.len() - SHOWN)));
    }
    let noun = if ignored.len() == 1 { "entry" } else { "entries" };
    let count = thousands(ignored.len());
    format!("{}: ignored {count} {noun}: {}", folder.display(), names.join(", "))
}
