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
//! be able to learn them by heart, and its figures on them say nothing else.
//!
//! Two digits, or one in clutter, are made when a batch is filled, anew in every epoch (`scene.rs`),
//! out of the digits of the same split. An epoch shows every digit once as the first, or whole, one.
//!
//! The validation images of digits, mnist, the CIFAR sets and svhn-cropped are the last of the training
//! files. (Neighbours in svhn-cropped are digits of one house number: a shuffle would part them.)
//! Those of svhn are chosen among all but the test images, under a seed of its own. DRAW had, as far as
//! we remember, 231,053 and 4,701, one fewer than there are: here that one is for training.
//! svhn takes 3 GB of memory (when it is prepared, twice as much), svhn-small, which does without the
//! extra images, a seventh of that.
//! Frey face is a video whose neighbours are almost alike, so it is shuffled before it is cut, under
//! a seed of its own: the splits are the same in every run.

use std::path::{Path, PathBuf};

use super::Binarization::{self, Dynamic, Fixed, Grey, Threshold};
use super::scene::{Kind, Scene};
use super::{
    DataSet, EVALUATION_SEED, Images, Tell, amat, bits, cifar, digits, files, folder, idx, mat5,
    shuffled, svhn, svhn_cropped, thousands,
};
use crate::error::{Error, Result};
use crate::rng::{self, Key};

/// Orders the Frey faces before they are split.
const FREY_SEED: u64 = 0x6672_6579;

/// The archives of house numbers and how many pictures they hold.
const SVHN_TRAIN: (&str, usize) = ("train", 33_402);
const SVHN_TEST: (&str, usize) = ("test", 13_068);
const SVHN_EXTRA: (&str, usize) = ("extra", 202_353);
/// Validation images of DRAW (which leaves 231,054 to train on; the paper has 231,053), and ours of
/// those without the extra ones.
const SVHN_VALID: usize = 4_701;
const SVHN_SMALL_VALID: usize = 1_000;

/// Splits of a set: train, valid, test.
type Splits = (Images, Images, Images);

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
        read: |dir, _| mnist(dir),
    },
    Set {
        name: "binarized-mnist",
        title: "binarized-mnist (Larochelle & Murray)",
        modes: &[Fixed],
        read: |dir, _| binarized_mnist(dir),
    },
    Set { name: "frey", title: "frey (Frey face)", modes: &[Grey], read: |dir, _| frey(dir) },
    Set {
        name: "cifar10",
        title: "cifar10 (CIFAR-10)",
        modes: &[Grey],
        read: |dir, _| cifar10(dir, 5, 5_000),
    },
    Set {
        name: "cifar10-batch1",
        title: "cifar10-batch1 (CIFAR-10, data_batch_1 only)",
        modes: &[Grey],
        read: |dir, _| cifar10(dir, 1, 1_000),
    },
    Set {
        name: "svhn",
        title: "svhn (Street View House Numbers, 54 x 54 crops)",
        modes: &[Grey],
        read: |dir, tell| house_numbers(dir, "svhn", &[SVHN_TRAIN, SVHN_EXTRA], SVHN_VALID, tell),
    },
    Set {
        name: "svhn-small",
        title: "svhn-small (Street View House Numbers without the extra ones, 54 x 54 crops)",
        modes: &[Grey],
        read: |dir, tell| house_numbers(dir, "svhn-small", &[SVHN_TRAIN], SVHN_SMALL_VALID, tell),
    },
    Set {
        name: "svhn-cropped",
        title: "svhn-cropped (Street View House Numbers, cropped digits)",
        modes: &[Grey],
        read: |dir, _| svhn_cropped(dir),
    },
    Set {
        name: "two-digits",
        title: "two-digits (two of the embedded MNIST digits on 60 x 60)",
        modes: &[Dynamic, Grey, Threshold],
        read: |_, _| Ok(made(embedded()?, Kind::Two, 60)),
    },
    Set {
        name: "cluttered-digits",
        title: "cluttered-digits (one of the embedded MNIST digits in clutter on 100 x 100)",
        modes: &[Grey, Dynamic, Threshold],
        read: |_, _| Ok(made(embedded()?, Kind::Cluttered, 100)),
    },
    Set {
        name: "two-mnist",
        title: "two-mnist (two MNIST digits on 60 x 60)",
        modes: &[Dynamic, Grey, Threshold],
        read: |dir, _| Ok(made(mnist(dir)?, Kind::Two, 60)),
    },
    Set {
        name: "cluttered-mnist",
        title: "cluttered-mnist (an MNIST digit in clutter on 100 x 100)",
        modes: &[Grey, Dynamic, Threshold],
        read: |dir, _| Ok(made(mnist(dir)?, Kind::Cluttered, 100)),
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
        house_number_file(dir, name, part)?;
    }
    let valid = if name == "svhn" { SVHN_VALID } else { SVHN_SMALL_VALID };
    let learning: usize = parts.iter().map(|(_, count)| count).sum::<usize>() - SVHN_TEST.1;
    let counts = [learning - valid, valid, SVHN_TEST.1];
    Ok(Outline { counts, shape: [svhn::CROP, svhn::CROP, 3] })
}

