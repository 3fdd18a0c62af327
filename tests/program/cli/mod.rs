//! The program as users run it: exit codes, messages, files, checkpoints, signals.

mod bench;
mod browser;
mod checkpoints;
mod classes;
mod comforts;
mod commands;
mod draw;
mod errors;
mod exact;
mod faults;
mod gpu_check;
mod hostile;
mod kernels;
mod kills;
mod memory;
mod messages;
#[cfg(unix)]
mod moved;
mod outputs;
mod own;
mod pixel;
mod reproduce;
mod resume;
mod same_data;
mod samples;
#[cfg(unix)]
mod signals;
mod training;
#[cfg(feature = "gpu")]
mod tune;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the program runs, removed at the end.
pub struct Place(TempDir);

/// A small run with 4 batches per epoch and an evaluation after every epoch.
pub const TINY: &str = "train vae --device cpu --hidden 8 --latent 2 --batch 60 --epochs 3 --rate 0.01 \
                        --log-every 3 --eval-every 1 --set data.limit=200 \
                        --set optimizer.schedule=constant";

/// A very short run on the images of [`Place::with_images`], with 4 batches per epoch and a checkpoint after every
/// step.
pub fn small(kind: &str) -> String {
    let model = match kind {
        "vae" => "--hidden 4 --latent 2 --binarization dynamic",
        "draw" | "plain" => "--hidden 4 --latent 2 --glimpses 2",
        _ => "--layers 1 --hidden 2 --set model.head=2 --set model.levels=4",
    };
    let (kind, own) = match kind {
        "draw" => ("draw", "--set model.read=2 --set model.write=2"),
        "plain" => ("draw", "--set model.attention=false"),
        other => (other, ""),
    };
    format!(
        "train {kind} {model} {own} --device cpu --threads 2 --batch 8 --epochs 3 --rate 0.01 \
         --log-every 2 --eval-every 1 --data folder:images --set save_every=1 \
         --set optimizer.schedule=constant"
    )
}

#[allow(clippy::new_without_default)]
impl Place {
    pub fn new() -> Place {
        Place(TempDir::new().expect("a temporary folder"))
    }

    /// A folder, in memory if the machine supports it, with 40 grey images of 6 x 6 in `images`.
    pub fn with_images() -> Place {
        let memory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        let place = Place(memory.expect("a temporary folder"));
        place.put_images("images", 6);
        place
    }

    /// Writes 40 grey images of `side` x `side`.
    pub fn put_images(&self, below: &str, side: u32) {
        std::fs::create_dir_all(self.path(below)).expect("made");
        for i in 0..40_u32 {
            let file = self.path(&format!("{below}/{i:02}.png"));
            let file = std::fs::File::create(file).expect("made");
            let mut encoder = png::Encoder::new(file, side, side);
            encoder.set_color(png::ColorType::Grayscale);
            let mut writer = encoder.write_header().expect("written");
            let bytes: Vec<u8> =
                (0..side * side).map(|j| (i * 7919 + j * 104_729 + i * j * 31) as u8).collect();
            writer.write_image_data(&bytes).expect("written");
        }
    }

    /// Resumes an interrupted run of `arguments`, or starts it again if it was interrupted before its first checkpoint.
    /// Checks that it then equals the run `whole` and that no unfinished files are left.
    #[track_caller]
    pub fn go_on(&self, arguments: &str, run: &str, whole: &str) {
        let checkpoints = self.path(&format!("runs/{run}/checkpoints"));
        let saved =
            checkpoints.is_dir() && names(&checkpoints).iter().any(|n| n.starts_with("step-"));
        let rest = if saved { "--resume" } else { "--force" };
        let mut words = arguments.split(' ').filter(|word| !word.is_empty());
        let resumed = format!("train {} --device cpu", words.nth(1).expect("a kind"));
        let begin = if saved { &resumed } else { arguments };
        self.succeed(&format!("{begin} {rest} --name {run}"));
        self.assert_equal_runs(&format!("runs/{whole}"), &format!("runs/{run}"));
        for below in ["", "/checkpoints", "/samples"] {
            let of = |run: &str| names(&self.path(&format!("runs/{run}{below}")));
            assert_eq!(of(run), of(whole), "{run}{below}");
        }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// The command of the program with arguments separated by spaces, not yet started.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pixelloom"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        // The user may have measured tiles.
        command.env("XDG_CONFIG_HOME", self.path("settings")).env_remove("PIXELLOOM_TILES");
        command
    }

    /// Like [`Place::command`], but signals of a terminal have their usual effect. If the tests run under `nohup` or in
    /// the background of a script, some signals are ignored, and the program would inherit that.
    pub fn command_in_a_terminal(&self, arguments: &str) -> Command {
        let plain = self.command(arguments);
        if !cfg!(target_os = "linux") {
            return plain;
        }
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP").arg(plain.get_program());
        command.args(plain.get_args()).current_dir(self.0.path());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs the program, which must succeed, and returns stdout.
    #[track_caller]
    pub fn succeed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs the program, which must fail with `code` and an error of one line, and returns the message.
    #[track_caller]
    pub fn fail(&self, arguments: &str, code: i32) -> String {
        let output = self.run(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {text}");
        let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        let error = errors.last().copied().unwrap_or_default();
        assert!(!text.contains("panicked") && !error.is_empty(), "{arguments}: {text}");
        error.to_string()
    }

    pub fn read(&self, below: &str) -> Vec<u8> {
        let path = self.path(below);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The lines of metrics.jsonl without the fields that depend on the clock.
    pub fn metrics(&self, run: &str) -> Vec<String> {
        let text = String::from_utf8(self.read(&format!("{run}/metrics.jsonl"))).expect("text");
        text.lines()
            .map(|line| {
                let _: Value = serde_json::from_str(line).expect("JSON");
                line.split(",\"seconds\"").next().expect("a line").to_string()
            })
            .collect()
    }

    /// Names of the checkpoints in ascending order.
    pub fn checkpoints(&self, run: &str) -> Vec<String> {
        names(&self.path(&format!("{run}/checkpoints")))
    }

    /// Checks that two runs ended with identical bytes of weights and state, and equal metrics.
    #[track_caller]
    pub fn assert_equal_runs(&self, a: &str, b: &str) {
        let last = |run: &str| self.checkpoints(run).pop().expect("a checkpoint");
        assert_eq!(last(a), last(b));
        for file in ["model.safetensors", "state.safetensors"] {
            let bytes = |run: &str| self.read(&format!("{run}/checkpoints/{}/{file}", last(run)));
            assert!(bytes(a) == bytes(b), "{file} of {a} and {b} differ");
        }
        assert_eq!(self.metrics(a), self.metrics(b));
    }
}

/// The program's output on stderr, without the lines that Vulkan's device selection layer writes there when adapters
/// are listed without a desktop.
pub fn stderr(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.split_inclusive('\n').filter(|l| !l.starts_with("error: XDG_RUNTIME_DIR ")).collect()
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
