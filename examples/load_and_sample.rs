//! Loads weights from a model file and samples images. Run it with `cargo run --release --example load_and_sample --
//! model.safetensors`; without a file, it uses the bundled VAE.

use std::path::Path;

use pixelloom::images::sheet::write_sheet;
use pixelloom::output::{FileKind, Output};
use pixelloom::prelude::*;
use pixelloom::run::pretrained::Pretrained;

/// Writes 16 samples to the PNG file `out`. Returns the kind of the model and the samples, [16, D] in [0, 1].
fn sample(device: &Device, weights: Option<&Path>, out: &Path) -> Result<(&'static str, Vec<f32>)> {
    let checkpoint = match weights {
        Some(file) => Checkpoint::open(file)?,
        None => Pretrained::find("vae".as_ref()).expect("a bundled model").open()?,
    };
    let model = checkpoint.load(device)?;
    let images = model.model().sample(device, 16, Key::new(1, stream::SAMPLE, 0))?.to_vec()?;
    let sheet = Output::named(out, FileKind::Png, true)?;
    write_sheet(&sheet, &images, 16, checkpoint.model.shape(), 4)?;
    Ok((checkpoint.model.kind(), images))
}

fn main() -> Result<()> {
    let file = std::env::args().nth(1);
    let (kind, _) = sample(&Device::auto(), file.as_ref().map(Path::new), "images.png".as_ref())?;
    println!("wrote 16 samples of a {kind} to images.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits are mostly black, and every digit has white pixels.
    #[test]
    fn it_draws() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("images.png");
        let (kind, images) = sample(&Device::cpu(), None, &out).unwrap();
        assert!(kind == "vae" && out.is_file());
        let mean = images.iter().sum::<f32>() / images.len() as f32;
        assert!((0.05..0.3).contains(&mean), "{mean}");
        for image in images.chunks(784) {
            assert!(image.iter().any(|&x| x > 0.5));
        }
        let error = sample(&Device::cpu(), Some("nowhere".as_ref()), &out).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
