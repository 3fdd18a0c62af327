//! The archives of the full Street View House Numbers: pictures `PART/N.png`, N from 1, and
//! `PART/digitStruct.mat` with the positions of the digits.
//!
//! Prepared as in Goodfellow and others, "Multi-digit Number Recognition from Street View Imagery" (arXiv 1312.6082,
//! section 5): the bounding box of all digits of a number, enlarged by 30% in both directions, is cut out (as far as it
//! lies in the picture) and resized to 64 x 64.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rayon::prelude::*;

use super::digit_struct::{self, Bounds};
use super::files::{self, fault};
use super::gz::RATIO;
use super::{picture, resize};
use crate::error::{Error, Result};

/// Side of a prepared image.
pub const SIDE: usize = 64;
/// Bytes of a prepared image.
pub const BYTES: usize = SIDE * SIDE * 3;

/// By how much the cut-out part is larger than the digits' bounding box, as a fraction.
const EXPANSION: f64 = 0.3;

/// Maximum bytes of a picture, and of `digitStruct.mat`.
const MOST_PNG: u64 = 1 << 26;
const MOST_STRUCT: u64 = 1 << 30;

/// Maximum number of pictures that are decoded together by all threads, and maximum total size of their files.
const TOGETHER: (usize, usize) = (512, 1 << 26);

/// The `count` pictures of an archive, cut out and resized, [count, 64, 64, 3]; N.png is image N - 1.
/// Fails on damaged data, and unless it contains 1.png to COUNT.png, each once and with boxes.
pub fn prepare(archive: &Path, count: usize) -> Result<Vec<u8>> {
    let name = archive.display().to_string();
    let cannot = |e| Error::Data(format!("{name}: {}", files::cause(&e)));
    let (_, length) = files::open(archive).map_err(cannot)?;
    unpack(&|| Ok(files::open(archive).map_err(cannot)?.0), length, &name, count)
}

/// Like [`prepare`], for an archive of `length` bytes; each call of `open` reads it from the start. `name` is for
/// messages.
///
/// Nothing is written, whatever paths and links the archive contains. Memory: the images, one file of the archive
/// (never more than deflate can make of `length` bytes), 64 MiB and one more file of compressed pictures, and one
/// decoded picture per thread.
pub fn unpack<R: Read>(
    open: &dyn Fn() -> Result<R>,
    length: u64,
    name: &str,
    count: usize,
) -> Result<Vec<u8>> {
    let archive = Archive { open, length, name };
    let bounds = bounds(&archive, count)?;
    let mut images = vec![0; count * BYTES];
    let mut seen = vec![false; count];
    let (mut waiting, mut bytes) = (Vec::<(usize, Vec<u8>)>::new(), 0);
    let mut finish = |waiting: &mut Vec<(usize, Vec<u8>)>| {
        let cut = |(k, png): &(usize, Vec<u8>)| Ok((*k, cut(png, bounds[*k], name, k + 1)?));
        for (k, image) in waiting.par_iter().map(cut).collect::<Result<Vec<_>>>()? {
            images[k * BYTES..][..BYTES].copy_from_slice(&image);
        }
        waiting.clear();
        Ok(())
    };
    archive.entries(MOST_PNG, &mut |title, read| {
        let Some(number) = title.strip_suffix(".png") else { return Ok(true) };
        let k = index(number, count).ok_or_else(|| {
            Error::Data(format!("{name}: {title} is not one of its {count} pictures"))
        })?;
        if std::mem::replace(&mut seen[k], true) {
            return fault(name, format!("contains {title} twice"));
        }
        let png = read()?;
        bytes += png.len();
        waiting.push((k, png));
        if waiting.len() == TOGETHER.0 || bytes >= TOGETHER.1 {
            finish(&mut waiting)?;
            bytes = 0;
        }
        Ok(true)
    })?;
    finish(&mut waiting)?;
    match seen.iter().position(|seen| !seen) {
        Some(k) => fault(name, format!("contains no {}.png", k + 1)),
        None => Ok(images),
    }
}

