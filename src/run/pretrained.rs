//! Trained models that are bundled with the program, each as a model file with its card.

use std::path::Path;

use super::Checkpoint;
use crate::error::Result;
use crate::model_file::Content;

/// A bundled trained model.
pub struct Pretrained {
    /// Its name on the command line.
    pub name: &'static str,
    bytes: &'static [u8],
}

macro_rules! pretrained {
    ($($name:literal),*) => {
        [$(Pretrained {
            name: $name,
            bytes: include_bytes!(concat!("pretrained/", $name, ".safetensors")),
        }),*]
    };
}

/// All bundled models.
pub static PRETRAINED: [Pretrained; 6] =
    pretrained!["vae", "pixelcnn", "rowlstm", "diagbilstm", "draw", "classes"];

impl Pretrained {
    /// The model of this name.
    pub fn find(name: &Path) -> Option<&'static Pretrained> {
        PRETRAINED.iter().find(|model| Path::new(model.name) == name)
    }

    /// Its weights and its card. Fails with [`Error::Checkpoint`](crate::Error::Checkpoint), which would be a bug in
    /// the build.
    pub fn open(&self) -> Result<Checkpoint> {
        let path = Path::new("pretrained").join(self.name);
        Checkpoint::of(Content::parse(self.bytes, &path)?, path)
    }
}
