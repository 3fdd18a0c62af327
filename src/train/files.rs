//! Files that appear whole or not at all, and stay through a crash: written under another name,
//! synced, renamed, the directory synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes the file at `path`, so that neither a reader nor a crash ever meets half of it. Fails with
/// [`Error::Disk`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // The cause is what matters; whether the remains could be cleared away is not.
        let _ = fs::remove_file(&temporary);
        Error::disk("write", path, e)
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Waits until a directory's entries are on the disk. Fails with [`Error::Disk`].
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Error::disk("sync", dir, e))?;
    }
    Ok(())
}
