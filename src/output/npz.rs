//! NumPy archives (`.npz`): a ZIP file of arrays (`.npy`), as `numpy.load` reads it. Arrays are written part by part,
//! so they may be larger than memory.
//!
//! The layout follows NEP 1 (the npy format, version 1.0) and APPNOTE.TXT 6.3 (ZIP): entries are stored without
//! compression, with ZIP64 sizes, and their CRC-32 follows the data. The first extra field of each entry is the mark of
//! this program.

use flate2::Crc;

use super::{MARK, Output, Writing};
use crate::error::Result;

/// Identifier of the extra field that holds the mark; not among the registered ones.
const OWN: u16 = 0x7870;
/// Identifier of the extra field with 64-bit sizes.
const ZIP64: u16 = 1;
/// Version of the format that a reader needs for ZIP64.
const VERSION: u16 = 45;
/// Flag of an entry: CRC-32 and sizes follow the data.
const FOLLOWS: u16 = 1 << 3;
/// 1 January 1980, so that equal arrays make equal files.
const DATE: u16 = 1 << 5 | 1;

/// Element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Bytes.
    U8,
    /// 32-bit floats, little-endian.
    F32,
}

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Dtype::U8 => "|u1",
            Dtype::F32 => "<f4",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Dtype::U8 => 1,
            Dtype::F32 => 4,
        }
    }
}

/// An array of the archive.
struct Entry {
    name: String,
    /// Position of its header in the archive.
    offset: u64,
    /// Bytes with the npy header.
    size: u64,
    crc: Crc,
}

/// An archive that is being written.
pub struct Npz<'a> {
    file: Writing<'a>,
    at: u64,
    entries: Vec<Entry>,
    /// Bytes of the last array that are still missing.
    lacks: u64,
}

/// The extra field that marks this program's archives.
pub(super) fn mark() -> Vec<u8> {
    extra(OWN, MARK.as_bytes())
}

fn extra(id: u16, data: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data].concat()
}

/// The npy header of an array in C order.
fn npy_header(numbers: Dtype, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes}), }}", numbers.name());
    // Magic, version, length and text are a multiple of 64 bytes, with a line break at the end.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let text = format!("{text:width$}\n", width = length - 1);
    [b"\x93NUMPY\x01\x00", &(length as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

impl<'a> Npz<'a> {
    /// An archive without arrays. Fails as [`Output::begin`] does.
    pub fn begin(out: &'a Output) -> Result<Npz<'a>> {
        Ok(Npz { file: out.begin()?, at: 0, entries: Vec::new(), lacks: 0 })
    }

    /// Begins an array; its numbers follow by [`Npz::write`]. Fails with [`crate::Error::Disk`]. Panics if the array
    /// before is not complete.
    pub fn array(&mut self, name: &str, numbers: Dtype, shape: &[usize]) -> Result<()> {
        self.end_array()?;
        let header = npy_header(numbers, shape);
        let data = numbers.bytes() * shape.iter().map(|&n| n as u64).product::<u64>();
        let name = format!("{name}.npy");
        let extras = [mark(), extra(ZIP64, &[0; 16])].concat();
        let mut head = b"PK\x03\x04".to_vec();
        for field in [VERSION, FOLLOWS, 0, 0, DATE] {
            head.extend(field.to_le_bytes());
        }
        for field in [0, u32::MAX, u32::MAX] {
            head.extend(field.to_le_bytes());
        }
        for field in [name.len(), extras.len()] {
            head.extend((field as u16).to_le_bytes());
        }
        head.extend(name.as_bytes());
        head.extend(extras);
        let size = header.len() as u64 + data;
        self.entries.push(Entry { name, offset: self.at, size, crc: Crc::new() });
        self.put(&head)?;
        self.lacks = size;
        self.write(&header)
    }

    /// Appends bytes to the array. Fails with [`crate::Error::Disk`]. Panics if the array has fewer bytes left.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.lacks.checked_sub(bytes.len() as u64);
        self.lacks = left.expect("no more numbers than the shape says");
        self.entries.last_mut().expect("an array").crc.update(bytes);
        self.put(bytes)
    }

    /// Appends numbers to an array of floats, like [`Npz::write`].
    pub fn write_floats(&mut self, numbers: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.write(&bytes)
    }

    /// Completes the file. Fails as [`Writing::finish`] does. Panics if the last array is not complete.
    pub fn finish(mut self) -> Result<()> {
        self.end_array()?;
        let start = self.at;
        for entry in std::mem::take(&mut self.entries) {
            self.put(&entry.central())?;
            self.entries.push(entry);
        }
        let (count, size, end) = (self.entries.len() as u64, self.at - start, self.at);
        let mut tail = b"PK\x06\x06".to_vec();
        tail.extend(44_u64.to_le_bytes());
        tail.extend([VERSION.to_le_bytes(); 2].concat());
        tail.extend([0; 8]);
        tail.extend([count, count, size, start].map(u64::to_le_bytes).concat());
        tail.extend(b"PK\x06\x07\0\0\0\0");
        tail.extend(end.to_le_bytes());
        tail.extend(1_u32.to_le_bytes());
        // The record for readers without ZIP64; its fields refer to the one above.
        tail.extend(b"PK\x05\x06\0\0\0\0");
        tail.extend([u16::MAX.to_le_bytes(); 2].concat());
        tail.extend([u32::MAX.to_le_bytes(); 2].concat());
        tail.extend([0; 2]);
        self.put(&tail)?;
        self.file.finish()
    }

    /// The CRC-32 and the sizes after an array.
    fn end_array(&mut self) -> Result<()> {
        assert_eq!(self.lacks, 0, "an array lacks numbers");
        let Some(entry) = self.entries.last() else { return Ok(()) };
        let mut text = b"PK\x07\x08".to_vec();
        text.extend(entry.crc.sum().to_le_bytes());
        text.extend([entry.size.to_le_bytes(); 2].concat());
        self.put(&text)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.file.write(bytes)
    }
}

impl Entry {
    /// The array's record in the central directory.
    fn central(&self) -> Vec<u8> {
        let sizes = [self.size, self.size, self.offset].map(u64::to_le_bytes).concat();
        let sizes = extra(ZIP64, &sizes);
        let mut record = b"PK\x01\x02".to_vec();
        for field in [VERSION, VERSION, FOLLOWS, 0, 0, DATE] {
            record.extend(field.to_le_bytes());
        }
        for field in [self.crc.sum(), u32::MAX, u32::MAX] {
            record.extend(field.to_le_bytes());
        }
        for field in [self.name.len() as u16, sizes.len() as u16, 0, 0, 0] {
            record.extend(field.to_le_bytes());
        }
        record.extend(0_u32.to_le_bytes());
        record.extend(u32::MAX.to_le_bytes());
        record.extend(self.name.as_bytes());
        record.extend(sizes);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_numpy_writes_them() {
        for (shape, text) in
            [(&[3_usize, 28, 28, 1][..], "(3, 28, 28, 1)"), (&[5], "(5,)"), (&[2, 7], "(2, 7)")]
        {
            let header = npy_header(Dtype::F32, shape);
            let expected = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}, }}");
            assert_eq!(header.len() % 64, 0);
            assert_eq!(&header[..8], b"\x93NUMPY\x01\0");
            let said = std::str::from_utf8(&header[10..]).expect("text");
            assert_eq!((said.trim_end(), said.ends_with('\n')), (expected.as_str(), true));
            assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), header.len() - 10);
        }
    }
}
