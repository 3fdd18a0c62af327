//! Reading a whole file whose size was looked at first, and naming what is missing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// An error about the data file `name`.
pub(super) fn fault<T>(name: &str, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Data(format!("{name}: {what}")))
}

/// The bytes of the file at `path`, which may be at most `limit` bytes long.
///
/// Memory is asked for only after the length was checked. Fails on anything but a regular file.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let cannot = |e| Error::Data(format!("{name}: cannot be read: {e}"));
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if meta.is_dir() {
        return fault(&name, "is a directory, not a file");
    }
    if !meta.is_file() {
        return fault(&name, "is not a regular file");
    }
    if meta.len() == 0 {
        return fault(&name, "is empty");
    }
    if meta.len() > limit {
        return fault(&name, format!("has {} bytes; at most {limit} are expected", meta.len()));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    let file = File::open(path).map_err(cannot)?;
    file.take(meta.len()).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 != meta.len() {
        return fault(&name, "changed while it was read");
    }
    Ok(bytes)
}

/// The first of `names` that exists in `dir/folder`; the error names the first of them and the
/// command that downloads the set.
pub(super) fn find(dir: &Path, folder: &str, names: &[String], set: &str) -> Result<PathBuf> {
    let folder = dir.join(folder);
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    found.ok_or_else(|| {
        let path = folder.join(&names[0]);
        Error::Data(format!("{}: no such file; get it with `{}`", path.display(), get(dir, set)))
    })
}

/// The command that downloads `set` into `dir`.
pub(super) fn get(dir: &Path, set: &str) -> String {
    if dir == Path::new("data") {
        format!("./datasets.sh {set}")
    } else {
        format!("./datasets.sh --dir {} {set}", dir.display())
    }
}
