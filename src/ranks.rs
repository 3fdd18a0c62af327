//! The processes that train together, started by `mpirun`: one a device, each with its rows of every
//! batch. The only file that names the `mpi` crate.
//!
//! All ranks hold the same weights and optimiser state. A step sums the gradients of all rows, after
//! which every rank takes the same optimiser step; rank 0 alone reads and writes files of the run.
//! Without the feature `mpi`, and without `mpirun`, there is one rank and nothing here does anything.

use std::ops::Range;

use crate::error::{Error, Result};

/// Variables in which a launcher tells each process how many it started: Open MPI, then MPICH.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// The number of a process among those on its machine.
const LOCAL_RANKS: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"];
/// Exit codes after a signal, of which all ranks know.
const SIGNALS: Range<u8> = 128..160;

/// What this process is among those that train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    own: usize,
    count: usize,
}

impl Ranks {
    /// A process that trains by itself.
    pub fn one() -> Ranks {
        Ranks { own: 0, count: 1 }
    }

    /// Joins the processes that a launcher started with this one, if it did; [`leave`] is the way out.
    /// Fails with [`Error::Config`] if there are several and the program is built without MPI.
    pub fn enter() -> Result<Ranks> {
        match launched() {
            Some(count) if count > 1 => wire::enter(count),
            _ => Ok(Ranks::one()),
        }
    }

    /// Whether it is rank 0, which reads and writes the files of the run.
    pub fn is_first(self) -> bool {
        self.own == 0
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// This rank's part of the rows of a batch of `total`; empty where there are fewer rows than ranks.
    pub fn rows(self, total: usize) -> Range<usize> {
        let cut = |rank: usize| rank * total / self.count;
        cut(self.own)..cut(self.own + 1)
    }

    /// Replaces `values` by their sums over all ranks, the same bits on each.
    pub fn sum(self, values: &mut [f32]) {
        wire::sum(values);
    }

    /// Replaces `values` by those of rank 0.
    pub fn tell(self, values: &mut [f32]) {
        wire::tell(values);
    }

    /// The text of rank 0; what the others give is ignored.
    pub fn tell_text(self, text: String) -> String {
        wire::tell_text(text)
    }

    /// The signal that any rank caught, so that all stop after the same step.
    pub fn agree(self, signal: Option<i32>) -> Option<i32> {
        Some(wire::largest(signal.unwrap_or(0))).filter(|&signal| signal != 0)
    }
}

/// How many processes a launcher started, if one did.
fn launched() -> Option<usize> {
    SIZES.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// The number of this process among those that a launcher started on this machine, and 0 without one.
pub fn local() -> usize {
    let number = |name: &&str| std::env::var(name).ok()?.parse().ok();
    LOCAL_RANKS.iter().find_map(number).filter(|_| launched().is_some()).unwrap_or(0)
}

/// Fails with [`Error::Config`] if a launcher started several processes, which `what` has no use for.
pub fn refuse(what: &str) -> Result<()> {
    match launched() {
        Some(count) if count > 1 => Err(Error::Config(format!(
            "{count} processes were started by mpirun, but {what} runs in one; only `train` runs in \
             several: start it without mpirun"
        ))),
        _ => Ok(()),
    }
}

/// What stands before a line that a rank other than 0 prints.
pub fn prefix() -> String {
    match wire::own() {
        0 => String::new(),
        own => format!("rank {own}: "),
    }
}

/// The end of the process with exit code `code`, on the thread that entered. Waits for the other ranks if
/// all is well, or all stop for a signal; else it ends them, since they would wait for this one.
pub fn leave(code: u8) -> u8 {
    wire::leave(code == 0 || SIGNALS.contains(&code), code);
    code
}

#[cfg(not(feature = "mpi"))]
mod wire {
    use super::{Error, Ranks, Result};

    pub fn enter(count: usize) -> Result<Ranks> {
        Err(Error::Config(format!(
            "{count} processes were started by mpirun, but this program is built without MPI; build \
             it with --features mpi, or start it without mpirun"
        )))
    }

    pub fn own() -> usize {
        0
    }

    pub fn sum(_: &mut [f32]) {}

    pub fn tell(_: &mut [f32]) {}

    pub fn tell_text(text: String) -> String {
        text
    }

    pub fn largest(value: i32) -> i32 {
        value
    }

    pub fn leave(_: bool, _: u8) {}
}

#[cfg(feature = "mpi")]
mod wire {
    use std::sync::{Mutex, PoisonError};

    use mpi::Threading;
    use mpi::collective::SystemOperation;
    use mpi::environment::Universe;
    use mpi::topology::SimpleCommunicator;
    use mpi::traits::*;

    use super::{Error, Ranks, Result};

    /// MPI, while it runs; taking it out ends it.
    static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

    fn universe() -> std::sync::MutexGuard<'static, Option<Universe>> {
        UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All processes, if there are several.
    fn world() -> Option<SimpleCommunicator> {
        universe().as_ref().map(Universe::world)
    }

    pub fn enter(count: usize) -> Result<Ranks> {
        let fault = |what: &str| Err(Error::Config(format!("MPI: {what}")));
        // One thread at a time calls it, but not always the same.
        let Some((started, threading)) = mpi::initialize_with_threading(Threading::Serialized)
        else {
            return fault("it runs already in this process");
        };
        let world = started.world();
        let ranks = Ranks { own: world.rank() as usize, count: world.size() as usize };
        *universe() = Some(started);
        if threading < Threading::Serialized {
            return fault("the library does not allow calls from several threads");
        }
        if ranks.count != count {
            return fault(&format!(
                "the launcher started {count} processes, the library knows of {}; start with the \
                 mpirun of the library that the program is built with",
                ranks.count
            ));
        }
        Ok(ranks)
    }

    pub fn own() -> usize {
        world().map_or(0, |world| world.rank() as usize)
    }

    pub fn sum(values: &mut [f32]) {
        let Some(world) = world() else { return };
        let own = values.to_vec();
        world.all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    pub fn tell(values: &mut [f32]) {
        let Some(world) = world() else { return };
        world.process_at_rank(0).broadcast_into(values);
    }

    pub fn tell_text(text: String) -> String {
        let Some(world) = world() else { return text };
        let first = world.process_at_rank(0);
        let mut length = text.len() as u64;
        first.broadcast_into(&mut length);
        let mut bytes = text.into_bytes();
        bytes.resize(length as usize, 0);
        first.broadcast_into(&mut bytes[..]);
        String::from_utf8(bytes).expect("rank 0 sends text")
    }

    pub fn largest(value: i32) -> i32 {
        let Some(world) = world() else { return value };
        let mut largest = value;
        world.all_reduce_into(&value, &mut largest, SystemOperation::max());
        largest
    }

    pub fn leave(well: bool, code: u8) {
        let running = universe().take();
        if let Some(running) = running.filter(|_| !well) {
            running.world().abort(code.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_rank() {
        for count in 1..6 {
            for total in 0..14 {
                let ranks = (0..count).map(|own| Ranks { own, count });
                let parts: Vec<_> = ranks.map(|ranks| ranks.rows(total)).collect();
                assert!(parts.iter().cloned().flatten().eq(0..total), "{parts:?}");
                let lengths = parts.iter().map(Range::len);
                let (least, most) = (lengths.clone().min(), lengths.max());
                assert!(most.unwrap() - least.unwrap() <= 1, "{parts:?}");
            }
        }
    }
}
