//! The archives of the full Street View House Numbers: pictures `PART/N.png`, N from 1, and
//! `PART/digitStruct.mat`, which says where the digits are.
//!
//! Prepared as in Goodfellow and others, "Multi-digit Number Recognition from Street View Imagery"
//! (arXiv 1312.6082, section 5): the smallest rectangle around all digits of a number, made 30% longer
//! both ways, is cut out (as far as it lies in the picture) and resized to 64 x 64.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rayon::prelude::*;

use super::digit_struct::{self, Bounds};
use super::files::{self, fault};
use super::gz::RATIO;
use super::{picture, resize};
use crate::error::{Error, Result};

/// Rows and columns of a prepared image.
pub const SIDE: usize = 64;
/// Bytes of a prepared image.
pub const BYTES: usize = SIDE * SIDE * 3;

/// How much longer and wider than the digits' rectangle the part is that is cut out.
const EXPANSION: f64 = 0.3;

/// The longest picture, and the longest description of where digits are, that is read.
const MOST_PNG: u64 = 1 << 26;
const MOST_STRUCT: u64 = 1 << 30;

/// Pictures that are decoded together, by all threads, and their files' bytes from which on no more wait.
const TOGETHER: (usize, usize) = (512, 1 << 26);

/// The `count` pictures of an archive, cut out and resized, [count, 64, 64, 3]; N.png is image N - 1.
///
/// Fails on damaged data, and if it does not hold 1.png to COUNT.png, each once, with boxes in them.
pub fn prepare(archive: &Path, count: usize) -> Result<Vec<u8>> {
    let name = archive.display().to_string();
    let cannot = |e| Error::Data(format!("{name}: {}", files::cause(&e)));
    let (_, length) = files::open(archive).map_err(cannot)?;
    unpack(&|| Ok(files::open(archive).map_err(cannot)?.0), length, &name, count)
}

/// As [`prepare`], of an archive of `length` bytes that `open` begins to read anew. `name` is for messages.
///
/// Nothing is written, whatever paths and links the archive has. Memory: the images, one file of the
/// archive (never more than deflate can make of `length` bytes, and pictures together 64 MiB and one
/// more), and of pictures as many as there are threads.
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
        let k = index(number, count)
            .ok_or_else(|| Error::Data(format!("{name}: {title} is none of its {count}")))?;
        if std::mem::replace(&mut seen[k], true) {
            return fault(name, format!("holds {title} twice"));
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
        Some(k) => fault(name, format!("holds no {}.png", k + 1)),
        None => Ok(images),
    }
}

/// N - 1 of the name N.
fn index(number: &str, count: usize) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1).filter(|&k| k < count)
}

/// Where the digits of every picture are.
fn bounds<R: Read>(archive: &Archive<R>, count: usize) -> Result<Vec<Bounds>> {
    let name = archive.name;
    let mut file = None;
    archive.entries(MOST_STRUCT, &mut |title, read| {
        if title == "digitStruct.mat" {
            file = Some(read()?);
        }
        Ok(file.is_none())
    })?;
    let Some(file) = file else { return fault(name, "holds no digitStruct.mat") };
    let mut bounds = vec![None; count];
    for (title, of) in digit_struct::parse(file, &format!("{name}: digitStruct.mat"))? {
        let k = title.strip_suffix(".png").and_then(|number| index(number, count));
        match k.map(|k| bounds[k].replace(of)) {
            Some(None) => {}
            Some(Some(_)) => return fault(name, format!("digitStruct.mat has {title} twice")),
            None => return fault(name, format!("digitStruct.mat has {title}, none of {count}")),
        }
    }
    let missing = |k: usize| Error::Data(format!("{name}: digitStruct.mat has no {}.png", k + 1));
    bounds.into_iter().enumerate().map(|(k, of)| of.ok_or_else(|| missing(k))).collect()
}

/// Takes the last part of a file's name, and what reads the file; says whether to go on.
type Visitor<'a> = &'a mut dyn FnMut(&str, &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<bool>;

/// A gzipped tar archive.
struct Archive<'a, R> {
    open: &'a dyn Fn() -> Result<R>,
    length: u64,
    name: &'a str,
}

impl<R: Read> Archive<'_, R> {
    /// Visits the files, of which at most `most` bytes are read.
    fn entries(&self, most: u64, visit: Visitor) -> Result<()> {
        let name = self.name;
        let cannot = |e: std::io::Error| Error::Data(format!("{name}: cannot be unpacked: {e}"));
        let file = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, (self.open)()?));
        // Raw: entries of long names and the like, which would be read whole into memory, are passed over.
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
                    return fault(
                        name,
                        format!("{title} has {size} bytes; at most {most} are read"),
                    );
                }
                if size > self.length.saturating_mul(RATIO as u64) {
                    let what = format!("{} bytes cannot hold the {size} of {title}", self.length);
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
    let picture = picture::parse(png, &format!("{name}: {number}.png"))?;
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
