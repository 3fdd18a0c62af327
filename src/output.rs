//! All files whose paths a user names (`--out`, `--film`, `--csv` and so on) are written by this module.
//!
//! A file is written atomically: under a temporary name next to its target, synced, and renamed. A new file has the
//! usual permissions; a replaced file keeps its own. Symbolic links stay, and the file that they point to is replaced.
//! Pipes and devices are written to directly.
//!
//! An existing file is replaced only if this program wrote it, which is recognised by a mark in the file (see
//! [`FileKind`]), if it is empty, or with `--force`. Directories, other special files and everything inside a run are
//! refused. All of this is checked twice: before the work, when the [`Output`] is created, and again when the file is
//! written.
//!
//! SIGINT, SIGTERM and SIGHUP are delayed until the rename is done, so an interrupted command leaves no temporary file.
//! A SIGKILL or a power failure at that moment may leave one, `.pixelloom-XXXXXX.tmp`.
//!
//! The files of a [`Folder`] are not synced one by one. A file that does not fit in memory is written part by part
//! ([`Writing`]) to a file without a name, which is copied at the end.

mod folder;
pub mod npz;
mod writing;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::model_file::FORMAT;
use crate::signals::postponed;
pub use folder::Folder;
pub use writing::Writing;

/// The text of a mark: the name of the program.
pub(crate) const MARK: &str = "pixelloom";

/// The settings file of a run.
pub(crate) const CONFIG: &str = "config.toml";
/// The folder of a run's checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// Number of bytes at the start of a file that are searched for its mark.
const HEAD: u64 = 1 << 16;

/// Number of links that are followed before they count as a cycle.
const MOST_LINKS: usize = 40;

/// A file format, with the mark that distinguishes this program's files from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A PNG picture; marked by the text chunk `Software`.
    Png,
    /// A GIF film; marked by a comment.
    Gif,
    /// A model file; marked by `format` in its metadata.
    Safetensors,
    /// A page; marked by its generator.
    Html,
    /// A table; marked by its first line, a comment.
    Csv,
    /// A TensorBoard event file; marked by the writer in the first event.
    Events,
    /// A NumPy archive of arrays; marked by an extra field of its first entry.
    Npz,
    /// A TOML file of tiles; marked by its first line, a comment.
    Tiles,
}

