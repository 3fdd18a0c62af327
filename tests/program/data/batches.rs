//! Splits, binarization modes and the order of batches.

use std::path::Path;

use pixelloom::Error;
use pixelloom::data::{
    Binarization, DataSet, EVALUATION_SEED, Images, Loader, Split, fill_batch, first, open, outline,
};
use pixelloom::rng::{Key, stream};

/// `count` images of 1 x `dims`, pixel d of image i = 37 i + d, wrapping.
fn images(count: usize, dims: usize, max: u8) -> Images {
    let pixel = |i: usize, d: usize| (37 * i + d) % (usize::from(max) + 1);
    Images {
        pixels: (0..count * dims).map(|e| pixel(e / dims, e % dims) as u8).collect(),
        labels: Some((0..count).map(|i| i as u8).collect()),
        count,
        height: 1,
        width: dims,
        channels: 1,
        max,
        scene: None,
    }
}

fn filled(images: &Images, mode: Binarization, seed: u64, epoch: u32, rows: &[usize]) -> Vec<f32> {
    // NaN, so that a missing value is detected.
    let mut out = vec![f32::NAN; rows.len() * images.dims()];
    fill_batch(images, mode, seed, epoch, rows, &mut out);
    out
}

#[test]
fn grey_levels_return_to_their_bytes() {
    let levels = filled(&images(1, 256, 255), Binarization::Grey, 1, 0, &[0]);
    for (v, x) in levels.iter().enumerate() {
        assert_eq!((x * 255.0).round() as usize, v);
        assert_eq!(*x, v as f32 / 255.0);
    }
}

#[test]
fn threshold_is_above_half() {
    let bits = filled(&images(1, 256, 255), Binarization::Threshold, 1, 0, &[0]);
    assert_eq!(bits.iter().position(|&x| x == 1.0), Some(128));
    assert_eq!(bits.iter().sum::<f32>(), 128.0);
}

#[test]
fn fixed_bits_are_zero_and_one() {
    assert_eq!(
        filled(&images(2, 3, 1), Binarization::Fixed, 1, 0, &[1, 0]),
        [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    );
}

/// With dimensions that are not a multiple of Philox's four lanes, and rows in any order and combination.
#[test]
fn dynamic_bits_belong_to_image_and_epoch() {
    // 9 images of 2,001 values are filled by several threads, 3 images by one.
    for dims in [1, 3, 17, 65, 784, 2001] {
        let images = images(9, dims, 255);
        let all = filled(&images, Binarization::Dynamic, 5, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let key = Key::new(5, stream::BINARIZE, 2);
        for (e, x) in all.iter().enumerate() {
            let level = f32::from(images.pixels[e]) / 255.0;
            assert_eq!(*x, f32::from(key.uniform(e as u64) < level), "element {e} of {dims}");
        }
        let some = filled(&images, Binarization::Dynamic, 5, 2, &[8, 3, 3]);
        for (row, i) in some.chunks(dims).zip([8, 3, 3]) {
            assert_eq!(row, &all[i * dims..(i + 1) * dims]);
        }
    }
    let images = images(9, 784, 255);
    let bits = |seed, epoch| filled(&images, Binarization::Dynamic, seed, epoch, &[4]);
    assert_ne!(bits(5, 2), bits(5, 3));
    assert_ne!(bits(5, 2), bits(6, 2));
    assert_eq!(bits(EVALUATION_SEED, 0), bits(EVALUATION_SEED, 0));
}

/// Over 4,000 epochs, each frequency is within 5 standard errors of its level; 0 and 255 are deterministic.
#[test]
fn dynamic_bits_have_the_grey_level_as_mean() {
    let images = images(1, 256, 255);
    let mut sums = [0.0f32; 256];
    for epoch in 0..4000 {
        let bits = filled(&images, Binarization::Dynamic, 11, epoch, &[0]);
        sums.iter_mut().zip(bits).for_each(|(sum, bit)| *sum += bit);
    }
    assert_eq!((sums[0], sums[255]), (0.0, 4000.0));
    for (v, sum) in sums.iter().enumerate() {
        let p = v as f32 / 255.0;
        let error = (sum / 4000.0 - p).abs();
        assert!(error <= 5.0 * (p * (1.0 - p) / 4000.0).sqrt(), "level {v}: {}", sum / 4000.0);
    }
}

#[test]
fn binarization_names() {
    let names = ["grey", "fixed", "dynamic", "threshold"];
    for name in names {
        let mode: Binarization = name.parse().unwrap();
        assert_eq!(mode.to_string(), name);
        assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{name}\""));
    }
    let error = "Dynamic".parse::<Binarization>().unwrap_err();
    assert!(matches!(&error, Error::Config(m) if m.contains("\"Dynamic\"")), "{error}");
    assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
}

