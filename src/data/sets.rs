//! The named data sets: their files, splits and supported binarizations.
//!
//! | name             | train   | valid  | test   | image       | files below the data folder          |
//! | ---------------- | ------- | ------ | ------ | ----------- | ------------------------------------ |
//! | digits           | 4,500   | 500    | 1,000  | 28 x 28     | none, inside the program             |
//! | mnist            | 50,000  | 10,000 | 10,000 | 28 x 28     | mnist/{train,t10k}-*-ubyte[.gz]      |
//! | binarized-mnist  | 50,000  | 10,000 | 10,000 | 28 x 28     | binarized_mnist/*{split}.{amat,bits} |
//! | frey             | 1,565   | 200    | 200    | 28 x 20     | freyface/frey_rawface.mat            |
//! | cifar10          | 45,000  | 5,000  | 10,000 | 32 x 32 x 3 | cifar10/{data,test}_batch*.bin[.gz]  |
//! | cifar10-batch1   | 9,000   | 1,000  | 10,000 | 32 x 32 x 3 | the same, of data only data_batch_1  |
//! | svhn             | 231,054 | 4,701  | 13,068 | 54 x 54 x 3 | svhn/{train,extra,test}.tar.gz       |
//! | svhn-small       | 32,402  | 1,000  | 13,068 | 54 x 54 x 3 | svhn/{train,test}.tar.gz             |
//! | svhn-cropped     | 68,257  | 5,000  | 26,032 | 32 x 32 x 3 | svhn_cropped/{train,test}_32x32.mat  |
//! | two-digits       | 4,500   | 500    | 1,000  | 60 x 60     | none, made of digits                 |
//! | cluttered-digits | 4,500   | 500    | 1,000  | 100 x 100   | none, made of digits                 |
//! | two-mnist        | 50,000  | 10,000 | 10,000 | 60 x 60     | those of mnist                       |
//! | cluttered-mnist  | 50,000  | 10,000 | 10,000 | 100 x 100   | those of mnist                       |
//! | folder:PATH      | 80%     | 10%    | 10%    | any         | none, PNG or JPEG (`folder.rs`)      |
//! | idx:PATH         | any     | any    | any    | any         | those of `own_idx.rs`                |
//! | first-N:NAME     | N       | N      | N      | of NAME     | those of NAME                        |
//!
//! The files of mnist are also found in MNIST/raw, and as train-images.idx3-ubyte.
//!
//! `first-N:NAME` uses the first N training images of another set in every split, with scenes composed once. A model
//! must be able to overfit them; its scores on them have no other meaning. Images of two digits, or of one in clutter,
//! are composed when a batch is filled, differently in every epoch (`scene.rs`), from the digits of the same split. In
//! an epoch, every digit is once the first, or whole, digit. The validation images of mnist are those of
//! binarized-mnist (`mnist_valid.rs`). Those of digits, the CIFAR sets and svhn-cropped are the last images of the
//! training files. (Neighbours in svhn-cropped are digits of one house number, which a shuffle would separate.) Those
//! of svhn are chosen at random, with a fixed seed, from all images except the test images. DRAW had, as far as we
//! remember, 231,053 and 4,701, one fewer than there are; here that image is for training. svhn takes 3 GB of memory
//! (twice as much while it is prepared), and svhn-small, without the extra images, a seventh of that. Frey face is a
//! video in which neighbouring frames are almost identical, so it is shuffled, with a fixed seed, before it is split;
//! the splits are the same in every run.

use std::path::Path;

use super::Binarization::{self, Dynamic, Fixed, Grey, Threshold};
use super::published::{
    self, SVHN_EXTRA, SVHN_SMALL_VALID, SVHN_TEST, SVHN_TRAIN, SVHN_VALID, Splits, held_out,
};
use super::scene::{Scene, SceneKind};
use super::{
    DataSet, EVALUATION_SEED, ImageOptions, Images, Split, Tell, digits, folder, own_idx, svhn,
    thousands,
};
use crate::error::{Error, Result};

