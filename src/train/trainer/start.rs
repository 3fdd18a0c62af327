//! The start of a run: at step 0, or at its newest checkpoint.

use std::path::PathBuf;

use super::{Job, Resume};
use crate::error::{Error, Result};
use crate::nn::{Module, TrainState};
use crate::run::checkpoint::{self, Checkpoint, Position, RunSettings, State};
use crate::run::metrics::{self, Seconds};
use crate::run::{RunDir, TrainingStage, resume};
use crate::tiles::Tiles;

/// The state that a run starts with, in addition to weights and the optimiser's state.
#[derive(Default)]
pub(super) struct Start {
    pub position: Position,
    /// Time of earlier processes.
    pub seconds: Seconds,
    /// Number of lines of metrics.
    pub lines: u64,
    /// The checkpoint and its position.
    pub last_saved: Option<(PathBuf, Position)>,
    /// Whether the checkpoint must be written again because it lacks settings and fingerprint.
    pub rewrite: bool,
    /// Messages for the user.
    pub remarks: Vec<String>,
    /// The training stages before the resumed one.
    pub history: Vec<TrainingStage>,
}

impl Start {
    /// Loads the checkpoint to resume from into `model` and `training`. The checkpoint, the settings, the images and
    /// the metrics are all checked before anything is written.
    pub fn resumed(
        job: &Job,
        total: u64,
        Opened { checkpoint, state, damaged }: Opened,
        model: &dyn Module,
        training: &mut TrainState,
    ) -> Result<Start> {
        let dir = checkpoint.path.parent().unwrap_or(&checkpoint.path).to_path_buf();
        let images = job.fingerprint.as_ref().expect("rank 0 has it");
        let asked = resume::Asked { config: &job.config, images, count: job.data.train.count };
        let note = resume::check(&asked, (&state, &checkpoint.data), &job.run, &dir)?;
        let mut position = state.position.clone();
        if position.step > total {
            return Err(Error::Config(format!(
                "{} is already at step {}, but {} epochs have only {total} steps; ask for more --epochs",
                dir.display(),
                position.step,
                job.config.epochs
            )));
        }
        let rewrite = matches!(state.settings, RunSettings::Hash(_));
        checkpoint.load_into(model)?;
        state.restore(model, training)?;
        let kept = metrics::rewind(&job.run.metrics(), &position)?;
        // Set when a checkpoint is written.
        position.lines = None;
        let mut remarks: Vec<String> = note.iter().map(|note| format!("note: {note}")).collect();
        for (broken, error) in damaged {
            let away = job.run.put_away(&broken)?;
            remarks.push(format!(
                "warning: {error}; resuming from {}; the damaged checkpoint is kept as {}",
                dir.display(),
                away.display()
            ));
        }
        let last_saved = Some((dir, position.clone()));
        let (seconds, lines) = (kept.seconds, kept.lines);
        let history = checkpoint.history;
        Ok(Start { position, seconds, lines, last_saved, rewrite, remarks, history })
    }
}

/// The checkpoint to resume from.
pub(super) struct Opened {
    checkpoint: Checkpoint,
    state: State,
    /// The later checkpoints that are damaged, with their errors.
    damaged: Vec<(PathBuf, String)>,
}

impl Opened {
    /// The tiles that the checkpoint was trained with on a GPU.
    pub fn tiles(&self) -> Tiles {
        self.state.tiles.unwrap_or(Tiles::DISCRETE)
    }
}

/// Opens the checkpoint to resume from.
pub(super) fn open(run: &RunDir, resume: Resume) -> Result<Opened> {
    let (newest, mut damaged) = (run.newest()?, Vec::new());
    for step in run.steps().into_iter().rev() {
        let dir = run.checkpoint(step);
        match checkpoint::open(&dir) {
            Err(Error::Checkpoint(what)) if resume == Resume::NewestWhole => {
                damaged.push((dir, what));
            }
            other => return other.map(|(checkpoint, state)| Opened { checkpoint, state, damaged }),
        }
    }
    Err(Error::Checkpoint(format!(
        "{} and all earlier checkpoints are damaged: {}; start again with --force",
        newest.display(),
        damaged.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("; ")
    )))
}
