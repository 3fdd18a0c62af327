//! Reading whole files after checking their size, and errors for missing files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::gz;
use crate::error::{Error, Result};
use crate::text::shell_word;

/// An error about the data file `name`.
pub(super) fn fault<T>(name: &str, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Data(format!("{name}: {what}")))
}

/// Opens the regular file at `path` and returns its length.
///
/// Fails on folders, and on pipes and devices, whose reading might never end.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let meta = std::fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::Error::other("is a directory, not a file"));
    }
    if !meta.is_file() {
        return Err(io::Error::other("is not a regular file; copy its content into one"));
    }
    Ok((File::open(path)?, meta.len()))
}

/// The bytes of the regular file at `path`, which may be at most `limit` bytes long. Memory is
/// allocated only after the length was checked.
pub(crate) fn whole(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > limit {
        let what = format!("has {length} bytes, but at most {limit} are expected");
        return Err(io::Error::other(what));
    }
    let mut bytes = Vec::new();
    usize::try_from(length)
        .ok()
        .and_then(|length| bytes.try_reserve_exact(length).ok())
        .ok_or_else(|| {
            io::Error::other(format!("has {length} bytes, which do not fit into memory"))
        })?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::other("changed while it was read"));
    }
    Ok(bytes)
}

/// The cause of an error: for system errors, the system's text after "cannot be read".
pub(crate) fn cause(e: &io::Error) -> String {
    if e.raw_os_error().is_some() { format!("cannot be read: {e}") } else { e.to_string() }
}

/// The bytes of a data file, which must not be empty or longer than `limit`; otherwise like [`whole`].
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    match whole(path, limit) {
        Ok(bytes) if bytes.is_empty() => fault(&name, "is empty"),
        Ok(bytes) => Ok(bytes),
        Err(e) => fault(&name, cause(&e)),
    }
}

/// The first `count` bytes of a file's content, inflated if it is gzip data; fewer if the content is shorter or cannot
/// be read.
pub(super) fn head(path: &Path, count: usize) -> Vec<u8> {
    let read = || {
        let mut file = BufReader::new(open(path)?.0);
        let mut head = Vec::new();
        let count = count as u64;
        if gz::is_gzip(file.fill_buf()?) {
            GzDecoder::new(file).take(count).read_to_end(&mut head)?;
        } else {
            file.take(count).read_to_end(&mut head)?;
        }
        io::Result::Ok(head)
    };
    read().unwrap_or_default()
}

/// The length of a file's content. For gzip data it is taken from the last four bytes, which is right for a single
/// member of less than 4 GiB, so it is only a hint.
pub(super) fn content_length(path: &Path) -> Option<u64> {
    let (mut file, length) = open(path).ok()?;
    let mut begin = [0; 2];
    let mut end = [0; 4];
    file.read_exact(&mut begin).ok()?;
    if !gz::is_gzip(&begin) {
        return Some(length);
    }
    file.seek(SeekFrom::End(-4)).ok()?;
    file.read_exact(&mut end).ok()?;
    Some(u32::from_le_bytes(end).into())
}

/// The first of `names` that exists in `dir/folder`; the error names the first of them and the
/// command that downloads the set.
pub(super) fn find(dir: &Path, folder: &str, names: &[String], set: &str) -> Result<PathBuf> {
    let folder = dir.join(folder);
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    found.ok_or_else(|| {
        let path = folder.join(&names[0]);
        Error::Data(format!(
            "{}: no such file; download it with the script that `pixelloom data --script` prints: {}",
            path.display(),
            get(dir, set)
        ))
    })
}

/// The command that downloads `set` into `dir`.
pub(super) fn get(dir: &Path, set: &str) -> String {
    let [_, get] = commands(dir, set);
    get
}

/// The commands that check the files of `set` in `dir` and that download them.
pub(super) fn commands(dir: &Path, set: &str) -> [String; 2] {
    let script = if dir == Path::new("data") {
        "./datasets.sh".to_string()
    } else {
        format!("./datasets.sh --dir {}", shell_word(&dir.display().to_string()))
    };
    [format!("{script} --verify {set}"), format!("{script} {set}")]
}
