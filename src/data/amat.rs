//! `.amat` text of the fixed binarized MNIST (Larochelle & Murray 2011): one 28x28 image per line, 784 values "0" or
//! "1" separated by spaces, row-major.

use super::Images;
use super::files::fault;
use crate::error::Result;

const DIMS: usize = 28 * 28;

/// The images of an `.amat` text, [N, 28, 28, 1] of 0 and 1.
pub fn parse(bytes: &[u8], name: &str) -> Result<Images> {
    // A value and its separator take two bytes, so this never reallocates.
    let mut pixels = Vec::with_capacity(bytes.len() / 2 + 1);
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (line, row) in text.split(|&b| b == b'\n').enumerate() {
        let line = line + 1;
        let start = pixels.len();
        for token in row.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty()) {
            pixels.push(match token {
                b"0" => 0,
                b"1" => 1,
                _ => {
                    let column = pixels.len() - start + 1;
                    let shown = String::from_utf8_lossy(&token[..token.len().min(16)]);
                    return fault(
                        name,
                        format!("line {line}, value {column}: {shown:?} is neither 0 nor 1"),
                    );
                }
            });
            if pixels.len() - start > DIMS {
                return fault(name, format!("line {line} has more than {DIMS} values"));
            }
        }
        if pixels.len() - start != DIMS {
            let found = pixels.len() - start;
            return fault(name, format!("line {line} has {found} values, expected {DIMS}"));
        }
    }
    Ok(Images {
        count: pixels.len() / DIMS,
        pixels: pixels.into(),
        labels: None,
        height: 28,
        width: 28,
        channels: 1,
        max: 1,
        scene: None,
    })
}
