//! The full numbers of the Street View House Numbers (Netzer and others 2011), prepared as for DRAW: numbers of 64 x 64
//! pixels (`svhn_archive.rs` cuts them out of their pictures), of which training uses a random crop of 54 x 54, a new
//! one in every epoch (`scene.rs`), and evaluation the centre.
//!
//! Cutting out the numbers takes minutes, so the result is stored next to the archives in `PART-64.bin`: 16 letters,
//! the count, the length of the archive (u64, little endian), then for each image its [64, 64, 3] bytes and their
//! CRC-32. The file is made again if any of these does not match.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Crc;

use super::files::{self, fault};
use super::scene::{Scene, SceneKind};
use super::svhn_archive::{BYTES, SIDE, prepare};
use super::{Images, Tell, shuffled, thousands};
use crate::error::Result;
use crate::rng::{self, Key};

/// Side of the images that a model sees.
pub const CROP: usize = 54;
const CROP_BYTES: usize = CROP * CROP * 3;

/// Seed for the choice of the validation images.
const SEED: u64 = 0x7376_686e;

/// The first bytes of a file of prepared images.
const MAGIC: &[u8; 16] = b"pixelloom svhn 1";

/// Images of the parts (name and count) in `folder`: all except `valid` for training, [N, 54, 54, 3] cropped from 64 x
/// 64, and `valid` centre crops, chosen with a fixed seed.
///
/// `tell` receives messages about the preparation. Fails if an archive is missing and was not prepared, is damaged, or
/// contains another number of pictures.
pub fn learning(
    folder: &Path,
    parts: &[(&str, usize)],
    valid: usize,
    tell: Tell,
) -> Result<(Images, Images)> {
    let total: usize = parts.iter().map(|(_, count)| count).sum();
    assert!(valid < total, "{valid} validation images of {total}");
    let mut held = vec![None; total];
    let order = shuffled(total, Key::new(SEED, rng::stream::SPLIT, 0));
    order[..valid].iter().enumerate().for_each(|(v, &k)| held[k] = Some(v));
    // The destination of each image is known beforehand, so there is only one copy of these gigabytes, except for a
    // part that is prepared for the first time.
    let mut trained = 0;
    let train_at: Vec<usize> = held
        .iter()
        .map(|held| {
            trained += usize::from(held.is_none());
            trained.wrapping_sub(1)
        })
        .collect();
    let (mut train, mut crops) = (zeros((total - valid) * BYTES), zeros(valid * CROP_BYTES));
    let (to_train, to_crops) = (unshared(&mut train), unshared(&mut crops));
    let mut before = 0;
    for (part, count) in parts {
        prepared(folder, part, *count, tell, &mut |k, image| match held[before + k] {
            Some(v) => centre(image, &mut to_crops[v * CROP_BYTES..][..CROP_BYTES]),
            None => to_train[train_at[before + k] * BYTES..][..BYTES].copy_from_slice(image),
        })?;
        before += count;
    }
    let scene = Some(Scene { kind: SceneKind::Crop, height: SIDE, width: SIDE });
    Ok((images(train, total - valid, scene), images(crops, valid, None)))
}

/// Centre crops of the `count` images of a part, [count, 54, 54, 3]. Fails as [`learning`] does.
pub fn testing(folder: &Path, part: &str, count: usize, tell: Tell) -> Result<Images> {
    let mut crops = zeros(count * CROP_BYTES);
    let to_crops = unshared(&mut crops);
    prepared(folder, part, count, tell, &mut |k, image| {
        centre(image, &mut to_crops[k * CROP_BYTES..][..CROP_BYTES]);
    })?;
    Ok(images(crops, count, None))
}

fn images(pixels: Arc<[u8]>, count: usize, scene: Option<Scene>) -> Images {
    let (height, width) = (CROP, CROP);
    Images { pixels, labels: None, count, height, width, channels: 3, max: 255, scene }
}

