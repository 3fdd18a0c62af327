//! Scenes: their composition, recomputed pixel by pixel; what they depend on; binarization, levels, slices and splits
//! of them.

use std::path::Path;
use std::time::Instant;

use pixelloom::data::scene::{Scene, SceneKind};
use pixelloom::data::{Binarization, EVALUATION_SEED, Images, Split, digits, fill_batch, open};
use pixelloom::rng::{Key, stream};

fn set(name: &str) -> pixelloom::data::DataSet {
    open(name, None, Path::new("nowhere")).unwrap()
}

/// 1 x 1 images 1, 2, .. in a scene of the same size, in which the only position is (0, 0).
fn tiny(kind: SceneKind, count: usize) -> Images {
    Images {
        pixels: (1..=count as u8).collect(),
        labels: None,
        count,
        height: 1,
        width: 1,
        channels: 1,
        max: 255,
        scene: Some(Scene { kind, height: 1, width: 1 }),
    }
}

/// A part of a digit (digit, top, left, size) and its position, for computing sums of intensities as documented in
/// `scene.rs`, without its code.
struct Placed {
    part: (usize, usize, usize, usize),
    at: (usize, usize),
}

fn sum(digits: &Images, side: usize, placed: &[Placed]) -> Vec<u8> {
    let mut canvas = vec![0; side * side];
    for Placed { part: (digit, top, left, size), at } in placed {
        for (y, x) in (0..size * size).map(|p| (p / size, p % size)) {
            let v = digits.pixels[digit * 784 + (top + y) * 28 + left + x];
            canvas[(at.0 + y) * side + at.1 + x] += u32::from(v);
        }
    }
    canvas.into_iter().map(|v| v.min(255) as u8).collect()
}

/// Draw `k` of image `i`, one of `n` possibilities.
fn drawn(seed: u64, epoch: u32, i: usize, k: usize, n: usize) -> usize {
    let word = Key::new(seed, stream::SCENE, epoch).word((64 * i + k) as u64);
    (f64::from(word) / 4_294_967_296.0 * n as f64) as usize
}

fn two(digits: &Images, seed: u64, epoch: u32, i: usize) -> Vec<Placed> {
    let draw = |k, n| drawn(seed, epoch, i, k, n);
    let other = (i + 1 + draw(0, digits.count - 1)) % digits.count;
    assert_ne!(other, i);
    let place = |digit, k| Placed { part: (digit, 0, 0, 28), at: (draw(k, 33), draw(k + 1, 33)) };
    vec![place(i, 1), place(other, 3)]
}

fn cluttered(digits: &Images, seed: u64, epoch: u32, i: usize) -> Vec<Placed> {
    let draw = |k, n| drawn(seed, epoch, i, k, n);
    let piece = |k| {
        let digit = (i + 1 + draw(k, digits.count - 1)) % digits.count;
        assert_ne!(digit, i);
        let part = (digit, draw(k + 1, 21), draw(k + 2, 21), 8);
        Placed { part, at: (draw(k + 3, 93), draw(k + 4, 93)) }
    };
    let mut placed: Vec<Placed> = (0..8).map(|p| piece(5 * p)).collect();
    placed.push(Placed { part: (i, 0, 0, 28), at: (draw(40, 73), draw(41, 73)) });
    placed
}

#[test]
fn composed_of_the_drawn_digits_at_the_drawn_positions() {
    type Draw = fn(&Images, u64, u32, usize) -> Vec<Placed>;
    let of: [(&str, usize, Draw); 2] =
        [("two-digits", 60, two), ("cluttered-digits", 100, cluttered)];
    let (train, test) = (digits::train().unwrap(), digits::test().unwrap());
    for (name, side, draw) in of {
        let set = set(name);
        let sources = [train.slice(0..4_500), train.slice(4_500..5_000), test.clone()];
        for (split, source) in [Split::Train, Split::Valid, Split::Test].into_iter().zip(sources) {
            let images = set.split(split);
            assert_eq!((images.height, images.width, images.count), (side, side, source.count));
            for (seed, epoch) in [(1, 0), (1, 7), (EVALUATION_SEED, 0), (u64::MAX, 3)] {
                for i in [0, 1, 77, source.count - 1] {
                    let placed = draw(&source, seed, epoch, i);
                    let expected = sum(&source, side, &placed);
                    assert!(*images.view(i, seed, epoch) == expected, "{name} {split} {i}");
                }
            }
        }
    }
}