struct Set {
    name: &'static str,
    title: &'static str,
    /// The supported binarizations; the first is the default.
    modes: &'static [Binarization],
    read: fn(&Path, Tell) -> Result<Splits>,
}

const SETS: [Set; 13] = [
    Set {
        name: "digits",
        title: "digits (embedded MNIST subset)",
        modes: &[Dynamic, Grey, Threshold],
        read: |_, _| embedded(),
    },
    Set {
        name: "mnist",
        title: "mnist",
        modes: &[Dynamic, Grey, Threshold],
        read: |dir, _| published::mnist(dir),
    },
    Set {
        name: "binarized-mnist",
        title: "binarized-mnist (Larochelle & Murray)",
        modes: &[Fixed],
        read: |dir, _| published::binarized_mnist(dir),
    },
    Set {
        name: "frey",
        title: "frey (Frey face)",
        modes: &[Grey],
        read: |dir, _| published::frey(dir),
    },
    Set {
        name: "cifar10",
        title: "cifar10 (CIFAR-10)",
        modes: &[Grey],
        read: |dir, _| published::cifar10(dir, 5, 5_000),
    },
    Set {
        name: "cifar10-batch1",
        title: "cifar10-batch1 (CIFAR-10, data_batch_1 only)",
        modes: &[Grey],
        read: |dir, _| published::cifar10(dir, 1, 1_000),
    },
    Set {
        name: "svhn",
        title: "svhn (Street View House Numbers, 54 x 54 crops)",
        modes: &[Grey],
        read: |dir, tell| {
            published::house_numbers(dir, "svhn", &[SVHN_TRAIN, SVHN_EXTRA], SVHN_VALID, tell)
        },
    },
    Set {
        name: "svhn-small",
        title: "svhn-small (Street View House Numbers without the extra ones, 54 x 54 crops)",
        modes: &[Grey],
        read: |dir, tell| {
            published::house_numbers(dir, "svhn-small", &[SVHN_TRAIN], SVHN_SMALL_VALID, tell)
        },
    },
    Set {
        name: "svhn-cropped",
        title: "svhn-cropped (Street View House Numbers, cropped digits)",
        modes: &[Grey],
        read: |dir, _| published::svhn_cropped(dir),
    },
    Set {
        name: "two-digits",
        title: "two-digits (two of the embedded MNIST digits on 60 x 60)",
        modes: &[Dynamic, Grey, Threshold],
        read: |_, _| Ok(made(embedded()?, SceneKind::Two, 60)),
    },
    Set {
        name: "cluttered-digits",
        title: "cluttered-digits (one of the embedded MNIST digits in clutter on 100 x 100)",
        modes: &[Grey, Dynamic, Threshold],
        read: |_, _| Ok(made(embedded()?, SceneKind::Cluttered, 100)),
    },
    Set {
        name: "two-mnist",
        title: "two-mnist (two MNIST digits on 60 x 60)",
        modes: &[Dynamic, Grey, Threshold],
        read: |dir, _| Ok(made(published::mnist(dir)?, SceneKind::Two, 60)),
    },
    Set {
        name: "cluttered-mnist",
        title: "cluttered-mnist (an MNIST digit in clutter on 100 x 100)",
        modes: &[Grey, Dynamic, Threshold],
        read: |dir, _| Ok(made(published::mnist(dir)?, SceneKind::Cluttered, 100)),
    },
];

/// The names that [`open`] accepts, in addition to `folder:PATH` and `first-N:NAME`.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|set| set.name)
}

/// Whether `name` means the user's own files.
pub fn is_own(name: &str) -> bool {
    name.starts_with(folder::PREFIX) || name.starts_with(own_idx::PREFIX)
}

/// Number and size of a set's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Images for training, validation and test.
    pub counts: [usize; 3],
    /// Height, width and channels of an image.
    pub shape: [usize; 3],
}

