//! What a model's figures mean: their units, what is too good to be true, what a reader must know.

use crate::data::Binarization;
use crate::models::pixel::MultiScaleConfig;
use crate::models::vae::{Likelihood, Method};
use crate::settings::ModelConfig;

/// Nats on fixed binarized MNIST that no model is known to reach: with latent variables, ...
const PLAUSIBLE_BOUND: f64 = 79.0;
/// ... and pixel by pixel.
const PLAUSIBLE_NLL: f64 = 78.0;

impl ModelConfig {
    /// A figure of this model as text: `nats`, and of pixel models also bits per dimension.
    pub fn nats(&self, nats: f64) -> String {
        match self.bits_per_dim(nats) {
            None => format!("{nats:.2} nats"),
            Some(bits) => format!("{nats:.2} nats, {bits:.3} bits/dim"),
        }
    }

    /// `nats` an image as bits per number of the image, of models whose data are whole numbers.
    pub fn bits_per_dim(&self, nats: f64) -> Option<f64> {
        let (height, width, channels) = self.shape();
        let dims = (height * width * channels) as f64;
        self.levels().map(|_| nats / (dims * std::f64::consts::LN_2))
    }

    /// The mean figure `name` as text: an `error` in percent, the score as by [`ModelConfig::nats`], any
    /// other in nats.
    pub fn figure(&self, name: &str, mean: f64) -> String {
        match name {
            "error" => format!("{:.2} %", 100.0 * mean),
            "bound" | "nll" => self.nats(mean),
            _ => format!("{mean:.2} nats"),
        }
    }

    /// A warning about a score (nats) on the images of data set `data` that is better than the best
    /// published models of its kind reach.
    pub fn suspicion(&self, data: &str, score: f64) -> Option<String> {
        let (name, least) = match self {
            ModelConfig::Vae(config) if config.likelihood == Likelihood::Gaussian => return None,
            ModelConfig::Classifier(_) => return None,
            ModelConfig::Vae(_) | ModelConfig::Draw(_) => ("a bound", PLAUSIBLE_BOUND),
            ModelConfig::MultiScale(_) => ("a bound", PLAUSIBLE_NLL),
            _ => ("an nll", PLAUSIBLE_NLL),
        };
        (data == "binarized-mnist" && score < least).then(|| {
            format!(
                "{name} of {score:.2} nats on fixed binarized MNIST is below {least}, where a \
                 leak between splits or a wrong constant is likelier than so good a model; look for \
                 one before you believe it"
            )
        })
    }

    /// What a reader of the model's figures on such data must know.
    pub fn caveat(&self, binarization: Binarization) -> Option<&'static str> {
        let grey = binarization == Binarization::Grey;
        match self {
            ModelConfig::Vae(config) => match (config.likelihood, config.method) {
                (_, Method::MonteCarloEm { .. }) => Some(
                    "Monte Carlo EM trains no encoder, so the bound is loose: see `eval --marginal`",
                ),
                (Likelihood::Bernoulli, _) if grey => Some(
                    "grey levels are taken as Bernoulli probabilities: the bound is no code length",
                ),
                (Likelihood::Gaussian, _) if !grey => Some(
                    "a Gaussian density of bits: its bound cannot be compared with probabilities",
                ),
                _ => None,
            },
            ModelConfig::Draw(_) if grey => Some(
                "intensities are taken as Bernoulli probabilities, as in the paper: the bound is no \
                 code length",
            ),
            ModelConfig::MultiScale(MultiScaleConfig { stage: Some(_), .. }) => {
                Some("one stage alone is trained: the bound counts the others untrained")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::draw::{ClassifierConfig, DrawConfig};
    use crate::models::pixel::{Body, PixelConfig};
    use crate::models::vae::VaeConfig;

    #[test]
    fn too_good_a_score_is_pointed_out() {
        let bernoulli = ModelConfig::Vae(VaeConfig::mnist(20));
        let warning = bernoulli.suspicion("binarized-mnist", 78.99).unwrap();
        assert!(warning.contains("78.99") && warning.contains("leak"), "{warning}");
        assert_eq!(bernoulli.suspicion("binarized-mnist", 79.0), None);
        assert_eq!(bernoulli.suspicion("mnist", 50.0), None);
        let draw = ModelConfig::Draw(DrawConfig::mnist());
        assert!(draw.suspicion("binarized-mnist", 78.99).unwrap().contains("a bound of 78.99"));
        assert_eq!(draw.suspicion("binarized-mnist", 79.0), None);
        let classifier = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(classifier.suspicion("binarized-mnist", 0.1), None, "of classes, not of images");
        let gaussian = ModelConfig::Vae(VaeConfig::frey(20));
        assert_eq!(gaussian.suspicion("binarized-mnist", -500.0), None, "a density");
        let net = PixelConfig::mnist(7, 16);
        let chain = MultiScaleConfig::new(Body::PixelCnn, net, vec![2]);
        for model in [ModelConfig::DiagBilstm(net), ModelConfig::MultiScale(chain)] {
            assert_eq!(model.suspicion("binarized-mnist", 78.0), None);
            assert!(model.suspicion("binarized-mnist", 77.99).unwrap().contains("77.99"));
        }
    }

    #[test]
    fn intensities_as_probabilities_are_pointed_out() {
        let draw = ModelConfig::Draw(DrawConfig::cifar10());
        assert!(draw.caveat(Binarization::Grey).unwrap().contains("no code length"));
        assert_eq!(draw.caveat(Binarization::Fixed), None);
        let classifier = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(classifier.caveat(Binarization::Grey), None);
    }

    #[test]
    fn an_error_is_in_percent() {
        let model = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(model.figure("error", 0.0418), "4.18 %");
        assert_eq!(model.figure("nll", 0.125), "0.12 nats");
    }

    #[test]
    fn uniform_bytes_are_eight_bits_a_number() {
        let model = ModelConfig::RowLstm(PixelConfig::colour(32, 1, 3));
        let uniform = 3072.0 * 256.0_f64.ln();
        assert!((model.bits_per_dim(uniform).unwrap() - 8.0).abs() < 1e-12);
        assert_eq!(model.nats(uniform), "17034.79 nats, 8.000 bits/dim");
        assert_eq!(ModelConfig::Vae(VaeConfig::mnist(2)).nats(98.194), "98.19 nats");
    }
}
