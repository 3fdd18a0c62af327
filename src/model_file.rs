//! A model file in memory: the bytes of a `.safetensors` file with a checksum. It holds named tensors, all F32 or
//! all F16, and named texts (the format's metadata).
//!
//! The format has no checksum, so the text `sha256` holds one over everything else: the other texts and each
//! tensor's name, shape and little-endian bytes, sorted by name. Equal content is written as equal bytes, and the
//! reader accepts only those bytes. A corrupted byte is therefore always detected: either it changes the content,
//! and the checksum does not match, or it does not (a space in the header), and the bytes differ from those that
//! the content is written as. A file without a checksum is refused.
//!
//! [`Content::from_any`] also reads files that other programs wrote, or loaded and saved again: with any mixture of F64,
//! F32, BF16 and F16, with headers in any order, and with fewer or more texts. It compares the checksum if there is one.
//! Rounded numbers cannot have the checksum of the original ones; such a file is read all the same, and
//! [`Content::unchecked`] is set.

use std::collections::BTreeMap;
use std::io::{self, Write};

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::text::{hex, line};

/// Value of the text `format`, the version of the format.
pub const FORMAT: &str = "pixelloom-1";

/// The texts that this program writes into a file of weights. Others are not part of the checksum of a file that another
/// program saved.
const TEXTS: [&str; 6] = ["kind", "config", "data", "step", "history", "card"];

/// Numbers that are converted to bytes at once, because a copy of the largest tensor may not fit into memory.
const PIECE: usize = 1 << 12;

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major, last axis fastest.
    pub data: Vec<f32>,
}

/// Why bytes are not a model file of this program.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// They are not what was written; with a description of the damage.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// They have another format, whose name this holds.
    #[error(
        "has format \"{0}\", this program reads \"{FORMAT}\"; it was written by another program or version: read it \
         with that one"
    )]
    Format(String),
    /// The content matches its checksum, but the header is not as this program writes it.
    #[error("was saved by another program: its content is intact, but its header differs")]
    Rewritten,
    /// The file is intact, but has tensors that this program cannot use.
    #[error("has tensors that cannot be used: {0}")]
    Unusable(String),
}

/// Content of a model file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The format's metadata, without `format` and `sha256`.
    pub texts: BTreeMap<String, String>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Whether the file stores the tensors as F16. All numbers must then be representable in it; see
    /// [`halved`](Content::halved).
    pub half: bool,
    /// Whether the checksum could not be compared, because another program rounded the numbers.
    pub unchecked: bool,
}

impl Content {
    /// The same content with each number rounded to the nearest in half precision (11 significant bits; below 6e-5,
    /// multiples of 6e-8).
    ///
    /// Errors: [`Error::Config`] if a number exceeds the largest of half precision, 65504.
    pub fn halved(mut self) -> Result<Content> {
        for (name, tensor) in &mut self.tensors {
            for x in &mut tensor.data {
                let rounded = f16::from_f32(*x).to_f32();
                if rounded.is_infinite() {
                    return Err(Error::Config(format!(
                        "tensor {name} holds {x}, and half precision ends at {}; export it without --half",
                        f16::MAX
                    )));
                }
                *x = rounded;
            }
        }
        self.half = true;
        Ok(self)
    }

    /// Type of the tensors, and its name in a header.
    fn dtype(&self) -> (Dtype, &'static str) {
        if self.half { (Dtype::F16, "F16") } else { (Dtype::F32, "F32") }
    }

    /// SHA-256 over names, shapes, numbers and texts, as hexadecimal digits. Equal for equal contents.
    pub fn checksum(&self) -> String {
        // Every variable part is preceded by its length, so that different contents are hashed as different bytes.
        let part = |sum: &mut Sha256, bytes: &[u8]| {
            sum.update((bytes.len() as u64).to_le_bytes());
            sum.update(bytes);
        };
        let mut sum = Sha256::new();
        for (key, value) in &self.texts {
            part(&mut sum, key.as_bytes());
            part(&mut sum, value.as_bytes());
        }
        for (name, tensor) in &self.tensors {
            part(&mut sum, name.as_bytes());
            let shape: Vec<u8> =
                tensor.shape.iter().flat_map(|&n| (n as u64).to_le_bytes()).collect();
            part(&mut sum, &shape);
            sum.update((4 * tensor.data.len() as u64).to_le_bytes());
            tensor.data.chunks(PIECE).for_each(|piece| sum.update(bytes_of(piece)));
        }
        hex(&sum.finalize())
    }

