//! Models with classes: trained, drawn from and completed by class, and used as a classifier.

use super::samples::pixels;
use super::{Place, names};

const TRAIN: &str = "train pixelcnn --device cpu --layers 1 --hidden 8 --set model.head=8 --batch 16 --epochs 8 \
                     --eval-every 8 --rate 0.01 --set data.limit=640 --name c";

#[test]
fn images_are_drawn_completed_and_classified_by_class() {
    let place = Place::new();
    let said = place.succeed(&format!("{TRAIN} --set model.classes=10"));
    assert!(said.starts_with("test nll: "), "{said}");
    assert!(names(&place.path("runs/c/samples")).contains(&"completions.png".to_string()));

    // A row of ten images a class, whatever the count; --class draws the same noise for one class.
    let images = |flags: &str| {
        place.succeed(&format!("sample c --device cpu --npz s.npz --force {flags}"));
        pixels(&place, "s.npz")
    };
    let image = |all: &[u8], i: usize| all[i * 784..(i + 1) * 784].to_vec();
    let (all, few) = (images("--count 30"), images("--count 12"));
    assert_eq!(all[..12 * 784], few, "the class does not depend on the count");
    let (zeros, ones) = (images("--count 30 --class 0"), images("--count 30 --class 1"));
    assert_eq!(image(&all, 3), image(&zeros, 3));
    assert_eq!(image(&all, 13), image(&ones, 13));
    assert_ne!(image(&all, 13), image(&zeros, 13));

    place.succeed("complete c --device cpu --count 4 --samples 2 --out own.png");
    place.succeed("complete c --device cpu --count 4 --samples 2 --class 3 --out threes.png");
    assert_ne!(place.read("own.png"), place.read("threes.png"));
    // Images without labels: --class says what they are.
    place.succeed("sample c --device cpu --count 20 --each some");
    let unlabelled =
        "complete c --device cpu --data folder:some --binarization threshold --out u.png";
    place.succeed(&format!("{unlabelled} --class 3 --count 1"));
    let message = place.fail(unlabelled, 3);
    assert!(message.contains("needs images with labels"), "{message}");

    let object: serde_json::Value =
        serde_json::from_str(&place.succeed("eval c --device cpu --classify --json"))
            .expect("JSON");
    let error = object["classify"]["error_percent"].as_f64().expect("a number");
    assert!(error < 85.0, "it is better than chance, 90 %: {error}");
    assert_eq!(object["classify"]["classes"], 10);
}

#[test]
fn classes_that_do_not_fit_are_refused() {
    let place = Place::new();
    place.succeed(&format!("{TRAIN} --set model.classes=10"));
    for (arguments, part) in [
        ("sample c --class 10", "the model has the classes 0 to 9"),
        ("complete c --class 10", "the model has the classes 0 to 9"),
        ("sample pixelcnn --class 1", "trained without labels"),
        ("sample vae --class 1", "draws pixel by pixel"),
        ("eval pixelcnn --classify", "trained without labels"),
        ("eval c --data two-digits", "needs images with labels"),
        (
            "train pixelcnn --set model.classes=10 --data two-digits --name d",
            "needs images with labels",
        ),
        ("train pixelcnn --set model.classes=5 --name d", "set model.classes=10 or more"),
        (
            "train pixelcnn --set model.classes=1 --name d",
            "be 0 (no labels) or lie between 2 and 256",
        ),
        ("train multiscale --set model.classes=10 --name d", "model.classes"),
    ] {
        let message = place.fail(&format!("{arguments} --device cpu"), 3);
        assert!(message.contains(part), "{arguments}: {message}");
    }
    assert!(!place.path("runs/d").exists(), "nothing is written");
}
