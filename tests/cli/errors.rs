//! Bad input: one message that says what, where and what to do, and the exit code of its kind.

use super::{Place, TINY};

#[test]
fn usage() {
    let place = Place::new();
    assert!(place.fail("train vae --threads 0", 2).contains("--threads"));
    assert!(place.fail("train vae --threads 1025", 2).contains("1..=1024"));
    place.fail("train gan", 2);
    place.fail("train vae --resume --force", 2);
}

/// Without MPI every process would train by itself, and all in one directory.
#[test]
fn processes_of_mpirun() {
    let place = Place::new();
    for (variable, arguments) in
        [("OMPI_COMM_WORLD_SIZE", "train vae"), ("PMI_SIZE", "train vae"), ("PMI_SIZE", "presets")]
    {
        if cfg!(feature = "mpi") && arguments == "train vae" {
            continue; // It would ask the library; see tests/mpi.rs.
        }
        let output = place.command(arguments).env(variable, "2").output().expect("it starts");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.starts_with("error: 2 processes were started by mpirun"), "{text}");
        assert!(text.contains("start it without mpirun"), "{text}");
        assert!(!place.path("runs").exists());
    }
}

#[test]
fn settings() {
    let place = Place::new();
    for (flags, parts) in [
        ("--set model.hiden=3", ["\"model.hiden\"", "\"model.hidden\""]),
        ("--set optimiser.rate=1", ["\"optimiser.rate\"", "\"optimizer.rate\""]),
        ("--set model.method=wake-sleep --set model.method.samples=2", ["samples", "variant"]),
        ("--set model.method=em", ["model.method.name = \"em\"", "\"wake-sleep\""]),
        ("--set epochs=many", ["epochs", "whole number"]),
        ("--set epochs", ["key=value", "epochs"]),
        ("--optimizer adamm", ["adamm", "`adam`"]),
        ("--rate=-1", ["optimizer.rate = -1", "above 0"]),
        ("--rate=nan", ["optimizer.rate = NaN", "above 0"]),
        ("--rate=inf", ["optimizer.rate = inf", "above 0"]),
        ("--set optimizer.clip=-1.0", ["optimizer.clip = -1", "above 0"]),
        ("--set optimizer.clip=nan", ["optimizer.clip = NaN", "above 0"]),
        ("--set optimizer.decay=inf", ["optimizer.decay = inf", "at least 0"]),
        ("--set optimizer.decay=-1.0", ["optimizer.decay = -1", "at least 0"]),
        ("--set optimizer.beta1=nan", ["optimizer.beta1 = NaN", "in [0, 1)"]),
        ("--set optimizer.beta2=-0.5", ["optimizer.beta2 = -0.5", "in [0, 1)"]),
        ("--set optimizer.schedule.floor=nan", ["optimizer.schedule.floor = NaN", "in [0, 1]"]),
        ("--set optimizer.schedule.floor=-0.5", ["schedule.floor = -0.5", "in [0, 1]"]),
        (
            "--set optimizer.schedule=step --set optimizer.schedule.factor=inf",
            ["optimizer.schedule.factor = inf", "in (0, 1]"],
        ),
        (
            "--set optimizer.schedule=step --set optimizer.schedule.factor=nan",
            ["optimizer.schedule.factor = NaN", "in (0, 1]"],
        ),
        (
            "--set optimizer.schedule=step --set optimizer.schedule.every=0",
            ["optimizer.schedule.every = 0", "at least 1"],
        ),
        ("--set model.log_variance_floor=nan", ["log_variance_floor = NaN", "finite"]),
        ("--set model.init_deviation=inf", ["init_deviation = inf", "above 0"]),
        ("--hidden 1000000 --latent 1000000", ["model.hidden = 1000000", "below 2147483648"]),
        (
            "--batch 4500 --set model.method.samples=10000",
            ["batch = 4500, with 10000 samples", "below 2147483648"],
        ),
        ("--set marginal=10 --latent 6", ["marginal = 10, with model.latent = 6", "marginal=0"]),
        ("--batch 0", ["batch = 0", "between 1"]),
        ("--hidden 0", ["model.hidden = 0", "between 1"]),
        ("--data digit", ["\"digit\"", "binarized-mnist"]),
        ("--data folder:", ["\"folder:\"", "folder:PATH"]),
        ("--binarization fixed", ["digits", "dynamic"]),
        ("--binarization dynamc", ["`dynamc`", "`pixelloom presets"]),
        ("--preset nothing", ["\"nothing\"", "`pixelloom presets`"]),
        ("--set model.height=30", ["model.height", "28 x 28"]),
        ("--set data.limit=5000", ["data.limit = 5000", "4500"]),
        ("--config missing.toml", ["missing.toml: No such file", "`pixelloom presets NAME`"]),
    ] {
        let message = place.fail(&format!("train vae --device cpu {flags}"), 3);
        for part in parts {
            assert!(message.contains(part), "{flags}: {part} is not in {message}");
        }
        assert!(!place.path("runs").exists(), "{flags} left something behind");
    }
    std::fs::write(place.path("bad.toml"), "epochs = 3\n[model]\nhidden == 4\n").expect("written");
    let message = place.fail("train vae --config bad.toml", 3);
    assert!(message.contains("bad.toml"), "{message}");
}

