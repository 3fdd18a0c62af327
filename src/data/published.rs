//! The published data sets: their files, and checks that these are the published ones.
//!
//! A file is accepted if its content equals the published one, byte for byte. `datasets.sh --verify` compares the same
//! sha256 (for gzip data, of the inflated content), so both accept the same files. Without this check, other sets with
//! the sizes of MNIST (there are several) would be read under its name. Hashing adds about a tenth to the time of
//! reading (36 of 400 ms for MNIST, with the processor's SHA instructions). Counts, sizes and labels are checked first,
//! because their errors are more specific.
//!
//! The archives of the full house numbers are not compared here: they have gigabytes, and they are not read again once
//! their pictures have been cut out. Any archive with pictures of the right names is accepted; `--verify` compares the
//! archives too.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{
    Images, Tell, amat, bits, cifar, files, gz, idx, mat5, mnist_valid, shuffled, svhn,
    svhn_cropped, thousands,
};
use crate::error::{Error, Result};
use crate::rng::{self, Key};
use crate::text::{hex, shell_word};

/// Seed of the shuffle of the Frey faces before they are split.
const FREY_SEED: u64 = 0x6672_6579;

/// The archives of house numbers and their numbers of pictures.
pub(super) const SVHN_TRAIN: (&str, usize) = ("train", 33_402);
pub(super) const SVHN_TEST: (&str, usize) = ("test", 13_068);
pub(super) const SVHN_EXTRA: (&str, usize) = ("extra", 202_353);
/// Number of validation images as in DRAW (which leaves 231,054 for training; the paper has 231,053), and our number
/// for the set without the extra images.
pub(super) const SVHN_VALID: usize = 4_701;
pub(super) const SVHN_SMALL_VALID: usize = 1_000;

/// Splits of a set: train, valid, test.
pub(super) type Splits = (Images, Images, Images);

/// A published set.
#[derive(Clone, Copy)]
struct Published {
    /// Its name in `datasets.sh`.
    name: &'static str,
    /// Its usual name.
    title: &'static str,
    /// Its folder in the data folder, ...
    folder: &'static str,
    /// ... and others in which programs keep these files, searched if it has none of them.
    elsewhere: &'static [&'static str],
    /// Files, without the extension `.gz`, and the sha256 of their contents, as in `datasets.sh`.
    sums: &'static [(&'static str, &'static str)],
}

