//! Reads PNG and JPEG images of any kind as bytes.
//!
//! Palettes become colours, and a transparent colour becomes an alpha channel. Samples of 1, 2 and 4 bits are scaled to
//! 8; of 16 bits, the upper 8 are kept. Images are rotated according to their EXIF orientation. Of an animated PNG, the
//! still image is read. The format is recognised by the content, not by the name of the file.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};

use super::files::{self, fault};
use super::gz::RATIO;
use crate::error::{Error, Result};

/// Maximum number of rows and of columns.
const MOST: u32 = 10_000;

/// Maximum length of a file in bytes.
const MOST_BYTES: u64 = 1 << 28;

/// Maximum memory for the decoded pixels of an image, in bytes.
const MOST_MEMORY: u64 = 1 << 29;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 grey, 2 grey and alpha, 3 red, green, blue, 4 red, green, blue, alpha.
    pub channels: usize,
    /// [height, width, channels], rows from the top.
    pub bytes: Vec<u8>,
    /// The largest value of a 16-bit image, without its alpha channel; `None` for other images.
    pub highest: Option<u16>,
}

impl Picture {
    /// An 8-bit image.
    pub fn new(height: usize, width: usize, channels: usize, bytes: Vec<u8>) -> Picture {
        Picture { height, width, channels, bytes, highest: None }
    }

    /// The image without its alpha channel. Fails with [`Error::Data`] unless that channel is constant; `name` is for the
    /// message.
    pub fn opaque(self, name: &str) -> Result<Picture> {
        let colours = match self.channels {
            2 => 1,
            4 => 3,
            _ => return Ok(self),
        };
        let mut alphas = self.bytes.chunks_exact(self.channels).map(|pixel| pixel[colours]);
        let first = alphas.next();
        if alphas.any(|alpha| Some(alpha) != first) {
            return fault(
                name,
                "has an alpha channel or a transparent colour, which images of a data set cannot have; flatten \
                 it onto a background and save it without transparency",
            );
        }
        Ok(self.with_channels(colours))
    }

    /// Whether all pixels are grey.
    pub fn is_grey(&self) -> bool {
        let grey = |pixel: &[u8]| pixel[0] == pixel[1] && pixel[1] == pixel[2];
        self.channels < 3 || self.bytes.chunks_exact(self.channels).all(grey)
    }

    /// The image with 1 channel (the red one of a colour image) or 3 channels, without alpha.
    pub fn with_channels(self, channels: usize) -> Picture {
        assert!(matches!(channels, 1 | 3), "{channels} channels");
        if channels == self.channels {
            return self;
        }
        let pixels = self.bytes.chunks_exact(self.channels);
        let bytes = match (self.channels, channels) {
            (_, 1) => pixels.map(|pixel| pixel[0]).collect(),
            (1 | 2, _) => pixels.flat_map(|pixel| [pixel[0]; 3]).collect(),
            _ => pixels.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        };
        Picture { channels, bytes, ..self }
    }
}

/// Reads the PNG or JPEG file at `path`. Fails with [`Error::Data`] as [`parse`] does, and on anything but a
/// regular file.
pub fn read(path: &Path) -> Result<Picture> {
    let parsed =
        files::read(path, MOST_BYTES).and_then(|bytes| parse(&bytes, &path.display().to_string()));
    parsed.map_err(|e| Error::Data(format!("{e}; replace it by a complete PNG or JPEG image")))
}

/// The image of a PNG or JPEG file. `name` is for messages.
///
/// Fails with [`Error::Data`] on damaged data and on images of more than 10,000 rows or columns. Allocates memory only if
/// the size in the header is possible for a file of this length.
pub fn parse(bytes: &[u8], name: &str) -> Result<Picture> {
    let limits = || {
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MOST), Some(MOST));
        limits.max_alloc = Some(MOST_MEMORY);
        limits
    };
    let damaged = |format: &str, e: ImageError| -> Error {
        let cause = match e {
            ImageError::Decoding(e) => match std::error::Error::source(&e) {
                Some(source) => source.to_string(),
                None => e.to_string(),
            },
            e => e.to_string(),
        };
        let cause: String = cause.replace(char::is_control, " ");
        Error::Data(format!("{name}: the {format} data is damaged: {cause}"))
    };
    if bytes.starts_with(PNG) {
        check_png(bytes, name)?;
        let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits());
        decoder.and_then(decode).map_err(|e| damaged("PNG", e))
    } else if bytes.starts_with(JPEG) {
        check_jpeg(bytes, name)?;
        let decoder = JpegDecoder::new(Cursor::new(bytes)).and_then(|mut decoder| {
            decoder.set_limits(limits())?;
            decode(decoder)
        });
        decoder.map_err(|e| damaged("JPEG", e))
    } else {
        fault(name, "is neither a PNG file (89 50 4e 47 ...) nor a JPEG file (ff d8 ff ...)")
    }
}

