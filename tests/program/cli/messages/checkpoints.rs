//! Checkpoints that are missing, damaged, of another model or of another program.

use super::super::TINY;
use super::{Place, Transcript, said};

#[test]
fn checkpoints() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    for command in
        ["eval nowhere", "sample nowhere", "complete nowhere", "explain glimpses nowhere"]
    {
        transcript.fails(command, 5);
    }
    transcript.fails("report nowhere", 5);
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b --hidden 7").replace("--hidden 8", ""));
    // For --init: nothing, another kind, other sizes, together with --resume.
    let begin = |more: &str| format!("train vae --device cpu --name c --init {more}");
    for more in ["nowhere", "pixelcnn", "b --hidden 5"] {
        transcript.fails(&begin(more), if more == "pixelcnn" { 3 } else { 5 });
    }
    transcript.fails(&begin("b --resume"), 2);
    assert!(!place.path("runs/c").exists());
    let last = "runs/a/checkpoints/step-00000012/model.safetensors";
    let good = place.read(last);
    let header = u64::from_le_bytes(good[..8].try_into().expect("8 bytes")) as usize;
    let text = String::from_utf8(good[8..8 + header].to_vec()).expect("text");
    // Texts are under a checksum, so all but the format are seen as damage.
    let replaced = |from: &str, to: &str| {
        let text = text.replacen(from, to, 1);
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &good[8 + header..]].concat()
    };
    let mut flipped = good.clone();
    flipped[8 + header] ^= 1;
    for bytes in [
        flipped,
        good[..good.len() - 4].to_vec(),
        good[..20].to_vec(),
        Vec::new(),
        replaced("pixelloom-1", "pixelloom-9"),
        replaced("F32", "F64"),
        replaced("vae", "gan"),
    ] {
        std::fs::write(place.path(last), bytes).expect("written");
        transcript.fails("eval a --device cpu", 5);
    }
    std::fs::write(place.path(last), &good).expect("written");
    // A model's settings and another one's weights.
    let state = "checkpoints/step-00000012/state.safetensors";
    std::fs::remove_file(place.path("runs/a").join(state)).expect("removed");
    transcript.fails("eval a --device cpu", 5);
    std::fs::remove_dir_all(place.path("runs/a/checkpoints")).expect("removed");
    std::fs::create_dir(place.path("runs/a/checkpoints")).expect("made");
    transcript.fails("eval a --device cpu", 5);
    std::fs::write(place.path("runs/b/config.toml"), "[package]\n").expect("written");
    transcript.fails("eval b --device cpu", 5);
    said!(transcript);
}
