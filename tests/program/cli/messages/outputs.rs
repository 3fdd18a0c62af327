//! Files that cannot be written, files of a run that cannot be read.

use super::super::TINY;
use super::{Place, Transcript, said};

#[test]
fn outputs() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    std::fs::write(place.path("file"), "text").expect("written");
    std::fs::create_dir(place.path("folder")).expect("made");
    transcript.fails(&format!("{TINY} --out file/run"), 8);
    transcript.fails("data digits --sheet file/s.png", 8);
    std::fs::write(place.path("notes.png"), "text").expect("written");
    transcript.fails("data digits --sheet folder", 3);
    transcript.fails("data digits --sheet folder/s.jpg", 3);
    transcript.fails("data digits --sheet notes.png", 3);
    transcript.fails(
        "explain receptive-field --model pixelcnn --size 5x5 --out file/f.png --device cpu",
        8,
    );
    place.succeed(&format!("{TINY} --name a"));
    for command in [
        "sample a --count 2 --out file/s.png",
        "sample a --count 2 --nearest file/n.png",
        "sample a --manifold --out nowhere/m.png",
        "eval a --per-image file/a.csv",
    ] {
        transcript.fails(&format!("{command} --device cpu"), 8);
    }
    transcript.fails("report a --compare file/c.html", 8);
    transcript.fails("sample a --count 2 --film f.mp4 --device cpu", 3);
    transcript.fails("sample a --count 2 --out s.png --nearest s.png --device cpu", 3);
    transcript.fails("report a --csv runs/a/m.csv --force", 3);
    transcript.fails("report a --log-x", 3);
    transcript.fails("tune vae --tiles file/t.toml --device cpu", 8);
    transcript.fails("tune vae --tiles runs/a/t.toml --device cpu", 3);
    transcript.fails("tune vae --tiles t.txt --device cpu", 3);
    for (file, text) in [
        ("metrics.jsonl", "{\"kind\":\"train\"}\nnothing\n"),
        ("metrics.jsonl", "[]\n"),
        ("metrics.jsonl", "{\"step\":1}\n"),
        ("summary.json", "{"),
        ("samples/x.png", "no picture"),
        ("samples/x.gif", "no film"),
    ] {
        let path = place.path("runs/a").join(file);
        let good = std::fs::read(&path).ok();
        std::fs::write(&path, text).expect("written");
        transcript.fails("report a", 4);
        match good {
            Some(good) => std::fs::write(&path, good).expect("written"),
            None => std::fs::remove_file(&path).expect("removed"),
        }
    }
    std::fs::remove_file(place.path("runs/a/metrics.jsonl")).expect("removed");
    std::fs::create_dir(place.path("runs/a/metrics.jsonl")).expect("made");
    transcript.fails("train vae --resume --name a --device cpu", 8);
    said!(transcript);
}