/// The index N - 1 for the name N.
fn index(number: &str, count: usize) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1).filter(|&k| k < count)
}

/// The bounding boxes of the digits in every picture.
fn bounds<R: Read>(archive: &Archive<R>, count: usize) -> Result<Vec<Bounds>> {
    let name = archive.name;
    let mut file = None;
    archive.entries(MOST_STRUCT, &mut |title, read| {
        if title == "digitStruct.mat" {
            file = Some(read()?);
        }
        Ok(file.is_none())
    })?;
    let Some(file) = file else { return fault(name, "contains no digitStruct.mat") };
    let mut bounds = vec![None; count];
    for (title, of) in digit_struct::parse(file, &format!("{name}: digitStruct.mat"))? {
        let k = title.strip_suffix(".png").and_then(|number| index(number, count));
        match k.map(|k| bounds[k].replace(of)) {
            Some(None) => {}
            Some(Some(_)) => return fault(name, format!("digitStruct.mat has {title} twice")),
            None => {
                return fault(
                    name,
                    format!(
                        "digitStruct.mat has {title}, which is not one of the \
                                                {count} pictures"
                    ),
                );
            }
        }
    }
    let missing = |k: usize| Error::Data(format!("{name}: digitStruct.mat has no {}.png", k + 1));
    bounds.into_iter().enumerate().map(|(k, of)| of.ok_or_else(|| missing(k))).collect()
}

/// Receives a file's base name and a function that reads the file; returns whether to continue.
type Visitor<'a> = &'a mut dyn FnMut(&str, &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<bool>;

/// A gzipped tar archive.
struct Archive<'a, R> {
    open: &'a dyn Fn() -> Result<R>,
    length: u64,
    name: &'a str,
}

impl<R: Read> Archive<'_, R> {
    /// Visits the files, which may have at most `most` bytes.
    fn entries(&self, most: u64, visit: Visitor) -> Result<()> {
        let name = self.name;
        let cannot = |e: std::io::Error| Error::Data(format!("{name}: cannot be unpacked: {e}"));
        let file = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, (self.open)()?));
        // Raw iteration skips entries for long names and the like, which would otherwise be read into memory as a
        // whole.
        for entry in tar::Archive::new(file).entries().map_err(cannot)?.raw(true) {
            let mut entry = entry.map_err(cannot)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path_bytes().into_owned();
            let title = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
            let title = String::from_utf8_lossy(title).into_owned();
            let size = entry.size();
            let mut read = || {
                if size > most {
                    return fault(name, format!("{title} has {size} bytes, the maximum is {most}"));
                }
                if size > self.length.saturating_mul(RATIO as u64) {
                    let what =
                        format!("{} bytes cannot contain the {size} bytes of {title}", self.length);
                    return fault(name, what);
                }
                let mut bytes = Vec::with_capacity(size as usize);
                entry.by_ref().take(size).read_to_end(&mut bytes).map_err(cannot)?;
                match bytes.len() as u64 {
                    read if read == size => Ok(bytes),
                    read => fault(name, format!("{title} ends after {read} of {size} bytes")),
                }
            };
            if !visit(&title, &mut read)? {
                break;
            }
        }
        Ok(())
    }
}

/// Cuts the number out of picture `number`, [64, 64, 3].
fn cut(png: &[u8], bounds: Bounds, name: &str, number: usize) -> Result<Vec<u8>> {
    let picture = picture::parse(png, &format!("{name}: {number}.png"))?.with_channels(3);
    let longer = |start: f64, end: f64, size: usize| {
        let more = EXPANSION / 2.0 * (end - start);
        ((start - more).max(0.0), (end + more).min(size as f64))
    };
    let rows = longer(bounds.top, bounds.bottom, picture.height);
    let columns = longer(bounds.left, bounds.right, picture.width);
    if rows.1 - rows.0 < 1.0 || columns.1 - columns.0 < 1.0 {
        return fault(name, format!("the digits of {number}.png lie outside the picture"));
    }
    Ok(resize::resized(&picture, rows, columns, SIDE, SIDE))
}
