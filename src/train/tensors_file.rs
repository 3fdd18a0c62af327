//! A `.safetensors` file with a checksum: named f32 tensors and named texts.
//!
//! The format has no checksum of its own, so the text `sha256` holds one over everything else:
//! the other texts and each tensor's name, shape and little-endian bytes, in order of name. Equal
//! content gives equal bytes, and only those bytes are read: a changed byte either changes the content,
//! so that the checksum is another, or it leaves the content alone (a space of the header), and then
//! the bytes are not those that this content gives. A file without a checksum is refused.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::config::hex;
use super::files::write_synced;
use crate::data::files::{cause, whole};
use crate::error::{Error, Result};

/// Value of the text `format`.
const FORMAT: &str = "pixelloom-1";

/// Numbers that are added to the checksum at once.
const PIECE: usize = 1 << 12;

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major, last axis fastest.
    pub data: Vec<f32>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The format's metadata, without `format` and `sha256`.
    pub texts: BTreeMap<String, String>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl Content {
    fn checksum(&self) -> String {
        // Lengths go before variable parts, so that no two contents give the same bytes.
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
            // In pieces, as a copy of the largest tensor may not fit into memory.
            sum.update((4 * tensor.data.len() as u64).to_le_bytes());
            tensor.data.chunks(PIECE).for_each(|piece| sum.update(bytes_of(piece)));
        }
        hex(&sum.finalize())
    }

    /// The file's bytes. All keys stand in order, so they are a function of the content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut texts: BTreeMap<&str, &str> =
            self.texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let sum = self.checksum();
        texts.extend([("format", FORMAT), ("sha256", &sum)]);
        let mut header = BTreeMap::from([("__metadata__", json!(texts))]);
        let mut offset = 0;
        for (name, tensor) in &self.tensors {
            let end = offset + 4 * tensor.data.len();
            let entry: BTreeMap<&str, Value> = BTreeMap::from([
                ("data_offsets", json!([offset, end])),
                ("dtype", json!("F32")),
                ("shape", json!(tensor.shape)),
            ]);
            header.insert(name, json!(entry));
            offset = end;
        }
        let mut text = serde_json::to_vec(&header).expect("keys are strings");
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text);
        for tensor in self.tensors.values() {
            bytes.extend(bytes_of(&tensor.data));
        }
        bytes
    }

    /// Writes the file and waits until it is on the disk. Fails with [`Error::Disk`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_synced(path, &self.to_bytes()).map_err(|e| Error::disk("write", path, e))
    }

    /// Reads and checks a file. Fails with [`Error::Checkpoint`] on whatever is wrong with it.
    pub fn read(path: &Path) -> Result<Content> {
        let bytes = whole(path, u64::MAX).map_err(|e| fault(path, &cause(&e)))?;
        Content::parse(&bytes, path)
    }

    /// Checks the bytes of the file at `path`. Fails with [`Error::Checkpoint`].
    ///
    /// Memory: the tensors, and the header some times over.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Content> {
        let damaged = |what: &dyn std::fmt::Display| fault(path, &format!("is damaged: {what}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let mut texts: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let format = texts.remove("format").unwrap_or_default();
        if format != FORMAT {
            return Err(Error::Checkpoint(format!(
                "{} has format \"{format}\", this program reads \"{FORMAT}\"; it was written by \
                 another program or version: read it with that one",
                path.display()
            )));
        }
        let Some(expected) = texts.remove("sha256") else {
            return Err(damaged(&"it has no checksum"));
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(damaged(&format!("tensor {name} is not of F32")));
            }
            let data = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            tensors.insert(name.to_string(), HostTensor { shape: view.shape().to_vec(), data });
        }
        let content = Content { texts, tensors };
        if content.checksum() != expected {
            return Err(damaged(&"its content does not have its checksum"));
        }
        if content.to_bytes() != bytes {
            return Err(damaged(&"its header is not as this program writes it"));
        }
        Ok(content)
    }

    /// The text `key`, parsed from JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str, path: &Path) -> Result<T> {
        let text = self.texts.get(key).map_or("", String::as_str);
        serde_json::from_str(text).map_err(|e| {
            Error::Checkpoint(format!(
                "{}: the metadata \"{key}\" is none of this program's: {e}; it was written by \
                 another program or version",
                path.display()
            ))
        })
    }
}

/// That the file at `path` is not to be used.
fn fault(path: &Path, what: &str) -> Error {
    Error::Checkpoint(format!(
        "{} {what}; restore it from a copy, or take the checkpoint before it: training goes on from \
         that with --resume=auto",
        path.display()
    ))
}

fn bytes_of(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_le_bytes()).collect()
}
