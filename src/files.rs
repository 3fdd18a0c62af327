//! All file operations of training. Files are written atomically and survive a crash: they are written under a
//! temporary name, synced and renamed, and then the directory is synced.
//!
//! Tests inject faults: with `PIXELLOOM_FAULT=KIND:N` in the environment, the N-th operation of the process (counted
//! from 1) fails. KIND is `abort` (the process ends, as if killed), `full` (operations that need space fail from then
//! on) or `read-only` (all operations fail from then on). A failing write has written half of its bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// Suffix of the temporary name of a file that is being written.
const UNFINISHED: &str = ".tmp";
/// Bytes that [`write_synced`] writes at once.
const PIECE: usize = 1 << 20;
/// Prefix of such a name.
const TEMPORARY: &str = ".pixelloom-";

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Abort,
    Full,
    ReadOnly,
}

/// The fault to inject, and at which operation.
static PLAN: LazyLock<Option<(Fault, u64)>> = LazyLock::new(|| {
    let plan = std::env::var("PIXELLOOM_FAULT").ok()?;
    let (kind, n) = plan.split_once(':')?;
    let kind = match kind {
        "abort" => Fault::Abort,
        "full" => Fault::Full,
        "read-only" => Fault::ReadOnly,
        _ => return None,
    };
    Some((kind, n.parse().ok()?))
});

/// Number of operations so far, counted if a fault is planned.
static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// The fault that hits the next operation, if any. `grows`: whether the operation needs space.
fn fault(grows: bool) -> Option<Fault> {
    let (fault, first) = (*PLAN)?;
    let n = OPERATIONS.fetch_add(1, Ordering::Relaxed) + 1;
    let hit = match fault {
        Fault::Abort => n == first,
        Fault::Full => n >= first && grows,
        Fault::ReadOnly => n >= first,
    };
    hit.then_some(fault)
}

impl Fault {
    /// The error of the operation, unless the fault ends the process.
    fn happen(self) -> io::Error {
        match self {
            Fault::Abort => std::process::abort(),
            Fault::Full => ErrorKind::StorageFull.into(),
            Fault::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
        }
    }
}

/// Runs an operation that a fault can hit.
fn operation<T>(grows: bool, f: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    fault(grows).map_or_else(f, |fault| Err(fault.happen()))
}

/// Writes all `bytes`.
pub(crate) fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let Some(fault) = fault(true) else { return file.write_all(bytes) };
    let _ = file.write_all(&bytes[..bytes.len() / 2]);
    Err(fault.happen())
}

/// Writes all of the file `from`.
pub(crate) fn copy(from: &mut File, to: &mut File) -> io::Result<()> {
    operation(true, || from.rewind().and_then(|()| io::copy(from, to)).map(drop))
}

/// Opens a file for appending, made if it is not there.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    operation(true, || OpenOptions::new().create(true).append(true).open(path))
}

/// Syncs a file to disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    operation(false, || file.sync_all())
}

/// Creates a directory and its parents.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    operation(true, || fs::create_dir_all(path))
}

/// Creates a directory in an existing one.
pub(crate) fn create_one_dir(path: &Path) -> io::Result<()> {
    operation(true, || fs::create_dir(path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    operation(false, || fs::rename(from, to))
}

/// Removes a file, or a directory with its contents.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return operation(false, || fs::remove_file(path));
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    operation(false, || fs::remove_dir(path))
}

/// Writes and syncs a file, without a copy of it in memory. A crash may leave a partial file.
pub(crate) fn write_synced(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let file = operation(true, || File::create(path))?;
    let mut pieces = BufWriter::with_capacity(PIECE, Pieces(file));
    fill(&mut pieces)?;
    let Pieces(file) = pieces.into_inner().map_err(io::IntoInnerError::into_error)?;
    sync(&file)
}

/// A file whose pieces are written by [`write()`].
struct Pieces(File);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(&mut self.0, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the file at `path` atomically: neither a reader nor a crash ever sees a partial file. Fails with
/// [`Error::Disk`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|e| Error::disk("write", path, e))
}

/// The folder that contains `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty file under a temporary name in `dir`, with the usual permissions of a new file.
fn temporary(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY).suffix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    operation(true, || builder.tempfile_in(dir))
}

/// Replaces the file at `path` atomically, keeping the permissions of an existing file. `path` must not be a link.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| write(file, bytes))
}

/// As [`replace`], of a file that `fill` writes.
pub(crate) fn replace_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let file = filled(path, fill)?;
    sync(file.as_file())?;
    operation(false, || Ok(file.persist(path)?))?;
    sync_entries(parent(path))
}

/// As [`replace`], of one of many files: it does not wait for the disk, so a power cut may leave the last ones empty.
pub(crate) fn replace_soon(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = filled(path, |file| write(file, bytes))?;
    operation(false, || Ok(file.persist(path)?)).map(drop)
}

/// A file for `path` under a temporary name, that `fill` writes, with the permissions of the file that it will replace.
fn filled(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut file = temporary(parent(path))?;
    fill(file.as_file_mut())?;
    if let Ok(old) = fs::metadata(path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    Ok(file)
}

/// A file without a name in `dir`, which is gone when it is closed.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    operation(true, || tempfile::tempfile_in(dir))
}

/// Whether files can be made in a directory; the one that is made for it has no name.
pub(crate) fn check_writable(dir: &Path) -> io::Result<()> {
    nameless(dir).map(drop)
}

/// Whether `name` is the temporary name of an unfinished [`replace`], or of one by an earlier version of this program
/// (NAME.PROCESS.tmp).
pub(crate) fn is_unfinished(name: &str) -> bool {
    if name.starts_with(TEMPORARY) && name.ends_with(UNFINISHED) {
        return true;
    }
    let number = name.strip_suffix(UNFINISHED).and_then(|rest| rest.rsplit_once('.'));
    number.is_some_and(|(_, pid)| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()))
}

/// Syncs the entries of a directory to disk. Fails with [`Error::Disk`].
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    sync_entries(dir).map_err(|e| Error::disk("sync", dir, e))
}

fn sync_entries(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        operation(false, || File::open(dir).and_then(|d| d.sync_all()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_are_recognised_by_their_names() {
        for name in [".pixelloom-a1B2c3.tmp", "config.toml.123.tmp", "a.1.tmp"] {
            assert!(is_unfinished(name), "{name}");
        }
        for name in
            ["config.toml", ".pixelloom-notes", "notes.tmp", "12.tmpx", "a..tmp", "a.1x.tmp"]
        {
            assert!(!is_unfinished(name), "{name}");
        }
    }
}
