//! The kinds of models, as words of the command line.

use clap::ValueEnum;
use pixelloom::Error;
use pixelloom::settings::Config;

/// A kind of model.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Variational auto-encoder (Auto-Encoding Variational Bayes)
    Vae,
    /// PixelCNN (Pixel Recurrent Neural Networks)
    Pixelcnn,
    /// PixelRNN of Row LSTM layers
    Rowlstm,
    /// PixelRNN of Diagonal BiLSTM layers
    Diagbilstm,
    /// Multi-Scale PixelRNN: a small image, then larger ones given it
    Multiscale,
    /// DRAW: images written and read by attentive glimpses
    Draw,
    /// Classifier by attentive glimpses (DRAW, section 4.1); needs images with labels
    Classifier,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vae => "vae",
            Kind::Pixelcnn => "pixelcnn",
            Kind::Rowlstm => "rowlstm",
            Kind::Diagbilstm => "diagbilstm",
            Kind::Multiscale => "multiscale",
            Kind::Draw => "draw",
            Kind::Classifier => "classifier",
        }
    }

    /// That `config`, of `what`, is of this kind.
    pub fn check(self, config: &Config, what: &str) -> Result<(), Error> {
        let (kind, asked) = (config.model.kind(), self.name());
        if kind == asked {
            return Ok(());
        }
        Err(Error::Config(format!(
            "{what} is a {kind}, not a {asked}; say `pixelloom train {kind}`, or name a {asked}"
        )))
    }
}