fn zeros(count: usize) -> Arc<[u8]> {
    std::iter::repeat_n(0, count).collect()
}

fn unshared(bytes: &mut Arc<[u8]>) -> &mut [u8] {
    Arc::get_mut(bytes).expect("not shared yet")
}

fn centre(image: &[u8], crop: &mut [u8]) {
    let edge = (SIDE - CROP) / 2;
    for (y, row) in crop.chunks_exact_mut(CROP * 3).enumerate() {
        row.copy_from_slice(&image[((edge + y) * SIDE + edge) * 3..][..CROP * 3]);
    }
}

/// Receives an image's number, from 0, and its bytes. With a damaged file it may receive some images twice.
type Taker<'a> = &'a mut dyn FnMut(usize, &[u8]);

/// Passes the `count` prepared images of a part, [64, 64, 3] each, to `take`: from the stored file, or from the
/// archive, after which they are stored.
fn prepared(folder: &Path, part: &str, count: usize, tell: Tell, take: Taker) -> Result<()> {
    let archive = folder.join(format!("{part}.tar.gz"));
    let kept = folder.join(format!("{part}-64.bin"));
    let length = std::fs::metadata(&archive).ok().map(|meta| meta.len());
    if kept.exists() {
        match take_kept(&kept, length, count, take) {
            Ok(()) => return Ok(()),
            Err(why) if length.is_some() => {
                tell(&format!("{}: {why}; it is made again", kept.display()));
            }
            Err(why) => return fault(&kept.display().to_string(), why),
        }
    }
    let Some(length) = length else { return fault(&archive.display().to_string(), "no such file") };
    tell(&format!(
        "{}: cutting {} numbers out of their pictures; this is done only once",
        archive.display(),
        thousands(count)
    ));
    let images = prepare(&archive, count)?;
    if let Err(e) = keep(&kept, length, &images) {
        tell(&format!(
            "{}: cannot be stored ({e}), so the preparation will be repeated",
            kept.display()
        ));
    }
    images.chunks_exact(BYTES).enumerate().for_each(|(k, image)| take(k, image));
    Ok(())
}

fn header(count: usize, length: u64) -> Vec<u8> {
    [&MAGIC[..], &(count as u64).to_le_bytes(), &length.to_le_bytes()].concat()
}

fn take_kept(
    path: &Path,
    length: Option<u64>,
    count: usize,
    take: Taker,
) -> std::result::Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot be read: {e}");
    let (file, _) = files::open(path).map_err(|e| files::cause(&e))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; 32];
    file.read_exact(&mut head).map_err(cannot)?;
    // Without the archive, its length is unknown.
    let expected = header(count, length.unwrap_or(0));
    let compared = if length.is_some() { 32 } else { 24 };
    if head[..compared] != expected[..compared] {
        return Err("was made from another archive".into());
    }
    let mut record = vec![0; BYTES + 4];
    for k in 0..count {
        file.read_exact(&mut record).map_err(cannot)?;
        let (image, sum) = record.split_at(BYTES);
        if checksum(image) != sum {
            return Err(format!("image {k} is damaged"));
        }
        take(k, image);
    }
    match file.read(&mut [0]).map_err(cannot)? {
        0 => Ok(()),
        _ => Err("has data after its last image".into()),
    }
}

fn checksum(image: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(image);
    crc.sum().to_le_bytes()
}

/// Writes prepared images under a temporary name and renames the file, so that it is never incomplete.
fn keep(path: &Path, length: u64, images: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("bin.{}.tmp", std::process::id()));
    let write = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
        file.write_all(&header(images.len() / BYTES, length))?;
        for image in images.chunks_exact(BYTES) {
            file.write_all(image)?;
            file.write_all(&checksum(image))?;
        }
        file.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // Report the original error, even if the temporary file cannot be removed.
        let _ = std::fs::remove_file(&temporary);
    })
}