    /// The file's bytes. Keys are sorted, so the bytes are a function of the content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers: usize = self.tensors.values().map(|tensor| tensor.data.len()).sum();
        let mut bytes = Vec::with_capacity(4 * numbers);
        self.write_to(&mut bytes).expect("a vector");
        bytes
    }

    /// Writes the file's bytes to `out`. Needs memory for the header only.
    pub fn write_to(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let mut texts: BTreeMap<&str, &str> =
            self.texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let sum = self.checksum();
        texts.extend([("format", FORMAT), ("sha256", &sum)]);
        let dtype = self.dtype().0;
        let shapes = self.tensors.iter().map(|(name, t)| (name.as_str(), (dtype, &t.shape[..])));
        out.write_all(&header(&texts, &shapes.collect()))?;
        for piece in self.tensors.values().flat_map(|tensor| tensor.data.chunks(PIECE)) {
            if self.half {
                let halves = piece.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes());
                out.write_all(&halves.collect::<Vec<u8>>())?;
            } else {
                out.write_all(&bytes_of(piece))?;
            }
        }
        Ok(())
    }

    /// Reads and checks the bytes of a file as this program writes them, which are a function of the content.
    ///
    /// Needs memory for the tensors, and for a few copies of the header.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Content, Fault> {
        let (file, texts, format) = opened(bytes)?;
        if format != FORMAT {
            return Err(Fault::Format(format));
        }
        let exact = written_here(bytes, &file, &texts);
        let content = Content::own(&file, texts)?;
        if exact { Ok(content) } else { Err(Fault::Rewritten) }
    }

    /// Reads and checks the bytes of a file from any program: this one, one that loaded and saved such a file, or one that
    /// does not know this format's texts. Numbers are converted to F32.
    ///
    /// Needs as much memory as [`Content::from_bytes`].
    pub fn from_any(bytes: &[u8]) -> std::result::Result<Content, Fault> {
        let (file, mut texts, format) = opened(bytes)?;
        if format == FORMAT && written_here(bytes, &file, &texts) {
            return Content::own(&file, texts);
        }
        // The file is from another version of this program.
        if format != FORMAT
            && format.starts_with(FORMAT.trim_end_matches(|c: char| c.is_ascii_digit()))
        {
            return Err(Fault::Format(format));
        }
        // With neither our format nor our text `kind`, a text called `sha256` may mean something else.
        let ours = format == FORMAT || texts.contains_key("kind");
        let sum = ours.then(|| texts.remove("sha256")).flatten();
        let mut content = Content { texts, ..Content::default() };
        let mut rounded = false;
        for (name, view) in file.iter() {
            let data = numbers(&view).ok_or_else(|| {
                let dtype = view.dtype();
                Fault::Unusable(format!(
                    "tensor {} is of type {dtype:?}; only F64, F32, BF16 and F16 can be read; remove it from the file",
                    line(name)
                ))
            })?;
            if let Some(x) = data.iter().find(|x| !x.is_finite()) {
                let what = format!("tensor {} holds {x}, which is not a finite F32", line(name));
                return Err(Fault::Unusable(what));
            }
            rounded |= matches!(view.dtype(), Dtype::F16 | Dtype::BF16);
            let tensor = HostTensor { shape: view.shape().to_vec(), data };
            content.tensors.insert(name.to_string(), tensor);
        }
        let Some(sum) = sum else { return Ok(content) };
        if content.checksum() == sum {
            return Ok(content);
        }
        content.texts.retain(|key, _| TEXTS.contains(&key.as_str()));
        if content.checksum() == sum {
            return Ok(content);
        }
        content.unchecked = rounded;
        if rounded { Ok(content) } else { Err(Fault::Damaged(CHANGED.into())) }
    }

    /// The content of a file in this program's format, after comparing the checksum.
    fn own(
        file: &SafeTensors,
        mut texts: BTreeMap<String, String>,
    ) -> std::result::Result<Content, Fault> {
        let damaged = |what: &dyn std::fmt::Display| Fault::Damaged(what.to_string());
        let Some(expected) = texts.remove("sha256") else {
            return Err(damaged(&"it has no checksum"));
        };
        let half = file.iter().next().is_some_and(|(_, view)| view.dtype() == Dtype::F16);
        let mut content = Content { texts, half, ..Content::default() };
        let (dtype, wanted) = content.dtype();
        for (name, view) in file.iter() {
            let data = numbers(&view).filter(|_| view.dtype() == dtype);
            let data = data.ok_or_else(|| damaged(&format!("tensor {name} is not of {wanted}")))?;
            let tensor = HostTensor { shape: view.shape().to_vec(), data };
            content.tensors.insert(name.to_string(), tensor);
        }
        if content.checksum() == expected { Ok(content) } else { Err(damaged(&OTHER_SUM)) }
    }
}