/// All ink of the digits is in the image, so no part of a digit is outside.
#[test]
fn digits_lie_inside_and_anywhere() {
    let set = set("two-digits");
    let corners = |images: &Images, side: usize| {
        let mut ends = [usize::MAX, usize::MAX, 0, 0];
        for epoch in 0..3 {
            for i in 0..images.count {
                let view = images.view(i, 5, epoch);
                for p in (0..side * side).filter(|&p| view[p] > 0) {
                    let (y, x) = (p / side, p % side);
                    ends = [ends[0].min(y), ends[1].min(x), ends[2].max(y), ends[3].max(x)];
                }
            }
        }
        ends
    };
    // A digit's ink fills 20 x 20 of its 28 x 28 pixels, so it rarely comes closer than 4 to an edge.
    let [top, left, bottom, right] = corners(&set.train, 60);
    assert!(top <= 4 && left <= 4 && bottom >= 55 && right >= 55, "{top} {left} {bottom} {right}");
    let mut most = 0;
    for i in 0..100 {
        let ink = |pixels: &[u8]| pixels.iter().map(|&v| u64::from(v)).sum::<u64>();
        let whole = ink(set.train.image(i));
        assert!(ink(&set.train.view(i, 5, 0)) > whole, "{i}: the second digit is missing");
        most = most.max(ink(&set.train.view(i, 5, 0)) - whole);
    }
    assert!(most > 20_000, "{most}");
}

#[test]
fn overlaps_are_added_and_clipped() {
    let images = tiny(SceneKind::Two, 2);
    assert_eq!(*images.view(0, 1, 0), [3]);
    let bright = Images { pixels: [200, 100].into(), ..images };
    assert_eq!(*bright.view(1, 1, 0), [255]);
    // Without another image, the image is combined with itself.
    assert_eq!(*tiny(SceneKind::Two, 1).view(0, 1, 0), [2]);
}

/// An image has the same numbers in a batch of any size and order, and other numbers with another seed or epoch.
#[test]
fn batches_are_functions_of_seed_epoch_and_index() {
    for name in ["two-digits", "cluttered-digits"] {
        let images = set(name).train;
        for mode in [Binarization::Grey, Binarization::Dynamic, Binarization::Threshold] {
            let filled = |seed, epoch, rows: &[usize]| {
                let mut out = vec![f32::NAN; rows.len() * images.dims()];
                fill_batch(&images, mode, seed, epoch, rows, &mut out);
                out
            };
            let rows: Vec<usize> = (0..20).map(|r| r * 97 % images.count).collect();
            let all = filled(3, 2, &rows);
            for (r, row) in all.chunks(images.dims()).enumerate() {
                assert!(filled(3, 2, &rows[r..=r]) == row, "{name} {mode} {r}");
                assert!(row != filled(3, 3, &rows[r..=r]), "{name} {mode} {r}: epoch");
                assert!(row != filled(4, 2, &rows[r..=r]), "{name} {mode} {r}: seed");
            }
        }
    }
}

#[test]
fn binarization_is_of_the_composed_image() {
    let images = set("two-digits").test;
    let filled = |mode| {
        let mut out = vec![f32::NAN; images.dims()];
        fill_batch(&images, mode, 9, 4, &[11], &mut out);
        out
    };
    let view = images.view(11, 9, 4);
    let key = Key::new(9, stream::BINARIZE, 4);
    let [grey, threshold, dynamic] =
        [Binarization::Grey, Binarization::Threshold, Binarization::Dynamic].map(filled);
    for (d, &v) in view.iter().enumerate() {
        let level = f32::from(v) / 255.0;
        let u = key.uniform((11 * images.dims() + d) as u64);
        let expected = [level, f32::from(v > 127), f32::from(u < level)];
        assert_eq!([grey[d], threshold[d], dynamic[d]], expected, "{d}");
    }
}

#[test]
fn labels_stay() {
    let clutter = set("cluttered-digits");
    let train = digits::train().unwrap().labels.unwrap();
    assert_eq!(clutter.train.labels.as_deref(), Some(&train[..4_500]));
    assert_eq!(clutter.valid.labels.as_deref(), Some(&train[4_500..]));
    assert_eq!(clutter.test.labels, digits::test().unwrap().labels);
    let two = set("two-digits");
    assert!([&two.train, &two.valid, &two.test].iter().all(|images| images.labels.is_none()));
}