const MNIST: Published = Published {
    name: "mnist",
    title: "MNIST",
    folder: "mnist",
    elsewhere: &["MNIST/raw", "mnist/raw"],
    sums: &[
        (
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ],
};

const BINARIZED_MNIST: Published = Published {
    name: "binarized-mnist",
    title: "binarized MNIST",
    folder: "binarized_mnist",
    elsewhere: &[],
    sums: &[
        (
            "binarized_mnist_train.amat",
            "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
        ),
        ("train.bits", "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906"),
        (
            "binarized_mnist_valid.amat",
            "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
        ),
        ("valid.bits", "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d"),
        (
            "binarized_mnist_test.amat",
            "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
        ),
        ("test.bits", "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2"),
    ],
};

const CIFAR10: Published = Published {
    name: "cifar10",
    title: "CIFAR-10",
    folder: "cifar10",
    elsewhere: &[],
    sums: &[
        ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ],
};

const FREY: Published = Published {
    name: "frey",
    title: "Frey face",
    folder: "freyface",
    elsewhere: &[],
    sums: &[(
        "frey_rawface.mat",
        "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64",
    )],
};

const SVHN_CROPPED: Published = Published {
    name: "svhn-cropped",
    title: "SVHN (cropped)",
    folder: "svhn_cropped",
    elsewhere: &[],
    sums: &[
        ("train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        ("test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
    ],
};

/// A limit for the length of a file.
enum Length {
    /// At most this number of bytes.
    AtMost(u64),
    /// The content has this length, and may be gzipped.
    Content(usize),
}

impl Published {
    /// Finds the first of `names` that exists, reads and parses it, and compares its content with the published one.
    /// `look` checks the file cheaply first, to recognise other data sets by their sizes.
    fn load<T>(
        &self,
        dir: &Path,
        names: &[String],
        length: Length,
        look: impl FnOnce(&Path, &str) -> Result<()>,
        parse: impl FnOnce(&[u8], &str) -> Result<T>,
    ) -> Result<T> {
        let path = self.find(dir, names)?;
        let name = path.display().to_string();
        let read = || -> Result<T> {
            look(&path, &name)?;
            let (bytes, total) = match length {
                Length::AtMost(most) => (files::read(&path, most)?, None),
                // Allow for poor compression and for zeros at the end.
                Length::Content(total) => (files::read(&path, 2 * total as u64)?, Some(total)),
            };
            let content = match total {
                Some(total) if gz::is_gzip(&bytes) => {
                    Cow::Owned(gz::gunzip(&bytes, &name, 0, |_| Ok(total))?)
                }
                _ => Cow::Borrowed(&bytes[..]),
            };
            let parsed = parse(&content, &name)?;
            self.compare(&path, &content, &name)?;
            Ok(parsed)
        };
        read().map_err(|e| self.replaced(e, dir, &path))
    }

    /// The first of `names` that exists in the set's folder, or else in one of the other folders.
    fn find(&self, dir: &Path, names: &[String]) -> Result<PathBuf> {
        let find = |folder: &&str| files::find(dir, folder, names, self.name).ok();
        match files::find(dir, self.folder, names, self.name) {
            Ok(path) => Ok(path),
            Err(e) => self.elsewhere.iter().find_map(find).ok_or(e),
        }
    }

    /// An error about the file at `path`, and what to do.
    fn replaced(&self, e: Error, dir: &Path, path: &Path) -> Error {
        let message = e.to_string();
        let other = [ANOTHER, DIFFERENT].iter().any(|part| message.contains(part));
        let own = match path.parent().filter(|_| self.name == MNIST.name && other) {
            Some(at) => {
                let at = shell_word(&at.display().to_string());
                format!("{message}; to train on these files: --data idx:{at}")
            }
            None => message,
        };
        // The script knows the usual names only.
        match path.parent() == Some(&dir.join(self.folder)) && !is_dotted(path) {
            true => replaced(Error::Data(own), dir, self.name),
            false => {
                let get = files::get(dir, self.name);
                Error::Data(format!("{own}; to download the published one: {get}"))
            }
        }
    }

    /// An IDX file of `things`, whose header declares `dims`.
    fn load_idx<T, const RANK: usize>(
        &self,
        dir: &Path,
        stem: &str,
        (things, dims): (&str, [usize; RANK]),
        parse: impl FnOnce(&[u8], &str) -> Result<T>,
    ) -> Result<T> {
        let dotted = stem.replace("-idx", ".idx");
        let names = [format!("{stem}.gz"), stem.to_string(), format!("{dotted}.gz"), dotted];
        let header = 4 + 4 * RANK;
        let look = |path: &Path, name: &str| match idx::declared::<RANK>(&files::head(path, header))
        {
            Some(found) => self.count(name, things, &found, &dims),
            None => Ok(()),
        };
        let total = header + dims.iter().product::<usize>();
        self.load(dir, &names, Length::Content(total), look, parse)
    }

    /// Checks that `content` is the published content of the file at `path`.
    fn compare(&self, path: &Path, content: &[u8], name: &str) -> Result<()> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = file.strip_suffix(".gz").unwrap_or(&file).replace(".idx", "-idx");
        let Some((_, published)) = self.sums.iter().find(|(of, _)| *of == stem) else {
            return Ok(());
        };
        let sum = hex(&Sha256::digest(content));
        if sum == *published {
            return Ok(());
        }
        let title = self.title;
        let what = format!(
            "{DIFFERENT} {title} (sha256 {}..., expected {}...)",
            &sum[..16],
            &published[..16]
        );
        files::fault(name, what)
    }

    /// Checks that the number and size of the `things` in a file match its part of the set; `found` is [N] or [N, H,
    /// W].
    fn count(&self, name: &str, things: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let size = |dims: &[usize]| match dims {
            [_, height, width] => format!(" of {height} x {width}"),
            _ => String::new(),
        };
        let own = if size(found) == size(expected) { String::new() } else { size(expected) };
        let what = format!(
            "contains {} {things}{}, but {} has {}{own}: {ANOTHER}",
            thousands(found[0]),
            size(found),
            self.title,
            thousands(expected[0])
        );
        files::fault(name, what)
    }
}

/// Whether the name of an IDX file has a dot: images.idx3-ubyte for images-idx3-ubyte.
fn is_dotted(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".idx"))
}

/// An error about a file of a set, and what to do.
fn replaced(e: Error, dir: &Path, set: &str) -> Error {
    let [verify, get] = files::commands(dir, set);
    Error::Data(format!(
        "{e}; to check the file: {verify}; to move it aside and download the published one: {get}"
    ))
}

/// The end of an error about files of another data set.
const ANOTHER: &str = "this is another data set";

/// The beginning of an error about another content.
const DIFFERENT: &str = "its content is not that of";

/// Moves the last `valid` training images to the validation split.
pub(super) fn held_out(train: Images, valid: usize, test: Images) -> Result<Splits> {
    let cut = train.count - valid;
    Ok((train.slice(0..cut), train.slice(cut..train.count), test))
}

pub(super) fn mnist(dir: &Path) -> Result<Splits> {
    mnist_of(&MNIST, dir)
}

fn mnist_of(set: &Published, dir: &Path) -> Result<Splits> {
    let part = |part: &str, count: usize| -> Result<Images> {
        let stem = format!("{part}-labels-idx1-ubyte");
        let labels = set.load_idx(dir, &stem, ("labels", [count]), |bytes, name| {
            let labels = idx::parse_labels(bytes, name)?;
            match labels.iter().position(|&label| label > 9) {
                Some(i) => files::fault(name, format!("label {i} is {}, above 9", labels[i])),
                None => Ok(labels),
            }
        })?;
        let stem = format!("{part}-images-idx3-ubyte");
        let mut images =
            set.load_idx(dir, &stem, ("images", [count, 28, 28]), idx::parse_images)?;
        images.labels = Some(labels);
        Ok(images)
    };
    let test = part("t10k", 10_000)?;
    Ok(mnist_valid::split(part("train", 60_000)?, test))
}

