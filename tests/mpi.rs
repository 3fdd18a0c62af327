//! Training in several processes under `mpirun`: `cargo test --release --features mpi --test mpi`.
//! Needs Open MPI (Debian: `apt install libopenmpi-dev openmpi-bin libclang-dev`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Four batches per epoch; the last has one image, which leaves all other ranks without any. Adam's first step on a
/// weight is the learning rate times the sign of the gradient, however small, unless the gradient is below epsilon.
/// Epsilon is therefore larger than the rounding error of a gradient of 0.
const VAE: &str = "train vae --hidden 16 --latent 3 --rate 0.003 --eval-every 5 --set data.limit=181 \
                   --batch 60 --epochs 13 --log-every 9 --set optimizer.schedule=constant \
                   --set optimizer.epsilon=1e-5";
/// A run that ends only when it is stopped, or at the timeout of one minute.
const LONG: &str = "train vae --hidden 16 --latent 3 --batch 100 --log-every 7 --eval-every 1000 \
                    --set save_every=10 --set optimizer.schedule=constant";

/// Allows more ranks than cores, and turns a deadlock between ranks into a failure after a minute.
const MPIRUN: [&str; 3] = ["--oversubscribe", "--timeout", "60"];

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// The program on its own (`ranks` = 0), or under mpirun.
    fn command(&self, ranks: usize, arguments: &str) -> Command {
        let program = assert_cmd::cargo::cargo_bin!("pixelloom");
        let mut command = Command::new(if ranks == 0 { program } else { Path::new("mpirun") });
        if ranks > 0 {
            command.args(MPIRUN).args(["--bind-to", "none", "-n", &ranks.to_string()]);
            command.arg(program);
        }
        command.args(arguments.split_whitespace());
        command.args(["--device", "cpu", "--threads", "1"]);
        as_root(&mut command).current_dir(self.0.path());
        command
    }

    fn run(&self, ranks: usize, arguments: &str) -> Output {
        self.command(ranks, arguments).output().expect("mpirun is installed")
    }

    #[track_caller]
    fn succeed(&self, ranks: usize, arguments: &str) {
        let output = self.run(ranks, arguments);
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
        assert_eq!(lines, 1, "one process prints the result");
    }

    fn read(&self, below: &str) -> Vec<u8> {
        std::fs::read(self.path(below)).unwrap_or_else(|e| panic!("{below}: {e}"))
    }

    fn checkpoints(&self, run: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(&format!("runs/{run}/checkpoints")));
        let names = entries.into_iter().flatten().flatten();
        let mut names: Vec<_> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A file of the last checkpoint of a run.
    fn last(&self, run: &str, file: &str) -> Vec<u8> {
        let name = self.checkpoints(run).pop().expect("a checkpoint");
        self.read(&format!("runs/{run}/checkpoints/{name}/{file}"))
    }

    fn weights(&self, run: &str) -> BTreeMap<String, Vec<f32>> {
        let bytes = self.last(run, "model.safetensors");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a file of tensors");
        let numbers = |bytes: &[u8]| {
            bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
        };
        file.tensors().into_iter().map(|(name, t)| (name, numbers(t.data()))).collect()
    }

    /// Asserts that all weights of two runs agree to 1e-5 of the largest weight of their tensor.
    #[track_caller]
    fn assert_close(&self, a: &str, b: &str) {
        assert_eq!(self.checkpoints(a), self.checkpoints(b));
        let (of_a, of_b) = (self.weights(a), self.weights(b));
        assert!(!of_a.is_empty() && of_a.len() == of_b.len());
        let mut worst = 0.0_f32;
        for (name, x) in &of_a {
            let largest = x.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            let off = x.iter().zip(&of_b[name]).fold(0.0_f32, |m, (x, y)| m.max((x - y).abs()));
            assert!(off <= 1e-5 * largest, "{name} of {a} and {b}: {off} of {largest}");
            worst = worst.max(off / largest);
        }
        println!("{a} and {b}: weights agree to {worst:.1e} of their size");
    }

    /// Asserts that two runs have the same bytes of weights and state, and the same metrics except for times.
    #[track_caller]
    fn assert_equal(&self, a: &str, b: &str) {
        assert_eq!(self.checkpoints(a).last(), self.checkpoints(b).last());
        for file in ["model.safetensors", "state.safetensors"] {
            assert!(self.last(a, file) == self.last(b, file), "{file} of {a} and {b} differ");
        }
        let metrics = |run: &str| -> Vec<String> {
            let text = String::from_utf8(self.read(&format!("runs/{run}/metrics.jsonl")));
            let untimed = |line: &str| line.split(",\"seconds\"").next().unwrap_or("").to_string();
            text.expect("text").lines().map(untimed).collect()
        };
        assert_eq!(metrics(a), metrics(b));
    }

    /// Starts the program in the background and waits until it has saved a checkpoint at step 30 or later.
    fn start(&self, ranks: usize, arguments: &str, run: &str) -> Child {
        let mut command = self.command(ranks, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("mpirun is installed");
        let start = Instant::now();
        while self.checkpoints(run).last().is_none_or(|name| name.as_str() < "step-00000030") {
            assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

/// Lets Open MPI run as root, which needs a confirmation; containers often have no other user.
fn as_root(command: &mut Command) -> &mut Command {
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The process id of a rank of `mpirun`.
fn process_of(mpirun: &Child, rank: usize) -> String {
    let id = mpirun.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.expect("Linux lists children");
    let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_it = |child: &&str| {
        let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap_or_default();
        environment.split(|&b| b == 0).any(|entry| entry == variable.as_bytes())
    };
    children.split_whitespace().find(is_it).expect("the rank runs").to_string()
}

fn kill(process: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, process]).status().expect("kill").success());
}

/// Asserts that two processes, each with half of every batch, give the weights of a single one.
fn two_equal_one(arguments: &str) {
    let place = Place::new();
    place.succeed(0, &format!("{arguments} --name one"));
    place.succeed(2, &format!("{arguments} --name two"));
    place.assert_close("one", "two");
}

#[test]
fn two_ranks_of_a_vae_equal_one() {
    two_equal_one(VAE);
}

#[test]
fn two_ranks_of_a_vae_with_clipping_and_several_samples_equal_one() {
    two_equal_one(&format!("{VAE} --set optimizer.clip=5 --set model.method.samples=3"));
}

/// Moving averages agree between the ranks and a single process, and survive resuming.
#[test]
fn two_ranks_of_a_vae_with_averages_equal_one() {
    let averaged = format!("{VAE} --set optimizer.average=0.9");
    two_equal_one(&averaged);
    let place = Place::new();
    place.succeed(2, &format!("{averaged} --name whole"));
    place.succeed(2, &format!("{} --name parts", averaged.replace("epochs 13", "epochs 6")));
    place.succeed(2, "train vae --resume --name parts --epochs 13");
    let (whole, parts) =
        (place.last("whole", "model.safetensors"), place.last("parts", "model.safetensors"));
    assert!(whole == parts, "the averages of a resumed run differ");
}

/// With such a large learning rate some batches overflow, because of one image of 60, or of a rank's only image. All
/// ranks must skip exactly the steps that a single process skips.
#[test]
fn ranks_skip_the_same_steps() {
    let place = Place::new();
    let flags = "--rate 7 --set optimizer.clip=1 --on-nonfinite skip --eval-every 99 --log-every 1";
    let skipped = |ranks: usize| -> Vec<bool> {
        let vae = VAE.replace("--rate 0.003", "").replace("--eval-every 5", "");
        let vae = vae.replace("--log-every 9", "");
        place.succeed(ranks, &format!("{vae} {flags} --name of-{ranks}"));
        let text = place.read(&format!("runs/of-{ranks}/metrics.jsonl"));
        let text = String::from_utf8(text).expect("text");
        let steps = text.lines().filter(|line| line.contains("\"kind\":\"train\""));
        steps.map(|line| line.contains("\"skipped\":")).collect()
    };
    let (one, two) = (skipped(0), skipped(2));
    assert_eq!(one.len(), 52);
    let last_good = one.iter().rposition(|skipped| !skipped).expect("a good step");
    assert!(one[..last_good].contains(&true), "good steps follow bad ones: {one:?}");
    assert_eq!(one, two);
}

#[test]
fn two_ranks_of_wake_sleep_and_monte_carlo_em_equal_one() {
    two_equal_one(&format!("{VAE} --set model.method=wake-sleep"));
    // One batch and its five updates only: the trajectories of a second batch would amplify the rounding errors of
    // the first a hundredfold.
    let short = VAE.replace("--epochs 13", "--epochs 1").replace("limit=181", "limit=59");
    two_equal_one(&format!("{short} --set model.method=monte-carlo-em"));
}

#[test]
fn two_ranks_of_a_pixel_model_equal_one() {
    two_equal_one(
        "train pixelcnn --hidden 8 --layers 2 --set model.head=8 --batch 7 --set data.limit=70 \
         --epochs 5 --eval-every 5 --set optimizer.epsilon=1e-5",
    );
}

#[test]
fn two_ranks_of_draw_equal_one() {
    two_equal_one(
        "train draw --hidden 12 --latent 3 --glimpses 3 --batch 9 --set data.limit=90 --epochs 5 \
         --eval-every 5 --set optimizer.epsilon=1e-5",
    );
}

#[test]
fn ranks_repeat_themselves_bit_for_bit_and_one_of_them_is_the_plain_program() {
    let place = Place::new();
    for (ranks, name) in [(0, "plain"), (1, "one"), (2, "a"), (2, "b"), (3, "c"), (3, "d")] {
        place.succeed(ranks, &format!("{VAE} --name {name}"));
    }
    place.assert_equal("plain", "one");
    place.assert_equal("a", "b");
    place.assert_equal("c", "d");
    place.assert_close("plain", "c");
}

#[test]
fn a_run_resumes_with_another_number_of_ranks() {
    let place = Place::new();
    place.succeed(2, &format!("{VAE} --name whole"));
    let first = VAE.replace("--epochs 13", "--epochs 4");
    place.succeed(2, &format!("{first} --name parts"));
    for (ranks, epochs) in [(3, 7), (0, 10), (2, 13)] {
        place.succeed(ranks, &format!("train vae --resume --name parts --epochs {epochs}"));
    }
    assert_eq!(place.checkpoints("whole").last(), place.checkpoints("parts").last());
    let last = |run: &str| vec![place.checkpoints(run).pop().expect("a checkpoint")];
    assert_eq!(last("whole"), last("parts"));
    let (whole, parts) = (place.weights("whole"), place.weights("parts"));
    for (name, x) in &whole {
        let largest = x.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        assert!(x.iter().zip(&parts[name]).all(|(x, y)| (x - y).abs() <= 1e-5 * largest), "{name}");
    }
}

#[test]
fn a_killed_rank_ends_all_and_resuming_gives_the_same_bytes() {
    let place = Place::new();
    let mpirun = place.start(2, &format!("{LONG} --epochs 9999 --name killed"), "killed");
    kill(&process_of(&mpirun, 1), "-KILL");
    let killed = Instant::now();
    let output = mpirun.wait_with_output().expect("it ends");
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let text = stderr(&output);
    assert!(!output.status.success() && text.contains("rank 1"), "{text}");
    assert!(text.contains("signal 9"), "{text}");
    // Resume to the end of the epoch after the last checkpoint, and compare with an uninterrupted run.
    let last = place.checkpoints("killed").pop().expect("a checkpoint");
    let step: u64 = last["step-".len()..].parse().expect("a number");
    let epochs = step / 45 + 1;
    place.succeed(2, &format!("train vae --resume --name killed --epochs {epochs}"));
    place.succeed(2, &format!("{LONG} --epochs {epochs} --name whole"));
    place.assert_equal("killed", "whole");
}

#[test]
fn a_signal_to_any_rank_saves_and_stops_all() {
    let place = Place::new();
    let mpirun = place.start(2, &format!("{LONG} --epochs 9999 --name stopped"), "stopped");
    kill(&process_of(&mpirun, 1), "-INT");
    let output = mpirun.wait_with_output().expect("it ends");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert_eq!(text.matches("\npixelloom train vae --resume --out ").count(), 1, "{text}");
}

/// Rank 1 runs in a folder without the images.
#[test]
fn an_error_on_one_rank_ends_all() {
    let place = Place::new();
    for dir in ["a/images", "b"] {
        std::fs::create_dir_all(place.path(dir)).expect("a folder");
    }
    for i in 0..30_u8 {
        let path = place.path(&format!("a/images/{i}.png"));
        let file = std::fs::File::create(path).expect("a file");
        let mut encoder = png::Encoder::new(file, 8, 8);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&[i * 8; 64]).expect("pixels");
    }
    let program = assert_cmd::cargo::cargo_bin!("pixelloom");
    let train = "train vae --data folder:images --binarization grey --batch 8 --device cpu";
    let mut command = Command::new("mpirun");
    command.args(MPIRUN);
    for (dir, end) in [("a", Some(":")), ("b", None)] {
        command.args(["-n", "1", "-wdir"]).arg(place.path(dir)).arg(program);
        command.args(train.split_whitespace()).args(end);
    }
    let start = Instant::now();
    let output = as_root(&mut command).output().expect("mpirun is installed");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("rank 1: error: ") && text.contains("images"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn other_commands_do_not_run_in_several_processes() {
    let place = Place::new();
    let mut command = Command::new("mpirun");
    command.args(MPIRUN).args(["-n", "2"]).arg(assert_cmd::cargo::cargo_bin!("pixelloom"));
    let output = as_root(command.arg("presets")).current_dir(place.0.path()).output();
    let output = output.expect("mpirun is installed");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("only `train` supports several"), "{}", stderr(&output));
}