#[test]
fn unknown_sets_and_unsupported_binarizations() {
    let refused =
        |name: &str, mode: Binarization| match open(name, Some(mode), Path::new("nowhere")) {
            Err(Error::Config(message)) => message,
            other => panic!("{name} with {mode}: {other:?}"),
        };
    let unknown = refused("minst", Binarization::Grey);
    assert!(unknown.contains(
        "unknown data set \"minst\"; the data sets are digits, mnist, binarized-mnist, frey"
    ));
    assert!(
        unknown.contains("cifar10, cifar10-batch1, svhn, svhn-small, svhn-cropped"),
        "{unknown}"
    );
    assert!(unknown.contains("cluttered-mnist, and folder:PATH"), "{unknown}");
    for (name, fit) in [
        ("digits", "grey dynamic threshold"),
        ("mnist", "grey dynamic threshold"),
        ("binarized-mnist", "fixed"),
        ("frey", "grey"),
        ("cifar10", "grey"),
        ("cifar10-batch1", "grey"),
        ("svhn", "grey"),
        ("svhn-small", "grey"),
        ("svhn-cropped", "grey"),
        ("two-digits", "grey dynamic threshold"),
        ("cluttered-mnist", "grey dynamic threshold"),
    ] {
        for mode in ["grey", "fixed", "dynamic", "threshold"] {
            let parsed: Binarization = mode.parse().unwrap();
            if !fit.split(' ').any(|fits| fits == mode) {
                let message = refused(name, parsed);
                assert!(message.contains(name) && message.contains(mode), "{message}");
            }
        }
    }
}

/// Thousands of nested names used to overflow the stack.
#[test]
fn first_images_of_first_images() {
    let few = open("first-5:digits", None, Path::new("data")).unwrap();
    assert_eq!([few.train.count, few.valid.count, few.test.count], [5; 3]);
    for depth in [1, 2, 1000, 100_000] {
        let name = format!("first-5:{}digits", "first-10:".repeat(depth));
        let error = open(&name, None, Path::new("data")).unwrap_err();
        let message = "data set \"first-5:first-...\": sets of first images cannot be nested; \
            write first-5:NAME with the name of a whole set";
        assert!(matches!(&error, Error::Config(m) if m == message), "{error}");
        assert!(outline(&name, Path::new("data")).is_err());
        // The description of a set with such a name must not overflow either.
        let set = DataSet { name: name.clone(), ..few.clone() };
        assert!(set.describe(Split::Test).contains("as every split"), "{name:.80}");
    }
    assert_eq!(first(3, "digits"), "first-3:digits");
    assert_eq!(first(3, "first-5:digits"), "first-3:digits");
    assert_eq!(first(3, "folder:first-5:x"), "first-3:folder:first-5:x");
}

#[test]
fn slices_and_selections_carry_labels() {
    let images = images(6, 5, 255);
    let slice = images.slice(2..5);
    assert_eq!((slice.count, slice.labels.clone().unwrap()), (3, vec![2, 3, 4]));
    assert_eq!(slice.image(0), images.image(2));
    let chosen = images.select(&[5, 0]);
    assert_eq!((chosen.count, chosen.labels.clone().unwrap()), (2, vec![5, 0]));
    assert_eq!([chosen.image(0), chosen.image(1)], [images.image(5), images.image(0)]);
}

