//! Small valid files of every format, built byte by byte; the location of the real sets; and checks of errors about
//! files.

use std::fmt::Debug;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use pixelloom::Error;
use proptest::sample::Index;

/// Checks that the error is about data, names the file "file.x" and contains `what`.
#[track_caller]
pub fn says<T: Debug>(result: pixelloom::Result<T>, what: &str) {
    match result {
        Err(Error::Data(message)) => {
            assert!(message.starts_with("file.x: "), "does not name the file: {message}");
            assert!(message.contains(what), "expected \"{what}\" in: {message}");
            assert!(!message.contains('\n'), "more than one line: {message}");
        }
        other => panic!("expected a data error with \"{what}\", got {other:?}"),
    }
}

/// An IDX file of the given magic, dimensions and data.
pub fn idx(magic: u32, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Two 3x2 grey images, pixels 0..12.
pub fn idx_images() -> Vec<u8> {
    idx(0x0803, &[2, 3, 2], &(0..12).collect::<Vec<u8>>())
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two 28x28 binary images as packed bits: pixel 0 of the first and pixel 783 of the second set.
pub fn bits() -> Vec<u8> {
    let mut bytes = vec![0; 2 * 98];
    bytes[0] = 0x80;
    bytes[195] = 0x01;
    bytes
}

/// 28x28 images of 0 and 1 as `.amat` text.
pub fn amat(pixels: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 * pixels.len());
    for row in pixels.chunks(784) {
        row.iter().for_each(|v| text.extend([b'0' + v, b' ']));
        *text.last_mut().unwrap() = b'\n';
    }
    text
}

/// A PNG file with rows packed as in the format; a palette has the colours red, green, blue.
pub fn png(height: u32, width: u32, color: png::ColorType, bits: u8, rows: &[u8]) -> Vec<u8> {
    png_with(height, width, color, bits, rows, None)
}

/// The same with a tRNS chunk: levels of the palette's alpha, or the transparent colour.
pub fn png_with(
    height: u32,
    width: u32,
    color: png::ColorType,
    bits: u8,
    rows: &[u8],
    transparent: Option<&[u8]>,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::from_u8(bits).unwrap());
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![255, 0, 0, 0, 255, 0, 0, 0, 255]);
    }
    if let Some(transparent) = transparent {
        encoder.set_trns(transparent.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    file
}

/// Writes MAT v5 files in one byte order.
#[derive(Clone, Copy)]
pub struct Mat {
    pub big_endian: bool,
}

impl Mat {
    pub fn word(self, v: u32) -> [u8; 4] {
        if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() }
    }

    pub fn element(self, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [self.word(kind), self.word(data.len() as u32)].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// An array element of class `class`; names of up to 4 letters take the small form.
    pub fn array(self, class: u32, title: &str, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|&d| self.word(d)).collect();
        let title = if title.len() <= 4 {
            let mut small = self.word(((title.len() as u32) << 16) | 1).to_vec();
            small.extend(title.bytes());
            small.resize(8, 0);
            small
        } else {
            self.element(1, title.as_bytes())
        };
        let flags = [self.word(class), self.word(0)].concat();
        let parts = [self.element(6, &flags), self.element(5, &dims), title, self.element(2, data)];
        self.element(14, &parts.concat())
    }

    pub fn compressed(self, element: &[u8]) -> Vec<u8> {
        let data = zlib(element);
        [&self.word(15)[..], &self.word(data.len() as u32), &data].concat()
    }

    pub fn file(self, elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
        bytes.resize(124, b' ');
        bytes.extend(if self.big_endian { b"\x01\x00MI" } else { b"\x00\x01IM" });
        elements.iter().for_each(|element| bytes.extend(element));
        bytes
    }

    /// A file with `ff`, 2 x 3, bytes 1 to 6, after another array.
    pub fn small(self, compressed: bool) -> Vec<u8> {
        let arrays = [
            self.array(6, "another", &[1, 1], &[7]),
            self.array(9, "ff", &[2, 3], &[1, 2, 3, 4, 5, 6]),
        ];
        self.file(&arrays.map(|a| if compressed { self.compressed(&a) } else { a }))
    }
}

/// A file with some bytes changed, and truncated at `cut`.
pub fn mutated(mut bytes: Vec<u8>, edits: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    for &(at, value) in edits {
        let at = at.index(bytes.len());
        bytes[at] = value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

/// The folder of the real sets, from PIXELLOOM_SHARED; prints a message if there is none.
pub fn shared(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PIXELLOOM_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let data = shared.join("data");
    if data.is_dir() {
        return Some(data);
    }
    eprintln!("{test}: skipped, no {} (see PIXELLOOM_SHARED)", data.display());
    None
}

/// The CRC-32 of bytes, little endian.
pub fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}
