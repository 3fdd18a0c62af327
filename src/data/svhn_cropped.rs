//! The cropped digits of the Street View House Numbers (Netzer and others 2011): MAT v5 files with `X`, unsigned bytes
//! [32 rows, 32 columns, 3 colours, N], and `y`, labels [N, 1], 1 to 9 and 10 for the digit 0. In MATLAB the first
//! dimension varies fastest, which here is the row; the data is reordered to images, rows, columns, colours.

use super::files::fault;
use super::{Images, mat5};
use crate::error::Result;

/// Side of an image.
const SIDE: usize = 32;
const CHANNELS: usize = 3;

/// The images of a file, [N, 32, 32, 3], with labels 0 to 9. `name` is for messages. Fails on
/// damaged data, arrays of other sizes, and labels outside 1 to 10.
pub fn parse(bytes: &[u8], name: &str) -> Result<Images> {
    let [images, labels] = mat5::parse_all(bytes, name, ["X", "y"])?;
    let count = match images.dims[..] {
        [SIDE, SIDE, CHANNELS, count] => count,
        // For a single image MATLAB omits the last dimension.
        [SIDE, SIDE, CHANNELS] => 1,
        _ => {
            let dims = images.dims;
            return fault(name, format!("array \"X\" is {dims:?}, expected [32, 32, 3, N]"));
        }
    };
    if count == 0 {
        return fault(name, "contains no images");
    }
    if labels.dims != [count, 1] {
        let dims = labels.dims;
        return fault(name, format!("array \"y\" is {dims:?}, expected [{count}, 1]"));
    }
    if let Some(i) = labels.data.iter().position(|label| !(1..=10).contains(label)) {
        return fault(name, format!("label {i} is {}, expected 1 to 10", labels.data[i]));
    }
    let dims = SIDE * SIDE * CHANNELS;
    let value = |e: usize| {
        let (image, row, column) = (e / dims, e / (CHANNELS * SIDE) % SIDE, e / CHANNELS % SIDE);
        let channel = e % CHANNELS;
        images.data[image * dims + (channel * SIDE + column) * SIDE + row]
    };
    Ok(Images {
        pixels: (0..count * dims).map(value).collect(),
        labels: Some(labels.data.into_iter().map(|label| label % 10).collect()),
        count,
        height: SIDE,
        width: SIDE,
        channels: CHANNELS,
        max: 255,
        scene: None,
    })
}
