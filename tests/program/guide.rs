//! The guide quotes the sources: every excerpt stands in the file named before it, word for word.

use std::fs;
use std::path::Path;

/// Lines without their common indentation.
fn flush_left(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|l| !l.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or("").to_string()).collect()
}

/// Whether an excerpt stands in a text, at whatever indentation.
fn stands(excerpt: &str, text: &str) -> bool {
    let excerpt = flush_left(excerpt);
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(excerpt.len()).any(|window| flush_left(&window.join("\n")) == excerpt)
}

/// Excerpts with the file that the text before them named last: in backquotes, with a folder.
fn excerpts(guide: &str) -> Vec<(String, String)> {
    let (mut file, mut found, mut block) = (String::new(), Vec::new(), None::<(bool, String)>);
    for line in guide.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                block = Some((matches!(kind, "rust,ignore" | "wgsl"), String::new()));
            }
            (Some((quoted, text)), Some(_)) => {
                if *quoted {
                    found.push((file.clone(), text.clone()));
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                let is_file = |word: &&str| {
                    ["src/", "shaders/", "tests/"].iter().any(|f| word.starts_with(f))
                };
                if let Some(name) = line.split('`').rfind(is_file) {
                    file = name.to_string();
                }
            }
        }
    }
    found
}

#[test]
fn what_the_guide_quotes_stands_in_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("src/guide.md")).unwrap();
    let excerpts = excerpts(&guide);
    assert!(excerpts.len() >= 9, "{} excerpts", excerpts.len());
    for (file, excerpt) in &excerpts {
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(
            stands(excerpt, &source),
            "src/guide.md quotes {file}, where this is not:\n{excerpt}"
        );
        let planted = excerpt.replacen('=', "==", 1).replacen("case(", "cases(", 1);
        assert!(!stands(&planted, &source), "the check does not see a planted fault in {excerpt}");
    }
}

/// Every file that the guide names is there.
#[test]
fn what_the_guide_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("src/guide.md")).unwrap();
    let paths = guide.split('`').filter(|word| {
        let folder = ["src/", "shaders/", "tests/", "examples/"];
        folder.iter().any(|f| word.starts_with(f)) && !word.contains(char::is_whitespace)
    });
    let paths: Vec<_> = paths.collect();
    assert!(paths.len() > 10);
    for path in paths {
        assert!(root.join(path).exists(), "src/guide.md names {path}");
    }
}
