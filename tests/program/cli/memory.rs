//! The memory of a run is known, and checked by every command, before anything is allocated.

use std::process::{Command, Output};

use pixelloom::model_file::Content;

use super::{Place, small, stderr};

/// Runs the program with an address space of at most `mib` MiB.
#[cfg(target_os = "linux")]
fn within(place: &Place, mib: usize, arguments: &str) -> Output {
    let program = assert_cmd::cargo::cargo_bin!("pixelloom");
    let limited = format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(limited).arg(program).args(arguments.split_whitespace());
    shell.current_dir(place.path("")).output().expect("a shell")
}

/// Checks that the only message is an error and that the exit code is `code`.
#[track_caller]
#[cfg(target_os = "linux")]
fn refused(output: &Output, code: i32) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && !text.contains("panicked"), "{text}");
    errors[0].to_string()
}

/// The description of the model is used only if it agrees with the tensors in the file: the sizes below would take
/// hundreds of gigabytes.
#[test]
#[cfg(target_os = "linux")]
fn a_model_file_does_not_decide_how_much_memory_is_taken() {
    let place = Place::with_images();
    let cases = [
        ("vae", "\"hidden\":4", "\"hidden\":2000000", "model.hidden"),
        ("vae", "\"hidden\":4", "\"hidden\":1000000", "encoder.hidden.weight"),
        ("pixelcnn", "\"layers\":1", "\"layers\":1000", "layers.1.down.weight"),
        ("pixelcnn", "\"hidden\":2", "\"hidden\":5000", "first.weight"),
        ("diagbilstm", "\"hidden\":2", "\"hidden\":16000", "first.weight"),
        ("draw", "\"hidden\":4", "\"hidden\":16000", "encoder.weight"),
    ];
    for (number, (kind, from, to, tensor)) in cases.into_iter().enumerate() {
        let name = format!("{kind}-{number}");
        place.succeed(&format!("{} --name {name}", small(kind)));
        let path = place.path(&format!("{name}.safetensors"));
        place.succeed(&format!("export {name} --out {}", path.display()));
        let mut content = Content::read(&path).expect("a model");
        let config = content.texts["config"].replace(from, to);
        assert_ne!(config, content.texts["config"], "{kind}: {from}");
        content.texts.insert("config".into(), config);
        content.write(&path).expect("written");
        assert!(std::fs::metadata(&path).expect("a file").len() < 20_000, "{kind}: it is small");
        let file = path.display();
        for command in [
            format!("eval {file} --data folder:images --device cpu"),
            format!("sample {file} --out x.png --device cpu"),
            format!("export {file} --out y.safetensors"),
            format!("train {kind} --init {file} --data folder:images --name b --device cpu"),
        ] {
            let message = refused(&within(&place, 1500, &command), 5);
            assert!(message.contains(tensor), "{command}: {message}");
            assert!(!place.path("runs/b").exists(), "{command}");
        }
    }
}

/// The error has the numbers and a batch size that fits, and comes before anything is written or replaced.
#[test]
#[cfg(target_os = "linux")]
fn a_run_that_does_not_fit_is_refused_with_the_numbers() {
    let place = Place::with_images();
    let run = "train pixelcnn --device cpu --threads 1 --data digits --layers 4 --hidden 32 --epochs 1 --name a";
    for command in [format!("{run} --batch 2000 --dry-run"), format!("{run} --batch 2000")] {
        let message = refused(&within(&place, 1500, &command), 3);
        for part in [
            "training needs about",
            "(weights ",
            ", optimizer ",
            "one step of 2000 images ",
            "are available",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!place.path("runs/a").exists(), "{message}");
        // The suggested batch size does fit.
        let (_, batch) = message.split_once("choose --batch ").expect("a batch");
        let batch: usize = batch.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!((2..2000).contains(&batch), "{message}");
        let fits = within(&place, 1500, &format!("{run} --batch {} --dry-run", batch * 3 / 4));
        assert!(fits.status.success(), "{}", stderr(&fits));
    }
    // No batch size helps if there are too many weights.
    let run = "train vae --device cpu --threads 1 --data folder:images --hidden 1000000 --batch 8 --name a";
    let message = refused(&within(&place, 1500, run), 3);
    assert!(
        message.contains("no batch is small enough: choose a smaller model.hidden"),
        "{message}"
    );
    // An existing run is not removed by a run that cannot start.
    place.succeed(&format!("{} --name a", small("vae")));
    let before = place.read("runs/a/config.toml");
    refused(&within(&place, 1500, &format!("{run} --force")), 3);
    assert_eq!(place.read("runs/a/config.toml"), before);
}

/// A smaller batch does not make a weight smaller; the message names the weight and the setting.
#[test]
#[cfg(feature = "gpu")]
fn a_tensor_that_a_gpu_cannot_bind_is_named() {
    let place = Place::with_images();
    let adapters = pixelloom::gpu::adapters();
    let Some(gpu) = adapters.iter().find(|adapter| adapter.largest_tensor() <= 1 << 28) else {
        println!("skipped: no adapter with a low limit");
        return;
    };
    let device = format!("--device gpu:{}", gpu.index);
    let fail = |arguments: &str| place.fail(&format!("{arguments} {device} --name a"), 3);
    let large = gpu.largest_tensor() / 4 / 784 + 1;
    let message = fail(&format!("train vae --data digits --hidden {large} --latent 2 --batch 1"));
    for part in [
        "the weight encoder.hidden.weight [",
        ", 784] takes",
        "choose a smaller model.hidden",
        "--device cpu",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("batch"), "{message}");
    let message =
        fail(&format!("train vae --data digits --hidden 1000 --latent {} --batch 1", large));
    assert!(message.contains("encoder.mean.weight") && message.contains("model."), "{message}");
    // For a feature map, a smaller batch does help.
    let message = fail("train pixelcnn --data digits --layers 1 --hidden 256 --batch 900");
    for part in ["a step of 900 images needs a tensor of", "choose --batch "] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!place.path("runs/a").exists());
}

/// A dry run fails like training, and does not suggest settings that are already set.
#[test]
fn a_dry_run_whose_numbers_are_not_finite_fails() {
    let place = Place::with_images();
    let run = "train vae --data folder:images --device cpu --optimizer sgd --rate 1e30 --batch 8";
    let message = place.fail(&format!("{run} --dry-run"), 7);
    for part in ["the loss is NaN in a step", "--rate 1", "optimizer.clip=1", "--on-nonfinite skip"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let set = "--set optimizer.clip=1e30 --on-nonfinite skip";
    for way in ["--dry-run", "--name away"] {
        let message = place.fail(&format!("{run} {set} {way}"), 7);
        assert!(message.contains("--rate 1.0e29"), "{message}");
        assert!(message.contains("optimizer.clip=1") && !message.contains("skip"), "{message}");
    }
}