/// Number and size of the images of the set `name`. The set is opened, except for the full house numbers, which have
/// gigabytes: for those, only the existence of the files is checked. Fails as [`open`] does.
pub fn outline(name: &str, dir: &Path) -> Result<Outline> {
    let parts: &[(&str, usize)] = match name {
        "svhn" => &[SVHN_TRAIN, SVHN_EXTRA, SVHN_TEST],
        "svhn-small" => &[SVHN_TRAIN, SVHN_TEST],
        _ => {
            let set = open(name, None, dir)?;
            let counts = [set.train.count, set.valid.count, set.test.count];
            let shape = [set.train.height, set.train.width, set.train.channels];
            return Ok(Outline { counts, shape });
        }
    };
    for (part, _) in parts {
        published::house_number_file(dir, name, part)?;
    }
    let valid = if name == "svhn" { SVHN_VALID } else { SVHN_SMALL_VALID };
    let learning: usize = parts.iter().map(|(_, count)| count).sum::<usize>() - SVHN_TEST.1;
    let counts = [learning - valid, valid, SVHN_TEST.1];
    Ok(Outline { counts, shape: [svhn::CROP, svhn::CROP, 3] })
}

/// The name of a set in a report.
pub(super) fn title(name: &str) -> String {
    let own = |name| SETS.iter().find(|set| set.name == name).map_or(name, |set| set.title);
    match parse_first(name) {
        Some((count, of)) => {
            let (count, of) = (thousands(count), own(of));
            format!("{name} (the first {count} training images of {of} as every split)")
        }
        None => own(name).to_string(),
    }
}

/// Prefix of the names of sets of first images; the number follows.
const FIRST: &str = "first-";

/// The name of the set that has the first `count` training images of `name` in every split. For `first-N:NAME`, the
/// images are taken from NAME.
pub fn first(count: usize, name: &str) -> String {
    let of = parse_first(name).map_or(name, |(_, of)| of);
    format!("{FIRST}{count}:{of}")
}

/// Count and name of `first-COUNT:NAME`.
fn parse_first(name: &str) -> Option<(usize, &str)> {
    let (count, of) = name.strip_prefix(FIRST)?.split_once(':')?;
    Some((count.parse().ok().filter(|count| *count > 0)?, of))
}

/// The set with the first `count` training images of `set` in every split, in the form in which they are evaluated.
pub(crate) fn firsts(name: &str, count: usize, set: DataSet) -> Result<DataSet> {
    if count > set.train.count {
        return Err(Error::Config(format!(
            "data set {name}: {} has only {} training images; ask for at most that number",
            set.name, set.train.count
        )));
    }
    let images = &set.train;
    let pixels: Vec<u8> =
        (0..count).flat_map(|i| images.view(i, EVALUATION_SEED, 0).into_owned()).collect();
    let labels = images.labels.as_ref().map(|labels| labels[..count].to_vec());
    let train = Images { pixels: pixels.into(), labels, count, scene: None, ..*images };
    let (valid, test) = (train.clone(), train.clone());
    Ok(DataSet { name: name.into(), train, valid, test, ..set })
}

/// Opens the data set `name` with a binarization; `None` means the default of the set.
///
/// `dir` is the folder that `datasets.sh` fills; the content of its files must be the published one. The name
/// `folder:PATH` means the PNG and JPEG images in the folder PATH, independent of `dir`: in its folders `train`, `valid`
/// and `test`, or directly in it, where each image's name decides its split (80/10/10). `idx:PATH` means the IDX files in the
/// folder PATH. The name `first-N:NAME` means the first N training images of the set NAME, the same in every split; NAME must
/// not be of this form itself. Fails with [`Error::Config`] on an unknown name or an unsupported binarization, and with
/// [`Error::Data`] on a missing or damaged file or one of another set.
pub fn open(name: &str, binarization: Option<Binarization>, dir: &Path) -> Result<DataSet> {
    open_with(name, binarization, ImageOptions::default(), dir, &|_| ())
}