#[test]
fn a_run_is_never_overwritten() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let before = place.read("runs/a/metrics.jsonl");
    let message = place.fail(&format!("{TINY} --name a"), 3);
    assert!(message.contains("runs/a") && message.contains("--force"), "{message}");
    assert!(place.read("runs/a/metrics.jsonl") == before);
    place.succeed(&format!("{TINY} --name a --force --seed 2"));
    assert!(place.read("runs/a/metrics.jsonl") != before);
    // --force removes runs, nothing else.
    std::fs::create_dir(place.path("precious")).expect("made");
    std::fs::write(place.path("precious/file"), "text").expect("written");
    let message = place.fail(&format!("{TINY} --out precious --force"), 3);
    assert!(message.contains("is no run"), "{message}");
    assert!(place.path("precious/file").is_file());
    // Nor does it a project of somebody else's that also has settings and checkpoints.
    let foreign = "[package]\nname = \"x\"\n";
    std::fs::create_dir_all(place.path("other/checkpoints")).expect("made");
    std::fs::write(place.path("other/config.toml"), foreign).expect("written");
    std::fs::create_dir(place.path("half")).expect("made");
    std::fs::copy(place.path("runs/a/config.toml"), place.path("half/config.toml"))
        .expect("copied");
    for dir in ["other", "half"] {
        let before = super::names(&place.path(dir));
        let message = place.fail(&format!("{TINY} --out {dir} --force"), 3);
        assert!(message.contains(dir) && message.contains("is no run"), "{message}");
        assert_eq!(super::names(&place.path(dir)), before);
    }
    assert_eq!(place.read("other/config.toml"), foreign.as_bytes());
}

#[test]
fn missing_data() {
    let place = Place::new();
    for (name, flags) in [("mnist", "--data mnist"), ("binarized-mnist", "--preset aevb-mnist")] {
        let message = place.fail(&format!("train vae --device cpu {flags}"), 4);
        assert!(message.contains(&format!("./datasets.sh {name}")), "{message}");
    }
    let message = place.fail("train vae --data folder:nowhere", 4);
    assert!(message.contains("nowhere: no such folder; folder:PATH names"), "{message}");
    let message = place.fail("train vae --data frey --data-dir elsewhere", 4);
    assert!(message.contains("./datasets.sh --dir elsewhere frey"), "{message}");
}

#[test]
fn missing_device() {
    let place = Place::new();
    for which in ["no-such-adapter", "gpu:99", "gpu:x"] {
        let message = place.fail(&format!("train vae --device {which}"), 6);
        assert!(message.contains(which) && message.contains("cpu"), "{message}");
    }
}

#[test]
fn numbers_that_run_away() {
    let place = Place::new();
    let flags = "train vae --device cpu --hidden 8 --latent 2 --epochs 3 --rate 1e30 \
                 --log-every 2 --set data.limit=400 --name a";
    let message = place.fail(flags, 7);
    let good = "runs/a/checkpoints/step-00000000";
    for part in ["is not finite in step 2, batch 2 of epoch 1 (training images ", "--rate", good] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    place.succeed(&format!("eval {good} --device cpu"));
}

#[test]
fn nowhere_to_write() {
    let place = Place::new();
    std::fs::write(place.path("file"), "text").expect("written");
    let message = place.fail(&format!("{TINY} --out file/run"), 8);
    assert!(message.contains("file/run"), "{message}");
}
