//! Reads a PNG image of any format as bytes.
//!
//! Palettes are converted to colours and 1, 2, 4 and 16 bits to 8 (of 16 bits the upper 8 are kept); a transparent
//! colour becomes an alpha channel. For an animated PNG, the still image is read.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use png::{ColorType, DecodingError, Transformations};

use super::files::{self, fault};
use super::gz::RATIO;
use crate::error::{Error, Result};

/// Maximum number of rows, and of columns, of an image.
const MOST: u32 = 4096;

/// Maximum bytes of a file, twice the largest image in 16-bit colour with alpha.
const MOST_BYTES: u64 = 1 << 28;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

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
}

/// Reads the PNG file at `path`. Fails with [`Error::Data`] as [`parse`] does, and on anything but a
/// regular file.
pub fn read(path: &Path) -> Result<Picture> {
    let parsed =
        files::read(path, MOST_BYTES).and_then(|bytes| parse(&bytes, &path.display().to_string()));
    parsed.map_err(|e| Error::Data(format!("{e}; replace it by a complete PNG image")))
}

/// The image of a PNG file. `name` is for messages.
///
/// Fails with [`Error::Data`] on damaged data and on images of more than 4096 rows or columns;
/// memory is allocated only after the header was checked against the length of the file.
pub fn parse(bytes: &[u8], name: &str) -> Result<Picture> {
    if !bytes.starts_with(SIGNATURE) {
        return fault(name, "is not a PNG file (it does not begin with 89 50 4e 47)");
    }
    let damaged = |e: DecodingError| match e {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::Data(format!("{name}: the PNG data is cut short"))
        }
        e => Error::Data(format!("{name}: the PNG data is damaged: {e}")),
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = header.size();
    if width > MOST || height > MOST {
        return fault(
            name,
            format!("is {height} x {width} (height x width); at most {MOST} x {MOST} are read"),
        );
    }
    let stored = u64::from(height) * u64::from(width) * header.bits_per_pixel() as u64 / 8;
    if stored > (RATIO * bytes.len()) as u64 {
        return fault(
            name,
            format!(
                "declares {stored} bytes, more than a file of {} bytes can contain",
                bytes.len()
            ),
        );
    }
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    if info.color_type == ColorType::Indexed {
        // The decoder panics on a palette that is not a whole number of colours, or has fewer than are transparent.
        let length = |bytes: &Option<Cow<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let (palette, transparent) = (length(&info.palette), length(&info.trns));
        if !(3..=3 * 256).contains(&palette) || !palette.is_multiple_of(3) {
            return fault(
                name,
                format!("has a palette of {palette} bytes, which is not a multiple of 3"),
            );
        }
        if transparent > palette / 3 {
            let colours = palette / 3;
            return fault(name, format!("has {transparent} levels of alpha for {colours} colours"));
        }
    }
    let channels = match reader.output_color_type().0 {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    };
    let (height, width) = (height as usize, width as usize);
    let mut content = vec![0; height * width * channels];
    reader.next_frame(&mut content).map_err(damaged)?;
    // Reading to the end detects a file that is cut off after the pixels.
    reader.finish().map_err(damaged)?;
    Ok(Picture { height, width, channels, bytes: content })
}
