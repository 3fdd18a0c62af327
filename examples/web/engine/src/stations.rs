//! The answers to the requests of the stations, model by model.

use pixelloom::models::draw::{Draw, Frame, GlimpseWindow};
use pixelloom::models::pixel::{Known, Watch};
use pixelloom::models::vae::{LatentModel, Vae};
use pixelloom::models::{Autoregressive, Model};
use pixelloom::rng::{Key, stream};
use pixelloom::{Tape, Tensor};

use super::{Answer, Engine, Loaded, PIXELS};

/// Numbers per glimpse: KL (nats), the read window and the write window (left, top, right, bottom, deviation, in
/// pixels counted from 1; NaN if there is none), and the canvas.
pub const GLIMPSE: usize = 1 + 5 + 5 + PIXELS;

/// Interval in pixels between partial images: half a row.
const EVERY: usize = 14;

/// The key for the noise of samples, the same as the commands of the program use for a seed.
fn noise(seed: u64) -> Key {
    Key::new(seed, stream::SAMPLE, 0)
}

fn failed(e: pixelloom::Error) -> String {
    e.to_string()
}

impl Engine {
    fn pixel_model(&self, name: &str) -> Answer<&dyn Autoregressive> {
        match self.model(name)? {
            Loaded::Pixel(model) => model.autoregressive("this station").map_err(failed),
            _ => Err(format!("{name} does not draw pixel by pixel")),
        }
    }

    fn draw_model(&self) -> Answer<&Draw> {
        match self.model("draw")? {
            Loaded::Draw(model) => Ok(model),
            _ => Err("draw is another model".into()),
        }
    }

    fn vae(&self) -> Answer<&Vae> {
        match self.model("vae")? {
            Loaded::Vae(model) => Ok(model),
            _ => Err("vae is another model".into()),
        }
    }

    pub(super) fn pixels(&self, model: &str, image: &[f32]) -> Answer<Vec<f32>> {
        let model = self.pixel_model(model)?;
        let tape = Tape::inference();
        let x = tape.constant(self.image(image)?.reshape(&[1, 28, 28, 1]));
        let logits = model.logits(&x).value().to_vec().map_err(failed)?;
        let sigmoid = |l: f64| 1.0 / (1.0 + (-l).exp());
        let ink = logits.iter().map(|&l| sigmoid(f64::from(l)) as f32);
        // -log p(x) = log(1 + e^l) - x l, without overflow.
        let nats = logits.iter().zip(image).map(|(&l, &x)| {
            let l = f64::from(l);
            (l.max(0.0) + (-l.abs()).exp().ln_1p() - f64::from(x) * l) as f32
        });
        Ok(ink.chain(nats).collect())
    }

    pub(super) fn complete(
        &self,
        model: &str,
        image: &[f32],
        given: &[u8],
        (count, seed): (usize, u64),
        frame: &mut dyn FnMut(usize, &[f32]),
    ) -> Answer<Vec<f32>> {
        let model = self.pixel_model(model)?;
        if given.len() != PIXELS || image.len() != PIXELS || !(1..=64).contains(&count) {
            return Err(format!(
                "a completion needs an image and a mask of {PIXELS} numbers, and a count from 1 to 64"
            ));
        }
        let mask: Vec<bool> = given.iter().map(|&given| given != 0).collect();
        // The model must not see the hidden pixels.
        let kept: Vec<f32> =
            image.iter().zip(&mask).map(|(&x, &given)| if given { x } else { 0.0 }).collect();
        let images = Tensor::new(&self.device, &kept.repeat(count), &[count, PIXELS]);
        let known = Some(Known { images: &images, mask: &mask });
        // The film has a frame after the first pixel, then after every 14th.
        let mut frames = 0;
        let mut film = |images: Vec<f32>| {
            frame((frames * EVERY + 1).min(PIXELS), &images);
            frames += 1;
        };
        let mut watch = Watch { progress: &|_, _| Ok(()), film: Some((EVERY, &mut film)) };
        let drawn = model.draw(&self.device, count, &[], known, noise(seed), &mut watch);
        drawn.and_then(|images| images.to_vec()).map_err(failed)
    }

    pub(super) fn imagine(&self, seed: u64) -> Answer<Vec<f32>> {
        let trace = self.draw_model()?.imagine(&self.device, 1, noise(seed)).map_err(failed)?;
        Ok(trace.frames.iter().flat_map(|frame| glimpse(0.0, frame)).collect())
    }

    pub(super) fn read(&self, image: &[f32], seed: u64) -> Answer<Vec<f32>> {
        let (model, x) = (self.draw_model()?, self.image(image)?);
        // The key, and so the noise, is that of the trace, so these are the parts of its bound.
        let trace = model.reconstruct(&x, noise(seed)).map_err(failed)?;
        let parts = model.evaluate(&x, None, noise(seed)).map_err(failed)?;
        let part = |name: &str| {
            let found = parts.iter().find(|(part, _)| part == name);
            found.map(|(_, values)| values[0]).ok_or_else(|| format!("DRAW has no part {name}"))
        };
        let mut answer = vec![part("reconstruction")?];
        for (number, frame) in trace.frames.iter().enumerate() {
            answer.extend(glimpse(part(&format!("kl.{}", number + 1))?, frame));
        }
        Ok(answer)
    }

    pub(super) fn encode(&self, image: &[f32]) -> Answer<Vec<f32>> {
        let (model, x) = (self.vae()?, self.image(image)?);
        let tape = Tape::inference();
        let (mean, log_variance) = model.encode(&tape.constant(x.clone()));
        let mut answer = mean.value().to_vec().map_err(failed)?;
        answer.extend(log_variance.value().to_vec().map_err(failed)?);
        let parts = model.evaluate(&x, None, noise(1)).map_err(failed)?;
        answer.extend(parts.iter().filter(|(name, _)| name != "bound").map(|(_, nats)| nats[0]));
        answer.extend(model.reconstruct(&x).to_vec().map_err(failed)?);
        Ok(answer)
    }

    pub(super) fn decode(&self, z: &[f32]) -> Answer<Vec<f32>> {
        let model = self.vae()?;
        let latent = model.config.latent;
        if z.is_empty() || !z.len().is_multiple_of(latent) {
            return Err(format!("a point of the plane has {latent} numbers"));
        }
        let z = Tensor::new(&self.device, z, &[z.len() / latent, latent]);
        model.decode_means(&z).to_vec().map_err(failed)
    }
}

/// The numbers of a [`GLIMPSE`].
fn glimpse(kl: f32, frame: &Frame) -> Vec<f32> {
    let window = |windows: &Option<Vec<GlimpseWindow>>| {
        let window = windows.as_ref().map(|windows| windows[0]);
        window.map_or([f32::NAN; 5], |w| {
            let [left, top, right, bottom] = w.corners();
            [left, top, right, bottom, w.sigma]
        })
    };
    let mut numbers = vec![kl];
    numbers.extend(window(&frame.read));
    numbers.extend(window(&frame.write));
    numbers.extend(&frame.canvas);
    numbers
}
