//! The processes that train together, started by `mpirun`: one per device, each with some rows of every batch. This is
//! the only file that uses the `mpi` crate.
//!
//! All ranks have the same weights and optimiser state. A step sums the gradients of all rows, and then every rank
//! takes the same optimiser step; only rank 0 reads and writes files of the run. Without the feature `mpi` or without
//! `mpirun` there is a single rank, and all operations here do nothing.

use std::ops::Range;

use crate::error::{Error, Result};

/// Environment variables in which a launcher passes the number of processes: Open MPI, then MPICH.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// Environment variables with the number of a process among those on its machine.
const LOCAL_RANKS: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"];
/// Exit codes after a signal, on which all ranks have agreed.
const SIGNALS: Range<u8> = 128..160;

/// The rank of this process and the number of processes that train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    own: usize,
    count: usize,
}

impl Ranks {
    /// A process that trains alone.
    pub fn one() -> Ranks {
        Ranks { own: 0, count: 1 }
    }

    /// Joins the processes that a launcher started together with this one, if any; call [`leave`] at the end. Fails
    /// with [`Error::Config`] if there are several and the program is built without MPI.
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

    /// The number of processes.
    pub fn count(self) -> usize {
        self.count
    }

    /// This rank's rows of a batch of `total`; may be empty if there are fewer rows than ranks.
    pub fn rows(self, total: usize) -> Range<usize> {
        let cut = |rank: usize| rank * total / self.count;
        cut(self.own)..cut(self.own + 1)
    }

    /// Replaces `values` by their sums over all ranks, with identical bits on each.
    pub fn sum(self, values: &mut [f32]) {
        wire::sum(values);
    }

    /// Replaces `values` by those of rank 0.
    pub fn tell(self, values: &mut [f32]) {
        wire::tell(values);
    }

    /// Broadcasts the text of rank 0; the argument of other ranks is ignored.
    pub fn tell_text(self, text: String) -> String {
        wire::tell_text(text)
    }

    /// Returns on all ranks the signal that any rank caught, so that all stop after the same step.
    pub fn agree(self, signal: Option<i32>) -> Option<i32> {
        Some(wire::largest(signal.unwrap_or(0))).filter(|&signal| signal != 0)
    }
}

/// The number of processes that a launcher started, if there is one.
fn launched() -> Option<usize> {
    SIZES.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// The number of this process among those that a launcher started on this machine; 0 without a launcher.
pub fn local() -> usize {
    let number = |name: &&str| std::env::var(name).ok()?.parse().ok();
    LOCAL_RANKS.iter().find_map(number).filter(|_| launched().is_some()).unwrap_or(0)
}

/// Fails with [`Error::Config`] if a launcher started several processes, which `what` does not support.
pub fn refuse(what: &str) -> Result<()> {
    match launched() {
        Some(count) if count > 1 => Err(Error::Config(format!(
            "mpirun started {count} processes, but {what} supports only one (only `train` supports \
             several); start it without mpirun"
        ))),
        _ => Ok(()),
    }
}

/// The prefix of lines that ranks other than 0 print.
pub fn prefix() -> String {
    match wire::own() {
        0 => String::new(),
        own => format!("rank {own}: "),
    }
}

/// Leaves MPI before the process ends with exit code `code`; call it on the thread that entered. Waits for the other
/// ranks after success or a signal, at which all ranks stop. Otherwise it ends the other ranks, because they would wait
/// for this one.
pub fn leave(code: u8) -> u8 {
    wire::leave(code == 0 || SIGNALS.contains(&code), code);
    code
}

#[cfg(not(feature = "mpi"))]
mod wire {
    use super::{Error, Ranks, Result};

    pub fn enter(count: usize) -> Result<Ranks> {
        Err(Error::Config(format!(
            "mpirun started {count} processes, but this program was built without MPI; build it with \
             --features mpi, or start it without mpirun"
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

    /// MPI while it is initialized; dropping the value finalizes it.
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
        // Calls come from different threads, but only one at a time.
        let Some((started, threading)) = mpi::initialize_with_threading(Threading::Serialized)
        else {
            return fault("it is already initialized in this process");
        };
        let world = started.world();
        let ranks = Ranks { own: world.rank() as usize, count: world.size() as usize };
        *universe() = Some(started);
        if threading < Threading::Serialized {
            return fault("the library does not allow calls from several threads");
        }
        if ranks.count != count {
            return fault(&format!(
                "the launcher started {count} processes, but the library reports {}; use the mpirun of the \
                 library that the program is built with",
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
