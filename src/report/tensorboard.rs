//! The metrics and pictures of a run as a TensorBoard event file. A file is a sequence of records (TFRecord): the
//! length of the message as 8 bytes, little-endian, its masked CRC-32C, the message, its masked CRC-32C. A message is a
//! protocol buffer. These fields of `event.proto` and `summary.proto` are used:
//!
//! ```text
//! Event    1 wall_time: double   2 step: int64   3 file_version: string   5 summary: Summary
//! 10 source_metadata: SourceMetadata, only in the first event SourceMetadata 1 writer: string
//! Summary 1 value: repeated Value Value 1 tag: string 2 simple_value: float 4 image: Image Image 1
//! height 2 width 3 colorspace: int32 4 encoded_image_string: bytes
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::gallery::RunPicture;
use super::read::{Run, name_of};
use crate::error::Result;
use crate::output::{Output, event_writer};
use crate::run::metrics::SECONDS;

/// TensorBoard recognises its files by `tfevents` in their names.
const NAME: &str = "events.out.tfevents.pixelloom";
/// Keys of metrics that give the position of a line and are not plotted.
const POSITION: [&str; 5] = ["step", "images", "epoch", "what", "split"];
/// The value of `colorspace` for RGB.
const COLOURS: u64 = 3;

/// The path of the event file for the run in `run_dir`, in a subfolder of `folder` with the run's name.
pub fn events_path(run_dir: &Path, folder: &Path) -> PathBuf {
    folder.join(name_of(run_dir)).join(NAME)
}

/// Writes the events of the run in `run_dir`: every number of `metrics.jsonl` under a tag such as `train/loss` or
/// `valid/bound`, over the optimisation step, and the pictures. The time of an event is that of the metrics file minus
/// the time that the run took after it, rounded to the previous line.
///
/// Fails as [`write`](super::write) and [`Output::put`] do.
pub fn events(run_dir: &Path, out: &Output) -> Result<()> {
    let run = Run::read(run_dir)?;
    let seconds = |line: &Value| line[SECONDS[0]].as_f64();
    let whole = run.metrics.iter().filter_map(seconds).fold(0.0, f64::max);
    let written = fs::metadata(run_dir.join("metrics.jsonl")).and_then(|file| file.modified());
    let end = written.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let start = end.map_or(0.0, |end| end.as_secs_f64()) - whole;

    let mut first = event(start, 0, 3, b"brain.Event:2");
    first.extend(event_writer());
    let mut file = record(&first);
    let mut at = 0.0;
    for line in &run.metrics {
        at = seconds(line).unwrap_or(at);
        let step = line["step"].as_u64().unwrap_or(0);
        let values: Vec<u8> = scalars(line).iter().flat_map(|(tag, v)| scalar(tag, *v)).collect();
        if !values.is_empty() {
            file.extend(record(&event(start + at, step, 5, &values)));
        }
    }
    let last = run.last("step") as u64;
    for picture in &run.pictures {
        let moment = picture.moment();
        let tag = if moment.is_some() { "samples" } else { picture.stem() };
        let event = event(start + whole, moment.unwrap_or(last), 5, &image(tag, picture));
        file.extend(record(&event));
    }
    out.put(&file)
}

/// Tags and numbers of a line.
fn scalars(line: &Value) -> Vec<(String, f64)> {
    let kind = line["kind"].as_str().unwrap_or_default();
    let group = match (kind, line["split"].as_str()) {
        ("eval", Some(split)) => split.to_string(),
        (kind, Some(split)) => format!("{split}-{kind}"),
        (kind, None) => kind.to_string(),
    };
    let mut found = Vec::new();
    for (key, value) in line.as_object().into_iter().flatten() {
        if POSITION.contains(&key.as_str()) {
            continue;
        }
        match value {
            Value::Array(values) => {
                let numbers = values.iter().enumerate();
                found.extend(numbers.filter_map(|(i, v)| {
                    Some((format!("{group}/{key}/{:03}", i + 1), v.as_f64()?))
                }));
            }
            value => found.extend(value.as_f64().map(|v| (format!("{group}/{key}"), v))),
        }
    }
    found
}

/// A length-delimited field.
fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut field = varint(number << 3 | 2);
    field.extend(varint(content.len() as u64));
    field.extend(content);
    field
}

/// A varint field.
fn whole(number: u64, value: u64) -> Vec<u8> {
    let mut field = varint(number << 3);
    field.extend(varint(value));
    field
}

/// Seven bits per byte, lowest first; the eighth bit is set if more bytes follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut text = Vec::new();
    while value >= 0x80 {
        text.push(value as u8 | 0x80);
        value >>= 7;
    }
    text.push(value as u8);
    text
}

/// An event whose field `number` contains `content`.
fn event(time: f64, step: u64, number: u64, content: &[u8]) -> Vec<u8> {
    let mut message = varint(1 << 3 | 1);
    message.extend(time.to_le_bytes());
    message.extend(whole(2, step));
    message.extend(bytes(number, content));
    message
}

/// A scalar value of a summary.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut message = bytes(1, tag.as_bytes());
    message.extend(varint(2 << 3 | 5));
    message.extend((value as f32).to_le_bytes());
    bytes(1, &message)
}

/// An image value of a summary.
fn image(tag: &str, picture: &RunPicture) -> Vec<u8> {
    let (width, height) = picture.size();
    let image = [
        whole(1, height.into()),
        whole(2, width.into()),
        whole(3, COLOURS),
        bytes(4, picture.bytes()),
    ];
    let message = [bytes(1, tag.as_bytes()), bytes(4, &image.concat())];
    bytes(1, &message.concat())
}

/// A message as a record of the file.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), message, &masked(message)].concat()
}

/// The masked CRC-32C of TFRecord: rotated right by 15 bits, plus a constant.
fn masked(content: &[u8]) -> [u8; 4] {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of RFC 3720, B.4, for 32 bytes of 0, masked by hand: 8a9136aa rotated right by 15 bits is
    /// 6d551522, plus the constant 0fd7fffa.
    #[test]
    fn sums_are_masked_as_the_format_says() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x0fd7_fffa_u32.to_le_bytes());
    }

    #[test]
    fn varints_have_seven_bits_per_byte() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    #[test]
    fn an_event_is_the_bytes_of_its_fields() {
        // Event { wall_time: 1, step: 2, summary { value { tag: "a", simple_value: 1 } } }
        let expected = [
            0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // 1: the double 1
            0x10, 2, // 2: step
            0x2a, 10, 0x0a, 8, // 5: a summary of one value
            0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f, // its tag, and the float 1
        ];
        assert_eq!(event(1.0, 2, 5, &scalar("a", 1.0)), expected);
        assert_eq!(record(&expected).len(), expected.len() + 16);
    }
}