/// Like [`open`], with options for the user's own images; `tell` receives progress messages of slow steps and remarks about
/// what is ignored. Fails with [`Error::Config`] on options that do not apply to the set.
pub fn open_with(
    name: &str,
    binarization: Option<Binarization>,
    options: ImageOptions,
    dir: &Path,
    tell: Tell,
) -> Result<DataSet> {
    options.check()?;
    if let Some((count, of)) = parse_first(name) {
        if parse_first(of).is_some() {
            return Err(Error::Config(format!(
                "data set \"{FIRST}{count}:{FIRST}...\": sets of first images cannot be nested; write \
                 {FIRST}{count}:NAME with the name of a whole set"
            )));
        }
        return firsts(name, count, open_with(of, binarization, options, dir, tell)?);
    }
    if options.size.is_some() && !name.starts_with(folder::PREFIX) {
        return Err(Error::Config(format!(
            "data.size: the size of the images of {name} is fixed; leave out --size, which is for {}PATH",
            folder::PREFIX
        )));
    }
    if options.transpose && !name.starts_with(own_idx::PREFIX) {
        return Err(Error::Config(format!(
            "data.transpose: the images of {name} are stored upright; leave out --transpose, which is for {}PATH",
            own_idx::PREFIX
        )));
    }
    if let Some(path) = name.strip_prefix(folder::PREFIX) {
        return folder::open(name, path, binarization, options, tell);
    }
    if let Some(path) = name.strip_prefix(own_idx::PREFIX) {
        return own_idx::open(name, path, binarization, options, tell);
    }
    let Some(set) = SETS.iter().find(|set| set.name == name) else {
        let known: Vec<&str> = names().collect();
        return Err(Error::Config(format!(
            "unknown data set \"{name}\"; the data sets are {}, and folder:PATH or idx:PATH for your own images; for a \
             description: pixelloom data",
            known.join(", ")
        )));
    };
    let binarization = fitting(name, set.modes, binarization)?;
    let (train, valid, test) = (set.read)(dir, tell)?;
    Ok(DataSet { name: name.to_string(), binarization, classes: Vec::new(), train, valid, test })
}

/// The files of the images of a split of the data set `name`, in their order; `None` unless each image is a file of its
/// own, as in `folder:PATH`, where paths are relative to PATH. Fails with [`Error::Data`].
pub fn files_of(name: &str, split: Split) -> Result<Option<Vec<String>>> {
    if let Some((count, of)) = parse_first(name) {
        let mut files = files_of(of, Split::Train)?;
        files.iter_mut().for_each(|files| files.truncate(count));
        return Ok(files);
    }
    let Some(path) = name.strip_prefix(folder::PREFIX) else { return Ok(None) };
    let [train, valid, test] = folder::files(path)?;
    Ok(Some(match split {
        Split::Train => train,
        Split::Valid => valid,
        Split::Test => test,
    }))
}

/// The requested binarization if it is one of `modes`; for `None`, the first of these.
pub(super) fn fitting(
    name: &str,
    modes: &[Binarization],
    asked: Option<Binarization>,
) -> Result<Binarization> {
    let binarization = asked.unwrap_or(modes[0]);
    if !modes.contains(&binarization) {
        let modes: Vec<String> = modes.iter().map(ToString::to_string).collect();
        return Err(Error::Config(format!(
            "data set {name} does not support {binarization} binarization; choose one of {}",
            modes.join(", ")
        )));
    }
    Ok(binarization)
}

fn embedded() -> Result<Splits> {
    held_out(digits::train()?, 500, digits::test()?)
}

/// Square scenes of `side` rows, composed of the digits of the same split. Two digits have no single label.
fn made((train, valid, test): Splits, kind: SceneKind, side: usize) -> Splits {
    let made = |digits: Images| Images {
        scene: Some(Scene { kind, height: digits.height, width: digits.width }),
        labels: if kind == SceneKind::Two { None } else { digits.labels },
        height: side,
        width: side,
        ..digits
    };
    (made(train), made(valid), made(test))
}
