//! Invalid command lines.

use super::{Place, Transcript, said};

#[test]
fn usage() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    for command in [
        "trian vae",
        "train",
        "train gan",
        "train vae --hiden 3",
        "train vae --epochs many",
        "train vae --seed=-1",
        "train vae --threads 0",
        "train vae --threads 1025",
        "train vae --resume --force",
        "train vae --resume --preset digits",
        "train vae --resume --config my.toml",
        "train vae --name a --out b",
        "eval",
        "eval a --split all",
        "eval a --iwae 0",
        "eval a --iwae 100001",
        "sample a --count 0",
        "sample a --count 0",
        "sample a --film f.gif --reconstruct",
        "sample a --strip s.png --manifold",
        "sample a --nearest n.png --manifold",
        "sample a --reconstruct --manifold",
        "complete a --rect 1,2",
        "complete a --rect 1,2,3,4 --mask mask.png",
        "complete a --image own.png --count 3",
        "complete a --image own.png --data mnist",
        "complete a --count 0",
        "complete a --samples 101",
        "explain",
        "explain receptive-field",
        "explain receptive-field a --model pixelcnn",
        "explain receptive-field --model pixelcnn --best",
        "explain receptive-field a --layers 3",
        "explain receptive-field --model pixelcnn --layers 0",
        "explain receptive-field --model pixelcnn --size 28",
        "explain receptive-field --model pixelcnn --size 28x65",
        "explain glimpses a --count 0",
        "explain glimpses a --image own.png --count 3",
        "report",
        "bench --seconds x",
        "bench --seconds 5000",
        "data --sheet s.png",
    ] {
        transcript.fails(command, 2);
    }
    said!(transcript);
}
