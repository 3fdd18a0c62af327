//! A fingerprint identifies the images of a data set: their number in each split, and a hash of their content.
//!
//! Two runs use the same data if and only if their fingerprints are equal. The name and the path of the set are not
//! included, so a folder may be moved; adding, removing, changing or reordering images changes the hash of their split.
//! A fingerprint is taken before images are left out (`data.limit`) or quantised, because those are settings.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::scene::{Scene, SceneKind};
use super::{DataSet, Images, thousands};
use crate::text::hex;

/// Bytes of pixels that one thread hashes at a time. Part of the definition: another number changes the hashes.
const PIECE: usize = 1 << 22;

/// Number of digits of a hash that are shown.
const SHOWN: usize = 8;

/// The fingerprint of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of the training images.
    pub train: SplitPrint,
    /// Of the validation images.
    pub valid: SplitPrint,
    /// Of the test images.
    pub test: SplitPrint,
}

/// The fingerprint of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPrint {
    /// Number of images.
    pub count: usize,
    /// SHA-256 over their size, channels, scene, pixels and labels, in hexadecimal digits.
    pub sha256: String,
}

impl Fingerprint {
    /// Hashes all images of `data`, at about 1 GB/s on each core.
    pub fn of(data: &DataSet) -> Fingerprint {
        let [train, valid, test] = [&data.train, &data.valid, &data.test].map(SplitPrint::of);
        Fingerprint { train, valid, test }
    }
}

impl SplitPrint {
    fn of(images: &Images) -> SplitPrint {
        let Images { pixels, labels, count, height, width, channels, max, scene } = images;
        let mut sum = Sha256::new();
        let sizes = [*count, *height, *width, *channels, usize::from(*max)];
        sizes.iter().chain(&scene_numbers(*scene)).for_each(|&n| number(&mut sum, n));
        number(&mut sum, pixels.len());
        let pieces: Vec<_> = pixels.par_chunks(PIECE).map(Sha256::digest).collect();
        pieces.iter().for_each(|piece| sum.update(piece));
        number(&mut sum, labels.as_ref().map_or(0, Vec::len));
        sum.update(labels.as_deref().unwrap_or_default());
        SplitPrint { count: *count, sha256: hex(&sum.finalize()) }
    }
}

fn number(sum: &mut Sha256, n: usize) {
    sum.update((n as u64).to_le_bytes());
}

/// A scene's kind (0 for none) and the size of its stored images.
fn scene_numbers(scene: Option<Scene>) -> [usize; 3] {
    let kind = |kind| match kind {
        SceneKind::Two => 1,
        SceneKind::Cluttered => 2,
        SceneKind::Crop => 3,
    };
    scene.map_or([0; 3], |scene| [kind(scene.kind), scene.height, scene.width])
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "train {}, valid {}, test {}", self.train, self.valid, self.test)
    }
}

impl fmt::Display for SplitPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.sha256.chars().take(SHOWN).collect();
        write!(f, "{} ({shown})", thousands(self.count))
    }
}

/// Whether two names of data sets mean the same kind of source: the same set, or both a folder of the user, at any
/// path.
pub(crate) fn same_source(a: &str, b: &str) -> bool {
    fn source(name: &str) -> (&str, &str) {
        let first = name.split_once(':').filter(|(first, _)| first.starts_with("first-"));
        let (first, of) = first.unwrap_or(("", name));
        (first, of.split(':').next().unwrap_or(of))
    }
    source(a) == source(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, Binarization};

    fn images(count: usize) -> Images {
        Images {
            pixels: (0..count * 4).map(|i| (i * 7) as u8).collect(),
            labels: Some((0..count).map(|i| i as u8).collect()),
            count,
            height: 2,
            width: 2,
            channels: 1,
            max: 255,
            scene: None,
        }
    }

    /// Compares with a hash whose input is written out here.
    #[test]
    fn the_hash_is_of_sizes_pixels_and_labels() {
        let images = images(2);
        let numbers =
            |numbers: &[u64]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
        let mut bytes = numbers(&[2, 2, 2, 1, 255, 0, 0, 0, 8]);
        bytes.extend(Sha256::digest([0, 7, 14, 21, 28, 35, 42, 49]));
        bytes.extend(numbers(&[2]));
        bytes.extend([0, 1]);
        let expected = SplitPrint { count: 2, sha256: hex(&Sha256::digest(bytes)) };
        assert_eq!(SplitPrint::of(&images), expected);
    }

    #[test]
    fn any_change_of_the_images_changes_the_hash() {
        let whole = images(6);
        let scene = Some(Scene { kind: SceneKind::Two, height: 2, width: 2 });
        let mut changed = whole.clone();
        changed.pixels =
            changed.pixels.iter().enumerate().map(|(i, &v)| v ^ u8::from(i == 23)).collect();
        let mut relabelled = whole.clone();
        relabelled.labels.as_mut().unwrap()[3] = 9;
        let others = [
            ("one is removed", whole.slice(0..5)),
            ("one is added", images(7)),
            ("two change places", whole.select(&[0, 2, 1, 3, 4, 5])),
            ("a pixel is another", changed),
            ("a label is another", relabelled),
            ("there are no labels", Images { labels: None, ..whole.clone() }),
            ("rows are columns", Images { height: 1, width: 4, ..whole.clone() }),
            ("other levels", Images { max: 1, ..whole.clone() }),
            ("scenes are made of them", Images { scene, ..whole.clone() }),
        ];
        let of = SplitPrint::of(&whole);
        assert_eq!(of, SplitPrint::of(&whole.select(&[0, 1, 2, 3, 4, 5])));
        for (what, images) in &others {
            assert_ne!(of.sha256, SplitPrint::of(images).sha256, "{what}");
        }
        let moved: std::collections::BTreeSet<String> =
            others.iter().map(|(_, images)| SplitPrint::of(images).sha256).collect();
        assert_eq!(moved.len(), others.len());
    }

    #[test]
    fn folders_are_the_same_source_at_any_path() {
        for (a, b) in [
            ("mnist", "mnist"),
            ("folder:a", "folder:/x:y/b"),
            ("first-8:folder:a", "first-8:folder:b"),
        ] {
            assert!(same_source(a, b), "{a}, {b}");
        }
        for (a, b) in [
            ("mnist", "digits"),
            ("folder:a", "mnist"),
            ("first-8:folder:a", "first-9:folder:a"),
            ("folder:a", "first-9:folder:a"),
        ] {
            assert!(!same_source(a, b), "{a}, {b}");
        }
    }

    #[test]
    fn the_name_and_the_binarization_are_not_included() {
        let set = data::open("digits", None, std::path::Path::new("data")).unwrap();
        let of = Fingerprint::of(&set);
        let other = DataSet { name: "folder:x".into(), binarization: Binarization::Grey, ..set };
        assert_eq!(of, Fingerprint::of(&other));
        let text = of.to_string();
        assert!(text.starts_with("train 4,500 (") && text.contains("), test 1,000 ("), "{text}");
        assert_eq!(
            text.len(),
            "train 4,500 (12345678), valid 500 (12345678), test 1,000 (12345678)".len()
        );
    }
}