pub(super) fn binarized_mnist(dir: &Path) -> Result<Splits> {
    let set = &BINARIZED_MNIST;
    let split = |split: &str, count: usize| {
        let names = [format!("binarized_mnist_{split}.amat"), format!("{split}.bits")];
        // Text with a digit and a separator per pixel and at most one carriage return per line.
        let limit = Length::AtMost((2 * 28 * 28 + 1) * count as u64);
        set.load(
            dir,
            &names,
            limit,
            |_, _| Ok(()),
            |bytes, name| {
                let packed = name.ends_with(".bits");
                let images =
                    if packed { bits::parse(bytes, name)? } else { amat::parse(bytes, name)? };
                set.count(name, "images", &[images.count], &[count])?;
                Ok(images)
            },
        )
    };
    Ok((split("train", 50_000)?, split("valid", 10_000)?, split("test", 10_000)?))
}

pub(super) fn frey(dir: &Path) -> Result<Splits> {
    let names = ["frey_rawface.mat".to_string()];
    let parse = |bytes: &[u8], name: &str| {
        let array = mat5::parse(bytes, name, "ff")?;
        if array.dims != [560, 1965] {
            let dims = array.dims;
            return files::fault(name, format!("array \"ff\" is {dims:?}, expected [560, 1965]"));
        }
        // Column-major: image after image, each row-major.
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
    };
    let images = FREY.load(dir, &names, Length::AtMost(1 << 22), |_, _| Ok(()), parse)?;
    let order = shuffled(images.count, Key::new(FREY_SEED, rng::stream::SPLIT, 0));
    let part = |range: std::ops::Range<usize>| images.select(&order[range]);
    Ok((part(0..1565), part(1565..1765), part(1765..1965)))
}

/// The first `batches` training files of CIFAR-10, with the last `valid` of their images held out.
pub(super) fn cifar10(dir: &Path, batches: usize, valid: usize) -> Result<Splits> {
    cifar10_of(&CIFAR10, dir, batches, valid)
}

fn cifar10_of(set: &Published, dir: &Path, batches: usize, valid: usize) -> Result<Splits> {
    let batch = |stem: &str| {
        let names = [format!("{stem}.bin"), format!("{stem}.bin.gz")];
        let length = Length::Content(cifar::BATCH * cifar::RECORD);
        let parse = |bytes: &[u8], name: &str| cifar::parse(bytes, name, cifar::BATCH);
        set.load(dir, &names, length, not_cifar100, parse)
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

/// Bytes of a record of CIFAR-100: two labels and the pixels.
const RECORD_100: u64 = cifar::RECORD as u64 + 1;

fn not_cifar100(path: &Path, name: &str) -> Result<()> {
    match files::content_length(path) {
        Some(n) if n > 0 && n % RECORD_100 == 0 && n % cifar::RECORD as u64 != 0 => {
            let count = thousands((n / RECORD_100) as usize);
            let records = format!("{count} records of {} bytes", thousands(RECORD_100 as usize));
            files::fault(name, format!("this is CIFAR-100 ({records}), cifar10 is expected"))
        }
        _ => Ok(()),
    }
}

pub(super) fn svhn_cropped(dir: &Path) -> Result<Splits> {
    let part = |part: &str, count: usize| {
        let names = [format!("{part}_32x32.mat")];
        let parse = |bytes: &[u8], name: &str| {
            let images = svhn_cropped::parse(bytes, name)?;
            SVHN_CROPPED.count(name, "images", &[images.count], &[count])?;
            Ok(images)
        };
        SVHN_CROPPED.load(dir, &names, Length::AtMost(1 << 28), |_, _| Ok(()), parse)
    };
    let test = part("test", 26_032)?;
    held_out(part("train", 73_257)?, 5_000, test)
}

/// The path of an archive of house numbers, or of the images prepared from it.
pub(super) fn house_number_file(dir: &Path, set: &str, part: &str) -> Result<PathBuf> {
    files::find(dir, "svhn", &[format!("{part}.tar.gz"), format!("{part}-64.bin")], set)
}

pub(super) fn house_numbers(
    dir: &Path,
    set: &str,
    parts: &[(&str, usize)],
    valid: usize,
    tell: Tell,
) -> Result<Splits> {
    // Report a missing file before spending minutes on the others.
    for (part, _) in parts.iter().chain([&SVHN_TEST]) {
        house_number_file(dir, set, part)?;
    }
    let folder = dir.join("svhn");
    let advised = |e| replaced(e, dir, set);
    let test = svhn::testing(&folder, SVHN_TEST.0, SVHN_TEST.1, tell).map_err(advised)?;
    let (train, valid) = svhn::learning(&folder, parts, valid, tell).map_err(advised)?;
    Ok((train, valid, test))
}
