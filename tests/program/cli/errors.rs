//! Errors that must leave files unchanged, and messages that differ between machines; all other messages are in
//! `messages/`.

use super::{Place, TINY};

/// Without MPI, every process would train alone, and all of them in the same directory.
#[test]
fn processes_of_mpirun() {
    let place = Place::new();
    for (variable, arguments) in
        [("OMPI_COMM_WORLD_SIZE", "train vae"), ("PMI_SIZE", "train vae"), ("PMI_SIZE", "presets")]
    {
        if cfg!(feature = "mpi") && arguments == "train vae" {
            continue; // This case needs the MPI library; see tests/mpi.rs.
        }
        let output = place.command(arguments).env(variable, "2").output().expect("it starts");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.starts_with("error: mpirun started 2 processes"), "{text}");
        assert!(text.contains("start it without mpirun"), "{text}");
        assert!(!place.path("runs").exists());
    }
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
    // --force removes runs and nothing else.
    std::fs::create_dir(place.path("precious")).expect("made");
    std::fs::write(place.path("precious/file"), "text").expect("written");
    let message = place.fail(&format!("{TINY} --out precious --force"), 3);
    assert!(message.contains("is not a run"), "{message}");
    assert!(place.path("precious/file").is_file());
    // It does not remove another project that also has settings and checkpoints.
    let foreign = "[package]\nname = \"x\"\n";
    std::fs::create_dir_all(place.path("other/checkpoints")).expect("made");
    std::fs::write(place.path("other/config.toml"), foreign).expect("written");
    std::fs::create_dir(place.path("half")).expect("made");
    std::fs::copy(place.path("runs/a/config.toml"), place.path("half/config.toml"))
        .expect("copied");
    for dir in ["other", "half"] {
        let before = super::names(&place.path(dir));
        let message = place.fail(&format!("{TINY} --out {dir} --force"), 3);
        assert!(message.contains(dir) && message.contains("is not a run"), "{message}");
        assert_eq!(super::names(&place.path(dir)), before);
    }
    assert_eq!(place.read("other/config.toml"), foreign.as_bytes());
}

#[test]
fn a_run_does_not_replace_the_run_it_starts_from() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let last = "runs/a/checkpoints/step-00000012/model.safetensors";
    let before = place.read(last);
    for init in ["a", "runs/a", "runs/a/checkpoints/step-00000012"] {
        for force in ["", "--force"] {
            let message = place.fail(&format!("{TINY} --name a --init {init} {force}"), 3);
            assert!(message.contains("would replace runs/a"), "{message}");
            assert!(place.read(last) == before);
        }
    }
    place.succeed(&format!("{TINY} --name b --init a"));
}

#[test]
fn names_of_runs_stay_inside_their_folder() {
    let place = Place::new();
    for name in ["../evil", "a/../../evil", "/tmp/evil", ".", ""] {
        let message = place.fail(&format!("{TINY} --name={name}"), 2);
        assert!(message.contains("use --out for any other directory"), "{message}");
    }
    place.succeed(&format!("{TINY} --name below/it"));
    assert!(place.path("runs/below/it/report.html").is_file());
}

#[test]
fn missing_device() {
    let place = Place::new();
    for which in ["no-such-adapter", "gpu:99", "gpu:x", ""] {
        let message = place.fail(&format!("train vae --device={which}"), 6);
        assert!(message.contains(which) && message.contains("cpu"), "{message}");
    }
}

#[test]
fn training_that_diverges() {
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
