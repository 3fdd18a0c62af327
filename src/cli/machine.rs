//! `--device` and `--threads`: where a command runs its computations.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use pixelloom::machine::choose as choose_device;
use pixelloom::machine::tuned::{Adapter, Tuned};
use pixelloom::ranks::local;
use pixelloom::text::shell_word;
use pixelloom::tiles::Tiles;
use pixelloom::{Device, Error};

use super::bar::Bar;
use super::out::{is_verbose, remark};

/// Upper limit of `--threads`.
const MOST_THREADS: i64 = 1024;

#[derive(Args)]
pub struct Machine {
    /// auto, cpu, gpu (the first hardware GPU), gpu:N, a part of an adapter's name, or reference (plain loops; slow,
    /// for reading and debugging)
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "auto",
        help_heading = "Machine",
        env = "PIXELLOOM_DEVICE"
    )]
    device: String,
    /// CPU threads; results do not depend on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Machine", env = "PIXELLOOM_THREADS",
          value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Tiles of a GPU's kernels: a file that `pixelloom tune` wrote, or builtin [default: the file in the user's folder
    /// of settings, if there is one]
    #[arg(long, value_name = "FILE", help_heading = "Machine", env = "PIXELLOOM_TILES")]
    tiles: Option<PathBuf>,
}

/// The value of `--tiles` for the table that is built into the program.
const BUILT_IN: &str = "builtin";

impl Machine {
    /// The flags that were given, as arguments for another command.
    pub fn arguments(&self) -> Vec<String> {
        let device = (self.device != "auto").then(|| ["--device".into(), self.device.clone()]);
        let threads = self.threads.map(|n| ["--threads".into(), n.to_string()]);
        let tiles = self.tiles.as_ref().map(|p| ["--tiles".into(), p.display().to_string()]);
        device.into_iter().chain(threads).chain(tiles).flatten().collect()
    }

    /// The file of tiles, and whether the user named it; `None` for the built-in ones.
    pub fn tiles_file(&self) -> Option<(PathBuf, bool)> {
        match &self.tiles {
            Some(path) if path == Path::new(BUILT_IN) => None,
            Some(path) => Some((path.clone(), true)),
            None => Tuned::usual_path().map(|path| (path, false)),
        }
    }

    /// The device with the tiles that were measured for it, if there are any.
    fn tuned(&self, device: Device) -> Result<Device, Error> {
        let Some(adapter) = Adapter::of(&device) else { return Ok(device) };
        let measured = match self.tiles_file() {
            None => None,
            Some((path, named)) => match Tuned::read(&path)? {
                None if named => {
                    return Err(Error::Config(format!(
                        "there is no file {}; measure tiles for this GPU first: pixelloom tune --tiles {}",
                        path.display(),
                        shell_word(&path.display().to_string())
                    )));
                }
                None => None,
                Some(tuned) => tuned.of(&adapter).map(|(tiles, model)| (path, tiles, model)),
            },
        };
        let (device, whose) = match measured {
            None => (device, "built in".into()),
            Some((path, tiles, model)) => {
                (device.with_tiles(tiles), format!("measured for {model}, in {}", path.display()))
            }
        };
        if is_verbose() {
            let values = device.tiles().values();
            let names = Tiles::LIMITS.iter().map(|(name, ..)| name);
            let list: Vec<_> = names.zip(values).map(|(name, n)| format!("{name} {n}")).collect();
            remark(&format!("tiles: {} ({whose})", list.join(", ")));
        }
        Ok(device)
    }

    /// Runs `f` on the chosen device, inside a thread pool of the chosen size.
    pub fn run<T: Send>(&self, f: impl FnOnce(&Device) -> Result<T> + Send) -> Result<T> {
        self.run_on(|device| self.tuned(device), f)
    }

    /// Like [`Machine::run`], but a GPU has the built-in tiles.
    pub fn run_untuned<T: Send>(&self, f: impl FnOnce(&Device) -> Result<T> + Send) -> Result<T> {
        self.run_on(Ok, f)
    }

    fn run_on<T: Send>(
        &self,
        tuned: impl FnOnce(Device) -> Result<Device, Error>,
        f: impl FnOnce(&Device) -> Result<T> + Send,
    ) -> Result<T> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = self.threads.map_or_else(cores, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool =
            pool.map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))?;
        let (device, why) = choose(&self.device)?;
        let threads = if device.is_cpu() {
            format!(", {threads} thread{}", if threads == 1 { "" } else { "s" })
        } else {
            String::new()
        };
        remark(&format!("device: {}{threads} ({why})", device.name()));
        let device = tuned(device)?;
        pool.install(|| f(&device))
    }
}

/// The device and why it was chosen. Prints how long a GPU's kernels took to compile.
pub fn choose(which: &str) -> Result<(Device, String), Error> {
    let (start, mut kernels) = (Instant::now(), 0);
    let bar = Bar::new("kernels compiled", 0);
    let chosen = choose_device(which, local(), &mut |done, total| {
        kernels = total;
        let _ = bar.of(done, total);
    });
    bar.done();
    if chosen.is_ok() && kernels > 0 {
        let seconds = start.elapsed().as_secs_f64();
        remark(&format!("{kernels} kernels compiled in {seconds:.1} s"));
    }
    chosen
}