/// Damage to a file as this program writes it, ...
const OTHER_SUM: &str = "its content does not have its checksum";
/// ... and to one that another program saved.
const CHANGED: &str = "its content does not have its checksum (if another program changed it on purpose, remove sha256 \
                       from its metadata)";

/// The length of the header and the header of a file with these texts and tensors, padded with spaces.
fn header(texts: &BTreeMap<&str, &str>, tensors: &BTreeMap<&str, (Dtype, &[usize])>) -> Vec<u8> {
    let mut header = BTreeMap::from([("__metadata__", json!(texts))]);
    let mut offset = 0;
    for (name, (dtype, shape)) in tensors {
        let end = offset + shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let entry: BTreeMap<&str, Value> = BTreeMap::from([
            ("data_offsets", json!([offset, end])),
            ("dtype", json!(dtype)),
            ("shape", json!(shape)),
        ]);
        header.insert(name, json!(entry));
        offset = end;
    }
    let mut text = serde_json::to_vec(&header).expect("keys are strings");
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

/// Whether the header is as this program writes it, apart from the values in it.
fn written_here(bytes: &[u8], file: &SafeTensors, texts: &BTreeMap<String, String>) -> bool {
    let mut texts: BTreeMap<&str, &str> =
        texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    texts.insert("format", FORMAT);
    let views: Vec<_> = file.iter().collect();
    let tensors = views.iter().map(|(name, view)| (*name, (view.dtype(), view.shape())));
    bytes.starts_with(&header(&texts, &tensors.collect()))
}

/// The tensors and texts of a file, and the text `format`, empty if there is none.
fn opened(
    bytes: &[u8],
) -> std::result::Result<(SafeTensors<'_>, BTreeMap<String, String>, String), Fault> {
    let damaged = |e: safetensors::SafeTensorError| Fault::Damaged(e.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut texts: BTreeMap<String, String> =
        header.metadata().clone().unwrap_or_default().into_iter().collect();
    let format = texts.remove("format").unwrap_or_default();
    Ok((file, texts, format))
}

/// The numbers of a tensor as F32; `None` for other types.
fn numbers(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    let two = |f: fn([u8; 2]) -> f32| bytes.chunks_exact(2).map(|b| f([b[0], b[1]])).collect();
    Some(match view.dtype() {
        Dtype::F16 => two(|b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => two(|b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4"))).collect()
        }
        Dtype::F64 => {
            let wide = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("8")) as f32;
            bytes.chunks_exact(8).map(wide).collect()
        }
        _ => return None,
    })
}

fn bytes_of(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(data: &[f32]) -> Content {
        let tensor = |data: &[f32]| HostTensor { shape: vec![data.len()], data: data.to_vec() };
        let tensors = [("a", tensor(data)), ("b", tensor(&[1.0, 2.0]))];
        let tensors = tensors.map(|(name, tensor)| (name.to_string(), tensor)).into();
        Content { texts: [("kind".into(), "vae".into())].into(), tensors, ..Content::default() }
    }

    /// The expected values follow from the format: 11 significant bits; below 2^-14, multiples of 2^-24.
    #[test]
    fn half_precision_rounds_to_the_nearest_and_keeps_that() {
        let ulp = 2.0_f32.powi(-10);
        let tiny = 2.0_f32.powi(-24);
        let numbers =
            [0.0, -1.5, 1.0 + 0.4 * ulp, 1.0 + 0.6 * ulp, 3.7 * tiny, -0.3 * tiny, 65504.0];
        let rounded = [0.0, -1.5, 1.0, 1.0 + ulp, 4.0 * tiny, -0.0, 65504.0];
        let whole = content(&numbers);
        let half = whole.clone().halved().unwrap();
        assert_eq!(half.tensors["a"].data, rounded);
        let bytes = half.to_bytes();
        assert_eq!(whole.to_bytes().len() - bytes.len(), 2 * 9, "each number takes two bytes less");
        assert_eq!(Content::from_bytes(&bytes).unwrap(), half);
        assert_eq!(Content::from_bytes(&whole.to_bytes()).unwrap(), whole);
    }

    #[test]
    fn half_precision_refuses_what_it_cannot_hold() {
        for x in [65520.0, -1e30] {
            let Err(Error::Config(message)) = content(&[1.0, x]).halved() else { panic!("taken") };
            assert!(message.contains("tensor a holds") && message.contains("65504"), "{message}");
        }
    }

    /// The checksum does not cover the types, so one must not pass for another: two F16 for one F32.
    #[test]
    fn tensors_of_two_types_are_refused() {
        let bytes = content(&[1.0]).halved().unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (from, to) in [("\"F16\",\"shape\":[2]", "\"F32\",\"shape\":[1]"), ("F16", "I16")] {
            assert!(text.contains(from), "{from} is not in {text}");
            let at = text.find(from).unwrap();
            let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
            let Err(Fault::Damaged(message)) = Content::from_bytes(&changed) else {
                panic!("{to} taken")
            };
            assert!(message.contains("is not of F") || message.contains("nvalid"), "{message}");
        }
    }

    /// A file as another program writes it: header and tensors.
    fn foreign(header: &str, tensors: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), tensors].concat()
    }

    #[test]
    fn numbers_of_other_programs_are_read() {
        let bytes = [
            &1.5f32.to_le_bytes()[..],
            &(-2.25f64).to_le_bytes(),
            &f16::from_f32(0.5).to_le_bytes(),
            &bf16::from_f32(-3.0).to_le_bytes(),
        ]
        .concat();
        let types = r#""z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a":{"shape":[],"dtype":"F64",
            "data_offsets":[4,12]},"h":{"dtype":"F16","shape":[1,1],"data_offsets":[12,14]},
            "b":{"dtype":"BF16","shape":[1],"data_offsets":[14,16]}"#;
        for texts in ["", r#""__metadata__":{"format":"pt"},"#, r#""__metadata__":{"sha256":"x"},"#]
        {
            let file = foreign(&format!("{{{texts}{types}}}   "), &bytes);
            let content = Content::from_any(&file).unwrap();
            let read =
                |name: &str| (&content.tensors[name].shape[..], content.tensors[name].data[0]);
            assert_eq!(read("z"), (&[1][..], 1.5));
            assert_eq!(read("a"), (&[][..], -2.25));
            assert_eq!(read("h"), (&[1, 1][..], 0.5));
            assert_eq!(read("b"), (&[1][..], -3.0));
            assert!(matches!(Content::from_bytes(&file), Err(Fault::Format(_))));
        }
        let whole = |dtype: &str, size: usize, bytes: &[u8]| {
            let header =
                format!(r#"{{"w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{size}]}}}}"#);
            Content::from_any(&foreign(&header, bytes))
        };
        assert!(whole("F64", 8, &1.0f64.to_le_bytes()).is_ok());
        for (dtype, size, bytes, what) in [
            ("I64", 8, &[0; 8][..], "tensor w is of type I64"),
            ("F64", 8, &1e300f64.to_le_bytes(), "not a finite F32"),
            ("F32", 4, &f32::NAN.to_le_bytes(), "holds NaN"),
        ] {
            let Err(Fault::Unusable(message)) = whole(dtype, size, bytes) else { panic!("{what}") };
            assert!(message.contains(what), "{message}");
        }
    }

    /// A file of this program with another header: other order, other spaces.
    #[test]
    fn a_checksum_is_compared_where_there_is_one() {
        let own = content(&[1.0, -2.0]);
        let bytes = own.to_bytes();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let text = str::from_utf8(&bytes[8..8 + header]).unwrap();
        let again = |text: &str| foreign(text, &bytes[8 + header..]);
        let spaced = again(&text.replacen(':', " : ", 1));
        assert_eq!(Content::from_any(&bytes).unwrap(), own);
        assert_eq!(Content::from_any(&spaced).unwrap(), own);
        assert_eq!(Content::from_bytes(&spaced), Err(Fault::Rewritten));
        let without = again(&text.replacen(r#""format":"pixelloom-1","#, "", 1));
        assert_eq!(Content::from_any(&without).unwrap(), own);
        for (from, to) in [("vae", "gan"), (r#""kind":"#, r#""mind":"#)] {
            let changed = again(&text.replacen(from, to, 1));
            assert!(matches!(Content::from_any(&changed), Err(Fault::Damaged(_))), "{to}");
        }
        let mut flipped = spaced.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(Content::from_any(&flipped), Err(Fault::Damaged(_))));
        let other = again(&text.replacen("pixelloom-1", "pixelloom-2", 1));
        assert_eq!(Content::from_any(&other), Err(Fault::Format("pixelloom-2".into())));
        // Damage in a header as this program writes it; another program writes it in another way.
        let bare = text.replacen(r#","sha256":""#, r#","sha257":""#, 1);
        let lost = Err(Fault::Damaged("it has no checksum".into()));
        assert_eq!(Content::from_any(&again(&bare)), lost);
        assert!(Content::from_any(&again(&bare.replacen(':', ": ", 1))).is_ok());
    }

    /// The same file saved by another program: in every number type, with the checksum, without it, and with a text that
    /// does not belong to it.
    #[test]
    fn texts_of_other_programs_are_read() {
        let own = content(&[1.0, -2.0]);
        let texts = format!(r#""format":"pixelloom-1","kind":"vae","sha256":"{}""#, own.checksum());
        let bare = r#""format":"pt","kind":"vae""#;
        for (texts, summed) in
            [(&texts[..], true), (&format!(r#"{texts},"by":"me""#), true), (bare, false)]
        {
            for (dtype, size, rounded) in
                [("F64", 8, false), ("F32", 4, false), ("F16", 2, true), ("BF16", 2, true)]
            {
                let file = |b: [f32; 2]| {
                    let header = format!(
                        r#"{{"__metadata__":{{{texts}}},"a":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{}]}},
                        "b":{{"dtype":"{dtype}","shape":[2],"data_offsets":[{0},{}]}}}}"#,
                        2 * size,
                        4 * size
                    );
                    let bytes = [1.0, -2.0].into_iter().chain(b).flat_map(|x: f32| match dtype {
                        "F64" => f64::from(x).to_le_bytes().to_vec(),
                        "F32" => x.to_le_bytes().to_vec(),
                        "F16" => f16::from_f32(x).to_le_bytes().to_vec(),
                        _ => bf16::from_f32(x).to_le_bytes().to_vec(),
                    });
                    foreign(&header, &bytes.collect::<Vec<u8>>())
                };
                let read = Content::from_any(&file([1.0, 2.0])).unwrap();
                assert_eq!((&read.tensors, read.unchecked), (&own.tensors, false), "{dtype}");
                // Other numbers than those of the checksum: rounded ones are read, others are damage.
                let changed = Content::from_any(&file([1.0, 2.5]));
                match (summed, rounded) {
                    (true, false) => {
                        let Err(Fault::Damaged(message)) = changed else { panic!("{dtype}") };
                        assert!(message.contains("remove sha256"), "{message}");
                    }
                    _ => assert_eq!(changed.unwrap().unchecked, summed, "{dtype}"),
                }
            }
        }
    }
}
