//! Reads arrays of unsigned bytes from MATLAB level 5 MAT files (MathWorks, "MAT-File Format"). A file has a header of
//! 128 bytes that ends in version 0x0100 and the letters "IM" (little endian) or "MI" (big endian), in the file's byte
//! order. Data elements follow: type, size and data, padded to 8 bytes; a small element packs size, type and up to 4
//! bytes into 8. An array (type 14) contains flags, dimensions, name and data as separate elements; a compressed
//! element (type 15) is zlib data of one element. Data is stored in column-major order: the first dimension varies
//! fastest.

use std::borrow::Cow;

use super::files::fault;
use super::gz;
use crate::error::Result;

const HEADER: usize = 128;
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Array class of unsigned bytes, and the flag of an imaginary part.
const CLASS_UINT8: u32 = 9;
const COMPLEX: u32 = 0x0800;

/// An array of unsigned bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// Sizes, the fastest-varying dimension first.
    pub dims: Vec<usize>,
    /// As many bytes as the product of `dims`.
    pub data: Vec<u8>,
}

/// The array of unsigned bytes called `variable` in a MAT file, see [`parse_all`].
pub fn parse(bytes: &[u8], name: &str, variable: &str) -> Result<Array> {
    let [array] = parse_all(bytes, name, [variable])?;
    Ok(array)
}

/// The arrays of unsigned bytes called `variables` in a MAT file. `name` is for messages.
///
/// Every element is checked to the end of the file; compressed ones are inflated one at a time.
pub fn parse_all<const N: usize>(
    bytes: &[u8],
    name: &str,
    variables: [&str; N],
) -> Result<[Array; N]> {
    if !bytes.starts_with(b"MATLAB 5.0") {
        return fault(name, "is not a MATLAB 5 file (it does not begin with \"MATLAB 5.0\")");
    }
    if bytes.len() < HEADER {
        return fault(name, format!("has {} bytes, too short for a header", bytes.len()));
    }
    let big_endian = match &bytes[124..HEADER] {
        b"\x00\x01IM" => false,
        b"\x01\x00MI" => true,
        other => {
            return fault(name, format!("unknown version and byte order {other:02x?}"));
        }
    };
    let reader = Reader { name, big_endian };
    let mut rest = &bytes[HEADER..];
    let mut found: [Option<Array>; N] = [const { None }; N];
    while !rest.is_empty() {
        let (kind, data) = reader.element(&mut rest)?;
        let array = match kind {
            MATRIX => Cow::Borrowed(data),
            COMPRESSED => Cow::Owned(reader.inflate(data)?),
            _ => return fault(name, format!("element of type {kind}, expected an array")),
        };
        for (variable, found) in variables.iter().zip(&mut found) {
            if let Some(array) = reader.array(&array, variable)?
                && found.replace(array).is_some()
            {
                return fault(name, format!("contains the array \"{variable}\" twice"));
            }
        }
    }
    if let Some(missing) = found.iter().position(Option::is_none) {
        return fault(name, format!("contains no array \"{}\"", variables[missing]));
    }
    Ok(found.map(Option::unwrap_or_default))
}

struct Reader<'a> {
    name: &'a str,
    big_endian: bool,
}

impl Reader<'_> {
    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }

    /// Removes the next element, with its padding, from `rest` and returns its type and data.
    fn element<'b>(&self, rest: &mut &'b [u8]) -> Result<(u32, &'b [u8])> {
        let left = rest.len();
        if left < 8 {
            return fault(self.name, format!("ends in {left} bytes that are not a data element"));
        }
        let first = self.word(rest, 0);
        let (kind, start, size) = match first >> 16 {
            0 => (first, 8, self.word(rest, 4) as usize),
            small => (first & 0xffff, 4, small as usize),
        };
        let room = if start == 4 { 4 } else { left - 8 };
        if size > room {
            return fault(
                self.name,
                format!(
                    "an element of type {kind} declares {size} bytes, but only {room} are left"
                ),
            );
        }
        let data = &rest[start..start + size];
        let end = match kind {
            COMPRESSED => start + size,
            _ => (start + size).next_multiple_of(8),
        };
        *rest = &rest[end.min(left)..];
        Ok((kind, data))
    }

    /// The array in the zlib data of a compressed element.
    fn inflate(&self, data: &[u8]) -> Result<Vec<u8>> {
        let total = |head: &[u8]| match self.word(head, 0) {
            MATRIX => Ok(8usize.saturating_add(self.word(head, 4) as usize)),
            kind => fault(
                self.name,
                format!("a compressed element has type {kind} and is not an array"),
            ),
        };
        let mut content = gz::unzlib(data, self.name, 8, total)?;
        content.drain(..8);
        Ok(content)
    }

    /// The array in the data of a MATRIX element, if its name is `variable`.
    fn array(&self, mut rest: &[u8], variable: &str) -> Result<Option<Array>> {
        let (kind, flags) = self.element(&mut rest)?;
        if kind != UINT32 || flags.len() != 8 {
            return fault(self.name, "an array without flags");
        }
        let flags = self.word(flags, 0);
        let (kind, sizes) = self.element(&mut rest)?;
        if kind != INT32 || sizes.len() < 8 || !sizes.len().is_multiple_of(4) {
            return fault(self.name, "an array without dimensions");
        }
        let (kind, title) = self.element(&mut rest)?;
        if kind != INT8 {
            return fault(self.name, "an array without a name");
        }
        if title != variable.as_bytes() {
            return Ok(None);
        }
        if flags & 0xff != CLASS_UINT8 || flags & COMPLEX != 0 {
            let class = flags & 0xff;
            return fault(
                self.name,
                format!("array \"{variable}\" has class {class}, expected {CLASS_UINT8} (uint8)"),
            );
        }
        let dims: Vec<usize> =
            (0..sizes.len() / 4).map(|i| self.word(sizes, 4 * i) as usize).collect();
        let (kind, data) = self.element(&mut rest)?;
        if kind != UINT8 {
            return fault(self.name, format!("array \"{variable}\" has data of type {kind}"));
        }
        match dims.iter().try_fold(1usize, |product, &d| product.checked_mul(d)) {
            Some(size) if size == data.len() && rest.is_empty() => {
                Ok(Some(Array { dims, data: data.to_vec() }))
            }
            _ => fault(
                self.name,
                format!("array \"{variable}\" declares {dims:?} but has {} bytes", data.len()),
            ),
        }
    }
}