#[test]
fn quantized_levels() {
    let all = images(1, 256, 255);
    for levels in [2, 3, 4, 7, 16, 100, 255, 256] {
        let few = all.quantized(levels);
        assert_eq!(usize::from(few.max), levels - 1);
        let expected: Vec<u8> = (0..256).map(|v| (v * levels / 256) as u8).collect();
        assert_eq!(few.pixels[..], expected, "{levels}");
        assert_eq!((few.count, few.width, few.labels), (1, 256, Some(vec![0])));
        // Every level is used, and the last one means 1.
        let x = filled(&all.quantized(levels), Binarization::Grey, 1, 0, &[0]);
        assert_eq!((x[0], x[255]), (0.0, 1.0));
        let used: std::collections::BTreeSet<u8> = few.pixels.iter().copied().collect();
        assert_eq!(used.len(), levels);
    }
    for levels in [0, 1, 257] {
        assert!(std::panic::catch_unwind(|| all.quantized(levels)).is_err(), "{levels}");
    }
    assert!(std::panic::catch_unwind(|| images(2, 3, 1).quantized(2)).is_err());
}

#[test]
fn only_grey_sets_are_quantized() {
    let open = |mode| open("digits", Some(mode), Path::new("data")).unwrap();
    let grey = open(Binarization::Grey);
    let what = |set: &DataSet| set.describe(Split::Test).rsplit_once(", ").unwrap().1.to_string();
    assert_eq!(what(&grey), "grey levels (256)");
    let few = grey.clone().quantized(4);
    assert_eq!(what(&few), "grey levels (4)");
    assert_eq!([few.train.max, few.valid.max, few.test.max], [3; 3]);
    assert_eq!(few.test.pixels, grey.test.quantized(4).pixels);
    assert_eq!(few.quantized(2).train.max, 3, "twice");
    for mode in [Binarization::Dynamic, Binarization::Threshold] {
        let set = open(mode).quantized(4);
        assert!(set.train.max == 255 && set.train.pixels == grey.train.pixels);
    }
}

#[test]
fn every_epoch_sees_every_image_once() {
    let loader = Loader::new(103, 10, 7);
    assert_eq!(loader.batches_per_epoch(), 11);
    for epoch in 0..3 {
        let mut seen = Vec::new();
        for b in 0..11 {
            let (of, batch) = loader.batch(epoch * 11 + b);
            assert_eq!(u64::from(of), epoch);
            assert_eq!(batch.len(), if b == 10 { 3 } else { 10 });
            seen.extend(batch);
        }
        assert_ne!(seen, (0..103).collect::<Vec<_>>());
        seen.sort();
        assert_eq!(seen, (0..103).collect::<Vec<_>>());
    }
    assert_eq!(Loader::new(100, 100, 7).batches_per_epoch(), 1);
    assert_eq!(Loader::new(3, 100, 7).batch(5).1.len(), 3);
}

/// A new loader that starts at a step in the middle returns the same as one that ran from the start.
#[test]
fn order_depends_on_seed_and_epoch_alone() {
    let loader = Loader::new(50, 8, 3);
    let run: Vec<_> = (0..30).map(|step| loader.batch(step)).collect();
    for step in [29, 11, 0, 17] {
        assert_eq!(Loader::new(50, 8, 3).batch(step), run[step as usize]);
    }
    assert_ne!(run[0].1, run[7].1, "two epochs in the same order");
    assert_ne!(run[0].1, Loader::new(50, 8, 4).batch(0).1, "two seeds in the same order");
}

/// Pinned, because another generator would silently change the images of a resumed run.
#[test]
fn order_is_the_same_in_every_version() {
    assert_eq!(Loader::new(10, 10, 1).batch(0).1, [9, 2, 6, 4, 8, 1, 7, 0, 5, 3]);
}

#[test]
fn description() {
    let set = open("digits", None, Path::new("data")).unwrap();
    assert_eq!(
        set.describe(Split::Test),
        "digits (embedded MNIST subset), test split, 1,000 images, dynamic binarization"
    );
    assert_eq!(
        set.describe_part(Split::Train, 1000),
        "digits (embedded MNIST subset), train split, 1,000 of the 4,500 images, dynamic binarization"
    );
}
