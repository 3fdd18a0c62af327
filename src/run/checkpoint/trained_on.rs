//! What is known about the images of a training.

use serde::{Deserialize, Serialize};

use crate::data::{Binarization, Fingerprint, ImageOptions, fingerprint};

/// The images a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Name of the data set.
    pub name: String,
    /// How its pixels became numbers.
    pub binarization: Binarization,
    /// How the user's own images were read.
    #[serde(default, skip_serializing_if = "ImageOptions::is_default")]
    pub options: ImageOptions,
    /// Fingerprint of its images; absent in checkpoints and model files that predate this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

impl TrainedOn {
    /// The default options for images of the set `name`: as in training, if both are folders or both are IDX files.
    pub fn options_for(&self, name: &str) -> ImageOptions {
        match fingerprint::same_source(&self.name, name) {
            true => self.options,
            false => ImageOptions::default(),
        }
    }

    /// A remark for scoring the model `what` on the set `name`, if that is the name of the training set: a warning if its
    /// images are different, a note if that cannot be checked. `now` is the fingerprint of the set.
    pub fn remark(
        &self,
        name: &str,
        now: impl FnOnce() -> Fingerprint,
        what: &str,
    ) -> Option<String> {
        if name != self.name {
            return None;
        }
        let Some(trained) = &self.fingerprint else {
            return Some(format!("note: {}", self.unknown(what)));
        };
        let now = now();
        (now != *trained).then(|| {
            format!(
                "warning: {} contains other images than in training (now {now}; in training {trained}), so \
                 the model may have been trained on images that are scored here",
                self.name
            )
        })
    }

    /// The message that the training images of `what` are unknown.
    pub(in crate::run) fn unknown(&self, what: &str) -> String {
        let split = match self.name.contains("folder:") {
            true => {
                "; a folder without train, valid and test is now split by the names of its images, so the \
                 model may have been trained on images of another split"
            }
            false => "",
        };
        format!("{what} predates fingerprints of the images, so its data cannot be checked{split}")
    }
}