#[test]
fn slices_and_selections_are_composed_of_their_own_images() {
    let images = Images { labels: Some(vec![7, 8, 9]), ..tiny(SceneKind::Two, 3) };
    for slice in [images.slice(1..3), images.select(&[1, 2])] {
        assert_eq!((slice.count, slice.labels.clone().unwrap()), (2, vec![8, 9]));
        assert!((0..20).all(|epoch| *slice.view(0, 1, epoch) == [5]), "2 + 3");
    }
    assert!((0..20).any(|epoch| *images.view(0, 1, epoch) == [4]), "1 + 3");
    let digits = set("two-digits").train;
    let slice = digits.slice(3..10);
    assert_eq!((slice.image(2), slice.image(2).len()), (digits.image(5), 784));
}

/// The sum is quantised, not its terms.
#[test]
fn quantized_after_they_are_made() {
    let images = Images { pixels: [100, 30].into(), ..tiny(SceneKind::Two, 2) };
    let few = images.quantized(4);
    assert_eq!((few.max, &*few.view(0, 1, 0)), (3, &[2][..]));
    let grey = open("two-digits", Some(Binarization::Grey), Path::new("nowhere")).unwrap();
    let few = grey.clone().quantized(16);
    let expected: Vec<u8> = grey.test.view(5, 1, 2).iter().map(|v| v / 16).collect();
    assert!(*few.test.view(5, 1, 2) == expected);
    assert!(few.describe(Split::Test).ends_with("1,000 images, grey levels (16)"));
}

#[test]
fn crops_are_parts_of_the_image() {
    // 6 x 5 colours, in which all values are different.
    let images = Images {
        pixels: (0..180).collect(),
        labels: None,
        count: 2,
        height: 4,
        width: 2,
        channels: 3,
        max: 255,
        scene: Some(Scene { kind: SceneKind::Crop, height: 6, width: 5 }),
    };
    let mut seen = std::collections::BTreeSet::new();
    for epoch in 0..200 {
        let (top, left) = (drawn(8, epoch, 1, 0, 3), drawn(8, epoch, 1, 1, 4));
        seen.insert((top, left));
        let value = |e: usize| {
            let (y, x, c) = (e / 6, e / 3 % 2, e % 3);
            (90 + ((top + y) * 5 + left + x) * 3 + c) as u8
        };
        assert_eq!(*images.view(1, 8, epoch), (0..24).map(value).collect::<Vec<u8>>());
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
}

/// Pinned, because other draws would silently change the images of a resumed run and of evaluations.
#[test]
fn scenes_are_the_same_in_every_version() {
    let ink = |name: &str| {
        let view = set(name).test.view(123, EVALUATION_SEED, 0).into_owned();
        let weigh = |(p, &v): (usize, &u8)| (p as u64 + 1) * u64::from(v);
        view.iter().enumerate().map(weigh).sum::<u64>()
    };
    assert_eq!([ink("two-digits"), ink("cluttered-digits")], [83_763_087, 263_781_553]);
}

/// Far faster than a training step, so that models do not wait for their data.
#[test]
fn batches_are_composed_quickly() {
    let images = set("cluttered-digits").train;
    let rows: Vec<usize> = (0..100).collect();
    let mut out = vec![0.0; 100 * images.dims()];
    let mut fill = |epoch| {
        let start = Instant::now();
        fill_batch(&images, Binarization::Grey, 1, epoch, &rows, &mut out);
        start.elapsed().as_secs_f64() * 1e3
    };
    let best = (0..10).map(&mut fill).fold(f64::MAX, f64::min);
    println!("a batch of 100 cluttered digits: {best:.2} ms");
    assert!(best < 50.0, "{best} ms");
}

#[test]
fn descriptions() {
    assert_eq!(
        set("two-digits").describe(Split::Test),
        "two-digits (two of the embedded MNIST digits on 60 x 60), test split, 1,000 images, \
         dynamic binarization"
    );
    assert_eq!(
        set("cluttered-digits").describe(Split::Valid),
        "cluttered-digits (one of the embedded MNIST digits in clutter on 100 x 100), valid split, \
         500 images, grey levels (256)"
    );
}
