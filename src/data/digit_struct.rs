//! `digitStruct.mat` of the Street View House Numbers: the positions of the digits in every picture. A MATLAB 7.3 file,
//! which is HDF5 after a block of 512 bytes. `digitStruct/name` and `digitStruct/bbox` have one reference per picture:
//! to the letters of its file name, and to a group with `left`, `top`, `width`, `height` (and `label`), in pixels from
//! the upper left corner. With a single digit these are numbers; with several they are references to one number each.

use hdf5_pure::{DType, Dataset, File, Group, Object};

use super::files::fault;
use crate::error::{Error, Result};

/// Maximum number of digits in a picture, and of letters in its name.
const MOST: u64 = 64;

/// The smallest rectangle around the digits of a picture, in pixels: column `left` up to `right`, row
/// `top` up to `bottom`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The left edge. Like all edges, it may lie outside the picture.
    pub left: f64,
    /// The upper edge.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The lower edge.
    pub bottom: f64,
}

/// File names and bounds of the pictures, in the order of the file. `name` is for messages. Fails
/// on damaged data, on pictures without digits and on digits of size 0.
pub fn parse(bytes: Vec<u8>, name: &str) -> Result<Vec<(String, Bounds)>> {
    let most = bytes.len() as u64;
    let reader = Reader { name };
    let file = reader.read(File::from_bytes(bytes))?;
    // A reference has 8 bytes, which limits how many the file can have.
    let column = |field: &str| {
        let dataset = reader.read(file.dataset(&format!("digitStruct/{field}")))?;
        reader.count(&dataset, most / 8, field)?;
        reader.read(dataset.dereference())
    };
    let (names, groups) = (column("name")?, column("bbox")?);
    if names.len() != groups.len() {
        let (names, groups) = (names.len(), groups.len());
        return fault(name, format!("has {names} names of pictures but {groups} sets of boxes"));
    }
    let pictures = names.into_iter().zip(groups).map(|(title, group)| {
        let title = match title {
            Object::Dataset(letters) => reader.text(&letters)?,
            _ => return fault(name, "the name of a picture is not text"),
        };
        match group {
            Object::Group(group) => Ok((title.clone(), reader.bounds(&group, &title)?)),
            _ => fault(name, format!("the boxes of {title} are not a group")),
        }
    });
    pictures.collect()
}

struct Reader<'a> {
    name: &'a str,
}

impl Reader<'_> {
    fn read<T>(&self, result: std::result::Result<T, hdf5_pure::Error>) -> Result<T> {
        result.map_err(|e| Error::Data(format!("{}: cannot be read as HDF5: {e}", self.name)))
    }

    /// The number of elements of a data set, 1 to `most`, checked before any memory is allocated.
    fn count(&self, dataset: &Dataset, most: u64, what: &str) -> Result<u64> {
        let shape = self.read(dataset.shape())?;
        match shape.iter().try_fold(1u64, |product, &d| product.checked_mul(d)) {
            Some(count) if (1..=most).contains(&count) => Ok(count),
            _ => fault(self.name, format!("{what} is {shape:?}, expected 1 to {most} elements")),
        }
    }

    fn text(&self, letters: &Dataset) -> Result<String> {
        self.count(letters, MOST, "a name of a picture")?;
        Ok(String::from_utf16_lossy(&self.read(letters.read_u16())?))
    }

    /// The values of a field for every digit.
    fn values(&self, group: &Group, title: &str, field: &str) -> Result<Vec<f64>> {
        let what = format!("{field} of {title}");
        let dataset = self.read(group.dataset(field))?;
        let count = self.count(&dataset, MOST, &what)?;
        let values = if self.read(dataset.dtype())? != DType::ObjectReference {
            self.read(dataset.read_f64())?
        } else {
            let digits = self.read(dataset.dereference())?.into_iter().map(|digit| match digit {
                Object::Dataset(value) => {
                    self.count(&value, 1, &what)?;
                    Ok(self.read(value.read_f64())?.into_iter().next().unwrap_or(f64::NAN))
                }
                _ => fault(self.name, format!("{what} is not a number")),
            });
            digits.collect::<Result<Vec<f64>>>()?
        };
        if values.len() as u64 != count || values.iter().any(|v| !(v.abs() <= 1e6)) {
            return fault(self.name, format!("{what} has the invalid values {values:?}"));
        }
        Ok(values)
    }

    fn bounds(&self, group: &Group, title: &str) -> Result<Bounds> {
        let [left, top, width, height] =
            ["left", "top", "width", "height"].map(|field| self.values(group, title, field));
        let (left, top, width, height) = (left?, top?, width?, height?);
        let digits = left.len();
        if [&top, &width, &height].iter().any(|values| values.len() != digits) {
            return fault(self.name, format!("{title} has boxes of different numbers of digits"));
        }
        if width.iter().chain(&height).any(|&size| size <= 0.0) {
            return fault(self.name, format!("{title} has a digit of size 0"));
        }
        let end = |start: &[f64], size: &[f64]| {
            start.iter().zip(size).map(|(start, size)| start + size).fold(f64::MIN, f64::max)
        };
        Ok(Bounds {
            left: left.iter().copied().fold(f64::MAX, f64::min),
            top: top.iter().copied().fold(f64::MAX, f64::min),
            right: end(&left, &width),
            bottom: end(&top, &height),
        })
    }
}
