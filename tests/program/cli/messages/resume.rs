//! Runs that already exist, that cannot be resumed, or that diverge.

use super::super::TINY;
use super::{Place, Transcript, said};

#[test]
fn resume() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    let resume = |more: &str| format!("train vae --resume --device cpu {more}");
    transcript.fails(&resume("--name nowhere"), 5);
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b --set model.method=wake-sleep"));
    transcript.fails(&format!("{TINY} --name a"), 3);
    std::fs::create_dir(place.path("precious")).expect("made");
    std::fs::write(place.path("precious/file"), "text").expect("written");
    transcript.fails(&format!("{TINY} --out precious --force"), 3);
    transcript.fails(&resume("--name a --rate 0.1"), 3);
    transcript.fails(&resume("--name a --epochs 2"), 3);
    transcript.fails("train draw --resume --device cpu --name a", 3);
    transcript.fails(&resume("--name a --data nothing"), 3);
    let state = "checkpoints/step-00000012/state.safetensors";
    let [from, to] = ["b", "a"].map(|run| place.path(&format!("runs/{run}/{state}")));
    std::fs::copy(from, to).expect("copied");
    transcript.fails(&resume("--name a"), 5);
    let flags = "train vae --device cpu --hidden 8 --latent 2 --epochs 3 --rate 1e30 --log-every 2 \
                 --set data.limit=400 --name away";
    transcript.fails(flags, 7);
    said!(transcript);
}
