//! The named data sets: their files, their splits, the binarizations that fit them.
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
//! | folder:PATH      | 80%     | 10%    | 10%    | any         | none, PNG images (`folder.rs`)       |
//! | first-N:NAME     | N       | N      | N      | of NAME     | those of NAME                        |
//!
//! The last are the first N training images of another set in every split, scenes made once: a model must
//! be able to overfit them, and its figures on them say nothing else.
//!
//! Two digits, or one in clutter, are made when a batch is filled, anew in every epoch (`scene.rs`),
//! out of the digits of the same split. An epoch shows every digit once as the first, or whole, one.
//!
//! The validation images of mnist are those of binarized-mnist (`mnist_valid.rs`). Those of digits, the CIFAR sets and svhn-cropped are the last of the training
//! files. (Neighbours in svhn-cropped are digits of one house number: a shuffle would part them.)
//! Those of svhn are chosen among all but the test images, under a seed of its own. DRAW had, as far as
//! we remember, 231,053 and 4,701, one fewer than there are: here that one is for training.
//! svhn takes 3 GB of memory (when it is prepared, twice as much), svhn-small, which does without the
//! extra images, a seventh of that.
//! Frey face is a video whose neighbours are almost alike, so it is shuffled before it is cut, under
//! a seed of its own: the splits are the same in every run.

use std::path::Path;

use super::Binarization::{self, Dynamic, Fixed, Grey, Threshold};
use super::published::{
    self, SVHN_EXTRA, SVHN_SMALL_VALID, SVHN_TEST, SVHN_TRAIN, SVHN_VALID, Splits, held_out,
};
use super::scene::{Scene, SceneKind};
use super::{DataSet, EVALUATION_SEED, Images, Tell, digits, folder, svhn, thousands};
use crate::error::{Error, Result};

struct Set {
    name: &'static str,
    title: &'static str,
    /// The binarizations that fit; the first is the default.
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

/// The names [`open`] knows, beside `folder:PATH`.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|set| set.name)
}

/// Counts and size of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Images for training, validation and test.
    pub counts: [usize; 3],
    /// Height, width and channels of an image.
    pub shape: [usize; 3],
}

/// Counts and size of the set `name`, which is opened to find out; of the full house numbers, which are
/// gigabytes, it is only looked whether their files are there. Fails as [`open`] does.
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

/// How a set is called in a report.
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

/// Before the number in the name of a set of first images.
const FIRST: &str = "first-";

/// The name of the set of the first `count` training images of `name`, in every split. The first ones of
/// `first-N:NAME` are those of NAME.
pub fn first(count: usize, name: &str) -> String {
    let of = parse_first(name).map_or(name, |(_, of)| of);
    format!("{FIRST}{count}:{of}")
}

/// Count and name of `first-COUNT:NAME`.
fn parse_first(name: &str) -> Option<(usize, &str)> {
    let (count, of) = name.strip_prefix(FIRST)?.split_once(':')?;
    Some((count.parse().ok().filter(|count| *count > 0)?, of))
}

/// The first `count` training images of `set` in every split, as an evaluation sees them.
fn firsts(name: &str, count: usize, set: DataSet) -> Result<DataSet> {
    if count > set.train.count {
        return Err(Error::Config(format!(
            "data set {name}: {} has {} training images; ask for as many or fewer",
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

/// Opens the data set `name` with a binarization, or with the set's own for `None`.
///
/// `dir` is the folder that `datasets.sh` fills; the content of its files must be the published one. The
/// name `folder:PATH` means the PNG images in the folder PATH, wherever `dir` is: in its folders `train`,
/// `valid` and `test`, or directly in it, where each image's name decides on its split (80/10/10). The
/// name `first-N:NAME` means the first N training images of the set NAME, which is none of these itself,
/// the same in every split. Fails with [`Error::Config`] on an unknown name or a binarization
/// that does not fit the set, with [`Error::Data`] on a missing or damaged file, or one of another set.
pub fn open(name: &str, binarization: Option<Binarization>, dir: &Path) -> Result<DataSet> {
    open_with(name, binarization, dir, &|_| ())
}

/// As [`open`], and `tell` receives lines about what takes long.
pub fn open_with(
    name: &str,
    binarization: Option<Binarization>,
    dir: &Path,
    tell: Tell,
) -> Result<DataSet> {
    if let Some((count, of)) = parse_first(name) {
        if parse_first(of).is_some() {
            return Err(Error::Config(format!(
                "data set \"{FIRST}{count}:{FIRST}...\": the set of which these are the first images \
                 cannot be such a set itself; write {FIRST}{count}:NAME with the name of a whole set"
            )));
        }
        return firsts(name, count, open_with(of, binarization, dir, tell)?);
    }
    if let Some(path) = name.strip_prefix(folder::PREFIX) {
        return folder::open(name, path, binarization, tell);
    }
    let Some(set) = SETS.iter().find(|set| set.name == name) else {
        let known: Vec<&str> = names().collect();
        return Err(Error::Config(format!(
            "unknown data set \"{name}\"; there are {}, and folder:PATH for images of your own; \
             `pixelloom data` says what they are",
            known.join(", ")
        )));
    };
    let binarization = fitting(name, set.modes, binarization)?;
    let (train, valid, test) = (set.read)(dir, tell)?;
    Ok(DataSet { name: name.to_string(), binarization, train, valid, test })
}

/// The binarization that was asked for if it is one of `modes`, the first of these for `None`.
pub(super) fn fitting(
    name: &str,
    modes: &[Binarization],
    asked: Option<Binarization>,
) -> Result<Binarization> {
    let binarization = asked.unwrap_or(modes[0]);
    if !modes.contains(&binarization) {
        let modes: Vec<String> = modes.iter().map(ToString::to_string).collect();
        return Err(Error::Config(format!(
            "data set {name} takes no {binarization} binarization; it takes {}",
            modes.join(", ")
        )));
    }
    Ok(binarization)
}

fn embedded() -> Result<Splits> {
    held_out(digits::train()?, 500, digits::test()?)
}

/// Square scenes of `side` rows, made of the digits of the same split. Two digits have no one label.
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
