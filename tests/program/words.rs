//! The project's prose must not contain certain phrases that readers stumble over, or units without a slash.

use super::house::{files, root};

/// Phrases, split in two so that this file does not contain them, and what to write instead.
const PHRASES: [([&str; 2], &str); 11] = [
    (["so m", "any"], "the number, or what it is enough for"),
    (["gone on", " with"], "resumed, fine-tuned"),
    (["go on", " with"], "resume, continue"),
    (["goes on", " with"], "resumes, continues"),
    (["as wh", "o "], "a whole sentence with a subject"),
    (["by he", "art"], "overfit, memorise"),
    (["binarized", " anew"], "dynamic binarization"),
    (["is t", "old"], "receives"),
    (["nats an", " image"], "nats/image"),
    (["images a", " second"], "images/s"),
    (["FLOP a", " byte"], "FLOP/byte"),
];

/// The phrases found in a text, as lines of a message.
fn found(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for (halves, instead) in PHRASES {
            let phrase = halves.concat();
            if line.contains(&phrase.to_lowercase()) {
                found.push(format!("{name}:{}: \"{phrase}\"; write: {instead}", number + 1));
            }
        }
    }
    found
}

#[test]
fn prose_is_free_of_phrases_that_readers_stumble_over() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for folder in ["src", "tests", "shaders", "examples", "benches"] {
        for extension in ["rs", "wgsl", "md", "py", "svg", "snap", "toml", "js", "mjs", "html"] {
            for path in files(&root().join(folder), extension) {
                let text = std::fs::read_to_string(&path).unwrap();
                wrong.extend(found(&path.display().to_string(), &text));
                read += 1;
            }
        }
    }
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "datasets.sh",
        "deny.toml",
    ] {
        wrong.extend(found(name, &std::fs::read_to_string(root().join(name)).unwrap()));
    }
    assert!(read > 300, "only {read} files were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let planted = PHRASES.map(|(halves, _)| halves.concat()).join("\n");
    assert_eq!(found("planted", &planted).len(), PHRASES.len(), "a planted phrase goes unnoticed");
}