/// How a set is called in a report.
pub(super) fn title(name: &str) -> String {
    if let Some((count, of)) = parse_first(name) {
        let count = thousands(count);
        return format!(
            "{name} (the first {count} training images of {} as every split)",
            title(of)
        );
    }
    SETS.iter().find(|set| set.name == name).map_or(name, |set| set.title).to_string()
}

/// Before the number in the name of a set of first images.
const FIRST: &str = "first-";

/// The name of the set of the first `count` training images of `name`, in every split.
pub fn first(count: usize, name: &str) -> String {
    format!("{FIRST}{count}:{name}")
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
/// `dir` is the folder that `datasets.sh` fills. The name `folder:PATH` means the PNG images in the
/// folder PATH, wherever `dir` is: in its folders `train`, `valid` and `test`, or directly in it,
/// where they are shuffled and cut. The name `first-N:NAME` means the first N training images of the set
/// NAME, the same in every split. Fails with [`Error::Config`] on an unknown name or a binarization
/// that does not fit the set, with [`Error::Data`] on a missing or damaged file.
pub fn open(name: &str, binarization: Option<Binarization>, dir: &Path) -> Result<DataSet> {
    open_with(name, binarization, dir, &|_| ())
}

/// As [`open`], and `tell` is told what takes long.
pub fn open_with(
    name: &str,
    binarization: Option<Binarization>,
    dir: &Path,
    tell: Tell,
) -> Result<DataSet> {
    if let Some((count, of)) = parse_first(name) {
        return firsts(name, count, open_with(of, binarization, dir, tell)?);
    }
    if let Some(path) = name.strip_prefix(folder::PREFIX) {
        return folder::open(name, path, binarization);
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

/// Cuts the last `valid` images off the training images.
fn held_out(train: Images, valid: usize, test: Images) -> Result<Splits> {
    let cut = train.count - valid;
    Ok((train.slice(0..cut), train.slice(cut..train.count), test))
}

/// Finds, reads and parses one file of a set; an error about its content says how to replace it.
fn load<T>(
    dir: &Path,
    folder: &str,
    names: &[String],
    set: &str,
    limit: u64,
    parse: impl FnOnce(&[u8], &str) -> Result<T>,
) -> Result<T> {
    let path = files::find(dir, folder, names, set)?;
    let parsed =
        files::read(&path, limit).and_then(|bytes| parse(&bytes, &path.display().to_string()));
    parsed.map_err(|e| Error::Data(format!("{e}; remove it and run `{}`", files::get(dir, set))))
}

/// That a file holds as many images of a size as its set has.
fn check(images: Images, name: &str, count: usize, height: usize, width: usize) -> Result<Images> {
    let (n, h, w) = (images.count, images.height, images.width);
    if (n, h, w) != (count, height, width) {
        return files::fault(
            name,
            format!("holds {n} images of {h} x {w}, expected {count} of {height} x {width}"),
        );
    }
    Ok(images)
}

fn embedded() -> Result<Splits> {
    held_out(digits::train()?, 500, digits::test()?)
}

/// Square scenes of `side` rows, made of the digits of the same split. Two digits have no one label.
fn made((train, valid, test): Splits, kind: Kind, side: usize) -> Splits {
    let made = |digits: Images| Images {
        scene: Some(Scene { kind, height: digits.height, width: digits.width }),
        labels: if kind == Kind::Two { None } else { digits.labels },
        height: side,
        width: side,
        ..digits
    };
    (made(train), made(valid), made(test))
}

fn mnist(dir: &Path) -> Result<Splits> {
    let labelled = |stem: &str, count: usize| -> Result<Images> {
        let names = |kind: &str| [format!("{stem}-{kind}.gz"), format!("{stem}-{kind}")];
        let limit = 16 + 28 * 28 * count as u64;
        let labels =
            load(dir, "mnist", &names("labels-idx1-ubyte"), "mnist", limit, |bytes, name| {
                let labels = idx::parse_labels(bytes, name)?;
                if labels.len() != count {
                    let found = labels.len();
                    return files::fault(name, format!("holds {found} labels, expected {count}"));
                }
                match labels.iter().position(|&label| label > 9) {
                    Some(i) => files::fault(name, format!("label {i} is {}, above 9", labels[i])),
                    None => Ok(labels),
                }
            })?;
        let mut images =
            load(dir, "mnist", &names("images-idx3-ubyte"), "mnist", limit, |bytes, name| {
                check(idx::parse_images(bytes, name)?, name, count, 28, 28)
            })?;
        images.labels = Some(labels);
        Ok(images)
    };
    let test = labelled("t10k", 10_000)?;
    held_out(labelled("train", 60_000)?, 10_000, test)
}

fn binarized_mnist(dir: &Path) -> Result<Splits> {
    let split = |split: &str, count: usize| {
        let names = [format!("binarized_mnist_{split}.amat"), format!("{split}.bits")];
        // Text: a digit and a separator a pixel, and a carriage return a line at most.
        let limit = (2 * 28 * 28 + 1) * count as u64;
        load(dir, "binarized_mnist", &names, "binarized-mnist", limit, |bytes, name| {
            let images = if !name.ends_with(".bits") {
                amat::parse(bytes, name)?
            } else if bytes.len() == count * bits::IMAGE_BYTES {
                bits::parse(bytes, name)?
            } else {
                let (n, expected) = (bytes.len(), count * bits::IMAGE_BYTES);
                return files::fault(name, format!("has {n} bytes, expected {expected}"));
            };
            check(images, name, count, 28, 28)
        })
    };
    Ok((split("train", 50_000)?, split("valid", 10_000)?, split("test", 10_000)?))
}

fn frey(dir: &Path) -> Result<Splits> {
    let names = ["frey_rawface.mat".to_string()];
    let images = load(dir, "freyface", &names, "frey", 1 << 22, |bytes, name| {
        let array = mat5::parse(bytes, name, "ff")?;
        if array.dims != [560, 1965] {
            let dims = array.dims;
            return files::fault(name, format!("array \"ff\" is {dims:?}, expected [560, 1965]"));
        }
        // Column by column: image after image, each row-major.
        Ok(Images {
            pixels: array.data.into(),
            labels: None,
            count: 1965,
            height: 28,
            width: 20,
            channels: 1,
            max: 255,
            scene: None,
        })
    })?;
    let order = shuffled(images.count, Key::new(FREY_SEED, rng::stream::SPLIT, 0));
    let part = |range: std::ops::Range<usize>| images.select(&order[range]);
    Ok((part(0..1565), part(1565..1765), part(1765..1965)))
}

/// The first `batches` training files of CIFAR-10, of whose images the last `valid` are held out.
fn cifar10(dir: &Path, batches: usize, valid: usize) -> Result<Splits> {
    let limit = (cifar::BATCH * cifar::RECORD) as u64;
    let batch = |stem: &str| {
        let names = [format!("{stem}.bin"), format!("{stem}.bin.gz")];
        load(dir, "cifar10", &names, "cifar10", limit, |bytes, name| {
            cifar::parse(bytes, name, cifar::BATCH)
        })
    };
    let test = batch("test_batch")?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for i in 1..=batches {
        let images = batch(&format!("data_batch_{i}"))?;
        pixels.extend_from_slice(&images.pixels);
        labels.extend(images.labels.unwrap_or_default());
    }
    let train =
        Images { pixels: pixels.into(), count: labels.len(), labels: Some(labels), ..test.clone() };
    held_out(train, valid, test)
}

fn svhn_cropped(dir: &Path) -> Result<Splits> {
    let part = |part: &str, count: usize| {
        let names = [format!("{part}_32x32.mat")];
        load(dir, "svhn_cropped", &names, "svhn-cropped", 1 << 28, |bytes, name| {
            check(svhn_cropped::parse(bytes, name)?, name, count, 32, 32)
        })
    };
    let test = part("test", 26_032)?;
    held_out(part("train", 73_257)?, 5_000, test)
}

/// An archive of house numbers, or what was prepared of it.
fn house_number_file(dir: &Path, set: &str, part: &str) -> Result<PathBuf> {
    files::find(dir, "svhn", &[format!("{part}.tar.gz"), format!("{part}-64.bin")], set)
}

fn house_numbers(
    dir: &Path,
    set: &str,
    parts: &[(&str, usize)],
    valid: usize,
    tell: Tell,
) -> Result<Splits> {
    // What is missing is said before minutes go into what is there.
    for (part, _) in parts.iter().chain([&SVHN_TEST]) {
        house_number_file(dir, set, part)?;
    }
    let folder = dir.join("svhn");
    let replaced =
        |e| Error::Data(format!("{e}; remove the file and run `{}`", files::get(dir, set)));
    let test = svhn::testing(&folder, SVHN_TEST.0, SVHN_TEST.1, tell).map_err(replaced)?;
    let (train, valid) = svhn::learning(&folder, parts, valid, tell).map_err(replaced)?;
    Ok((train, valid, test))
}