/// Decodes the pixels with 8 bits per sample, and applies the orientation.
fn decode(mut decoder: impl ImageDecoder) -> std::result::Result<Picture, ImageError> {
    let turned = decoder.orientation()?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let channels = usize::from(color.channel_count());
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes)?;
    let mut highest = None;
    if color.bytes_per_pixel() == 2 * color.channel_count() {
        let colours = if color.has_alpha() { channels - 1 } else { channels };
        let mut most = 0;
        for i in 0..bytes.len() / 2 {
            let number = u16::from_ne_bytes([bytes[2 * i], bytes[2 * i + 1]]);
            bytes[i] = (number >> 8) as u8;
            if i % channels < colours {
                most = number.max(most);
            }
        }
        bytes.truncate(bytes.len() / 2);
        highest = Some(most);
    }
    let (height, width) = (height as usize, width as usize);
    Ok(turn(Picture { height, width, channels, bytes, highest }, turned))
}

/// The picture, rotated or mirrored.
fn turn(picture: Picture, how: Orientation) -> Picture {
    if how == Orientation::NoTransforms {
        return picture;
    }
    let Picture { height, width, channels, bytes, highest } = picture;
    let (columns, rows) = (width as u32, height as u32);
    let whole = "as many bytes as pixels";
    let mut image: DynamicImage = match channels {
        1 => image::GrayImage::from_raw(columns, rows, bytes).expect(whole).into(),
        2 => image::GrayAlphaImage::from_raw(columns, rows, bytes).expect(whole).into(),
        3 => image::RgbImage::from_raw(columns, rows, bytes).expect(whole).into(),
        _ => image::RgbaImage::from_raw(columns, rows, bytes).expect(whole).into(),
    };
    image.apply_orientation(how);
    let (height, width) = (image.height() as usize, image.width() as usize);
    Picture { height, width, channels, bytes: image.into_bytes(), highest }
}

/// Fails if the image is too large, or if `stored` bytes of pixels cannot result from a file of this length.
fn check_size(bytes: &[u8], name: &str, (height, width): (u32, u32), stored: u64) -> Result<()> {
    if width > MOST || height > MOST {
        return fault(
            name,
            format!("is {height} x {width} (height x width); at most {MOST} x {MOST} are read"),
        );
    }
    if stored > (RATIO * bytes.len()) as u64 {
        let length = bytes.len();
        return fault(
            name,
            format!("declares {stored} bytes, more than a file of {length} bytes can contain"),
        );
    }
    Ok(())
}

/// Checks what the decoder does not: the file must be complete, its length must allow an image of its size, and the
/// palette must consist of whole colours (the decoder panics otherwise).
fn check_png(bytes: &[u8], name: &str) -> Result<()> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().expect("4 bytes")))
    };
    let short = || fault(name, "the PNG data is cut short");
    let (mut at, mut palette, mut indexed) = (PNG.len(), 0, false);
    loop {
        let Some(length) = word(at).map(|length| length as usize) else { return short() };
        let Some(chunk) = bytes.get(at + 4..at + 8) else { return short() };
        let body = at + 8;
        if bytes.len() - body < length.saturating_add(4) {
            return short();
        }
        match chunk {
            b"IHDR" if length == 13 && at == PNG.len() => {
                let [width, height] = [body, body + 4].map(|at| word(at).expect("checked"));
                let (bits, color) = (u64::from(bytes[body + 8]), bytes[body + 9]);
                let samples = match color {
                    2 => 3,
                    4 => 2,
                    6 => 4,
                    _ => 1,
                };
                indexed = color == 3;
                let row = (u64::from(width) * samples).saturating_mul(bits).div_ceil(8);
                check_size(bytes, name, (height, width), u64::from(height).saturating_mul(row))?;
            }
            b"PLTE" => {
                if !(3..=3 * 256).contains(&length) || !length.is_multiple_of(3) {
                    return fault(
                        name,
                        format!("has a palette of {length} bytes, which is not a multiple of 3"),
                    );
                }
                palette = length / 3;
            }
            // The decoder ignores more levels of alpha than any palette can have.
            b"tRNS" if indexed && length > palette && length <= 256 => {
                return fault(name, format!("has {length} levels of alpha for {palette} colours"));
            }
            b"IDAT" if indexed && palette == 0 => return fault(name, "has no palette"),
            b"IEND" => return Ok(()),
            _ => {}
        }
        at = body + length + 4;
    }
}

/// Checks what the decoder does not: the file must be complete, and its length must allow an image of its size (a block
/// of 64 numbers takes at least one bit).
fn check_jpeg(bytes: &[u8], name: &str) -> Result<()> {
    let short = || fault(name, "the JPEG data is cut short");
    let mut at = 2;
    loop {
        let Some(&[mark, kind, high, low]) = bytes.get(at..at + 4) else { return short() };
        if mark != 0xff {
            return fault(name, format!("the JPEG data is damaged: no marker at byte {at}"));
        }
        if kind == 0xff {
            at += 1; // Markers may be padded with FF.
            continue;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        // Frame headers; C4, C8 and CC mean something else.
        if matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc) {
            let Some(&[_, h, g, w, v, components]) = bytes.get(at + 4..at + 10) else {
                return short();
            };
            let [height, width] = [[h, g], [w, v]].map(|pair| u32::from(u16::from_be_bytes(pair)));
            let stored = u64::from(height) * u64::from(width) * u64::from(components);
            check_size(bytes, name, (height, width), stored)?;
        }
        // After the header of the first scan, FF D9 can only be the end of the image.
        if kind == 0xda {
            let rest = bytes.get(end..).unwrap_or_default();
            return if rest.windows(2).any(|w| w == [0xff, 0xd9]) { Ok(()) } else { short() };
        }
        at = end;
    }
}