impl FileKind {
    /// The name of such a file in messages, and the allowed extensions; none if the program chooses the name.
    fn names(self) -> (&'static str, &'static [&'static str]) {
        match self {
            FileKind::Png => ("PNG picture", &["png"]),
            FileKind::Gif => ("GIF film", &["gif"]),
            FileKind::Safetensors => ("safetensors file", &["safetensors"]),
            FileKind::Html => ("HTML page", &["html", "htm"]),
            FileKind::Csv => ("CSV table", &["csv"]),
            FileKind::Events => ("TensorBoard event file", &[]),
            FileKind::Npz => ("NumPy archive", &["npz"]),
            FileKind::Tiles => ("TOML file", &["toml"]),
        }
    }

    /// Whether a file of this kind that starts with `head` was written by this program.
    fn is_marked(self, head: &[u8]) -> bool {
        let has = |mark: &[u8]| head.windows(mark.len()).any(|part| part == mark);
        match self {
            FileKind::Png => {
                head.starts_with(b"\x89PNG") && has(format!("tEXtSoftware\0{MARK}").as_bytes())
            }
            FileKind::Gif => head.starts_with(b"GIF89a") && has(&gif_comment()),
            FileKind::Safetensors => {
                head.get(8) == Some(&b'{') && has(format!("\"format\":\"{FORMAT}\"").as_bytes())
            }
            FileKind::Html => {
                head.starts_with(b"<!DOCTYPE html>") && has(html_generator().as_bytes())
            }
            FileKind::Csv => {
                let version = head.strip_prefix(format!("# {MARK} ").as_bytes());
                version.is_some_and(|version| version.first().is_some_and(u8::is_ascii_digit))
            }
            FileKind::Events => has(&event_writer()),
            FileKind::Npz => head.starts_with(b"PK\x03\x04") && has(&npz::mark()),
            FileKind::Tiles => head.starts_with(tiles_mark().as_bytes()),
        }
    }

    /// Whether missing folders on the way to such a file are created.
    fn makes_folders(self) -> bool {
        matches!(self, FileKind::Events | FileKind::Tiles)
    }
}

/// The comment extension of a GIF with the mark in it: label, length, text, end.
fn gif_comment() -> Vec<u8> {
    [&[0x21, 0xfe, MARK.len() as u8], MARK.as_bytes(), &[0]].concat()
}

/// The field of an event (TensorBoard, protobuf) that names its writer: `source_metadata`, field 10, with
/// `writer`, field 1.
pub(crate) fn event_writer() -> Vec<u8> {
    let (field, length) = (|number: u8| number << 3 | 2, MARK.len() as u8);
    [&[field(10), length + 2, field(1), length], MARK.as_bytes()].concat()
}

/// The start of the page element that names the generator; the version follows.
pub(crate) fn html_generator() -> String {
    format!("<meta name=\"generator\" content=\"{MARK} ")
}

/// The start of a file of tiles.
pub(crate) fn tiles_mark() -> String {
    format!("# {MARK} tune")
}

/// The program's name and version, with the commit that it was built from if the environment variable
/// `PIXELLOOM_COMMIT` named one during the build.
pub fn program() -> String {
    let commit = option_env!("PIXELLOOM_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map_or(String::new(), |commit| format!(" (commit {commit})"));
    format!("pixelloom {}{commit}", env!("CARGO_PKG_VERSION"))
}

/// The first line of a CSV table, a comment that describes its content.
pub fn csv_comment(what: &str) -> String {
    format!("# {MARK} {}: {what}\n", env!("CARGO_PKG_VERSION"))
}

/// A cell of a CSV table as in RFC 4180. Cells with `#` are quoted too, so that it does not start a comment.
pub fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r', '#']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.into()
}

/// Whether `dir` is the directory of a run, that is, has settings and checkpoints.
pub(crate) fn is_run(dir: &Path) -> bool {
    dir.join(CONFIG).is_file() && dir.join(CHECKPOINTS).is_dir()
}

/// Who chose the path of an output.
#[derive(Clone, Copy, Debug)]
enum By {
    /// The program, inside a run.
    Program,
    User {
        kind: FileKind,
        force: bool,
    },
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
    by: By,
}

/// The destination behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The regular file at this canonical path, which may not exist yet.
    File(PathBuf),
    /// A pipe or a device.
    Stream,
    /// The program's own stdout.
    Stdout,
}

impl Output {
    /// A file of a run, at a path that the program chose; an existing file is replaced.
    pub fn in_run(path: impl Into<PathBuf>) -> Output {
        Output { path: path.into(), by: By::Program }
    }

    /// A file of this kind at a path that a user named. With `force`, files that this program did not write are
    /// replaced.
    ///
    /// Fails with [`Error::Config`] if the file must not be written there, and with [`Error::Disk`] if it cannot be
    /// written.
    pub fn named(path: &Path, kind: FileKind, force: bool) -> Result<Output> {
        let output = Output { path: path.to_path_buf(), by: By::User { kind, force } };
        if let Target::File(real) = output.target()?
            && let Some(folder) = real.parent().filter(|folder| folder.is_dir())
        {
            files::check_writable(folder).map_err(|e| Error::disk("write", path, e))?;
        }
        Ok(output)
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file. Fails as [`Output::named`] does.
    pub fn put(&self, bytes: &[u8]) -> Result<()> {
        let failed = |e| Error::disk("write", &self.path, e);
        if let By::Program = self.by {
            return files::write_whole(&self.path, bytes);
        }
        match self.target()? {
            Target::File(real) => {
                if let By::User { kind, .. } = self.by
                    && kind.makes_folders()
                {
                    let folder = real.parent().unwrap_or(Path::new("/"));
                    files::create_dir(folder).map_err(failed)?;
                }
                postponed(|| files::replace(&real, bytes))?.map_err(failed)
            }
            Target::Stream => {
                let file = File::options().append(true).open(&self.path);
                file.and_then(|mut file| files::write(&mut file, bytes)).map_err(failed)
            }
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    // A reader that closes the pipe early is not an error, as for results.
                    Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
                    written => written.map_err(failed),
                }
            }
        }
    }

    /// The destination, after checking that it may be written. Fails as [`Output::named`] does.
    pub fn target(&self) -> Result<Target> {
        let By::User { kind, force } = self.by else { return Ok(Target::File(self.path.clone())) };
        let refused = |why: String| Err(Error::Config(format!("{}{why}", self.path.display())));
        let failed = |e| Error::disk("write", &self.path, e);
        let there = match fs::metadata(&self.path) {
            Ok(there) => Some(there),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        let folder = self.path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if folder || there.as_ref().is_some_and(Metadata::is_dir) {
            return refused(" is a directory; name a file in it".into());
        }
        if let Some(there) = &there {
            if let Some(stream) = stream(&self.path, there) {
                return Ok(stream);
            }
            if !there.is_file() {
                return refused(" is neither a file, a pipe nor a character device".into());
            }
        }
        let (name, suffixes) = kind.names();
        let suffix = self.path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if !suffixes.is_empty() && !suffixes.contains(&suffix.as_str()) {
            return refused(format!(
                ": the output is a {name}; choose a name that ends in .{}",
                suffixes[0]
            ));
        }
        let real = match &there {
            Some(_) => fs::canonicalize(&self.path),
            None => new_file(&self.path, kind.makes_folders()),
        };
        let real = real.map_err(failed)?;
        if let Some(run) = real.ancestors().skip(1).find(|folder| is_run(folder)) {
            return refused(format!(
                " is inside the run {}, where only the program itself writes; choose a path outside it",
                run.display()
            ));
        }
        match there {
            Some(there) if !force => match foreign(&real, &there, kind) {
                Some(what) => refused(format!(
                    " exists and {what}; choose another name, or replace it with --force"
                )),
                None => Ok(Target::File(real)),
            },
            _ => Ok(Target::File(real)),
        }
    }
}

/// The pipe or device at `path`, if it can be written to. A file that stdout or another open descriptor was redirected
/// to counts too, as with `--out /dev/stdout > FILE`.
#[cfg(unix)]
fn stream(path: &Path, there: &Metadata) -> Option<Target> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let kind = there.file_type();
    let descriptors = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"];
    let descriptor = there.is_file() && descriptors.iter().any(|begin| path.starts_with(begin));
    if !(kind.is_fifo() || kind.is_char_device() || descriptor) {
        return None;
    }
    let own = fs::metadata("/dev/stdout")
        .is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()));
    Some(if own { Target::Stdout } else { Target::Stream })
}

#[cfg(not(unix))]
fn stream(_: &Path, _: &Metadata) -> Option<Target> {
    None
}

/// The canonical path of a file that does not exist yet: in an existing folder, at the end of dangling links.
/// `makes_folders`: missing folders will be created.
fn new_file(path: &Path, makes_folders: bool) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let folder = real_folder(files::parent(&path), makes_folders)?;
        match fs::read_link(folder.join(name)) {
            Ok(to) => path = folder.join(to),
            Err(_) => return Ok(folder.join(name)),
        }
    }
    Err(io::Error::other("too many links"))
}

fn real_folder(folder: &Path, makes_folders: bool) -> io::Result<PathBuf> {
    match (fs::canonicalize(folder), folder.file_name()) {
        (Err(e), Some(name)) if makes_folders && e.kind() == ErrorKind::NotFound => {
            Ok(real_folder(files::parent(folder), makes_folders)?.join(name))
        }
        (real, _) => real,
    }
}

/// Why an existing file must not be replaced by one of this kind, as "is ..."; `None` if it may be.
fn foreign(real: &Path, there: &Metadata, kind: FileKind) -> Option<String> {
    if there.permissions().readonly() {
        return Some("is write-protected".into());
    }
    let mut head = Vec::new();
    let read = File::open(real).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    if let Err(e) = read {
        return Some(format!("cannot be read: {e}"));
    }
    if head.is_empty() || kind.is_marked(&head) {
        return None;
    }
    let what = match &head[..] {
        [0x89, b'P', b'N', b'G', ..] => "a PNG picture",
        [b'G', b'I', b'F', b'8', ..] => "a GIF picture",
        [0xff, 0xd8, 0xff, ..] => "a JPEG picture",
        head if head.starts_with(b"<!DOCTYPE html") => "an HTML page",
        head if head.get(8) == Some(&b'{') => "a safetensors file",
        head if !head.contains(&0) && text(head) => "a text file",
        _ => "a file",
    };
    Some(format!("is {what} of {} bytes that pixelloom did not write", there.len()))
}

/// Whether these bytes are UTF-8, except for a character that may be cut off at the end.
fn text(head: &[u8]) -> bool {
    std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true)
}
