//! The guide quotes the sources and names files and tests. Quotations, files and tests must exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the project, with its path relative to the root.
struct File {
    path: String,
    text: String,
}

/// All files in `dir` and its subfolders with one of these extensions.
fn files(dir: &str, extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if path.is_dir() {
                folders.push(path);
            } else if extensions.contains(&extension) {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found
}

fn chapters() -> Vec<File> {
    files("src/guide", &["md"])
}

fn sources() -> Vec<File> {
    let dirs = ["src", "shaders", "tests", "examples", "benches"];
    dirs.iter().flat_map(|dir| files(dir, &["rs", "wgsl"])).collect()
}

/// Lines without their common indentation.
fn flush_left(lines: &[&str]) -> Vec<String> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|l| !l.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or("").to_string()).collect()
}

/// Whether an excerpt occurs in a text, at any indentation.
fn stands(excerpt: &str, text: &str) -> bool {
    let excerpt: Vec<&str> = excerpt.lines().collect();
    let lines: Vec<&str> = text.lines().collect();
    let first = excerpt.first().map_or("", |line| line.trim());
    let begins = |window: &&[&str]| window[0].trim() == first;
    let mut windows = lines.windows(excerpt.len().max(1)).filter(begins);
    windows.any(|window| flush_left(window) == flush_left(&excerpt))
}

/// Quotations are the code blocks marked `rust,ignore` and `wgsl`.
fn excerpts(chapter: &str) -> Vec<String> {
    let (mut found, mut block) = (Vec::new(), None::<(bool, String)>);
    for line in chapter.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                block = Some((matches!(kind, "rust,ignore" | "wgsl"), String::new()));
            }
            (Some((quoted, text)), Some(_)) => {
                if *quoted {
                    found.push(text.clone());
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Words in backquotes outside code blocks.
fn quoted_words(chapter: &str) -> Vec<&str> {
    let prose = chapter.split("\n```").step_by(2);
    prose
        .flat_map(|text| text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
        .collect()
}

#[test]
fn quotations_are_in_the_sources() {
    let sources = sources();
    let quotes = |excerpt: &str| sources.iter().any(|file| stands(excerpt, &file.text));
    let mut count = 0;
    for chapter in chapters() {
        for excerpt in excerpts(&chapter.text) {
            count += 1;
            assert!(quotes(&excerpt), "{}: no source has these lines:\n{excerpt}", chapter.path);
            let planted = excerpt.replacen('\n', "x\n", 1);
            assert!(!quotes(&planted), "the check does not see a planted fault in\n{excerpt}");
        }
    }
    assert!(count >= 9, "{count} quotations");
}

/// A file may be named by the end of its path: `mask.rs` or `ops/mask.rs`.
#[test]
fn files_that_the_guide_names_exist() {
    let dirs = ["src", "shaders", "tests", "examples", "benches"];
    let known: Vec<String> = dirs
        .iter()
        .flat_map(|dir| files(dir, &["rs", "wgsl", "md", "py"]))
        .map(|f| f.path)
        .collect();
    let exists = |name: &str| {
        root().join(name).exists() || known.iter().any(|path| Path::new(path).ends_with(name))
    };
    let mut count = 0;
    for chapter in chapters() {
        for word in quoted_words(&chapter.text) {
            let is_file = [".rs", ".wgsl", ".md", ".py"].iter().any(|end| word.ends_with(end));
            let placeholder = word.contains("STEM") || word.contains(char::is_whitespace);
            if is_file && !placeholder {
                count += 1;
                assert!(exists(word), "{} names {word}, which does not exist", chapter.path);
            }
        }
    }
    assert!(count > 10, "{count} files");
    assert!(!exists("src/ops/no_such_file.rs"), "the check does not see a planted fault");
}

/// Tests are named in paragraphs that start with "Guarded by", and by long names anywhere.
#[test]
fn tests_that_the_guide_names_exist() {
    let sources = sources();
    let is_test = |name: &str| {
        let function = format!("fn {name}()");
        sources.iter().any(|file| {
            let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
            let found = |i: &usize| lines[*i].starts_with(&function);
            // There may be attributes between `#[test]` and the function.
            let attributes = |i: usize| lines[..i].iter().rev().take_while(|l| l.starts_with("#["));
            (0..lines.len()).filter(found).any(|i| attributes(i).any(|line| *line == "#[test]"))
        })
    };
    let mut count = 0;
    for chapter in chapters() {
        let guards = chapter.text.split("Guarded by").skip(1);
        let guards = guards.map(|rest| rest.split("\n\n").next().unwrap_or(""));
        let long = |word: &&str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            word.chars().all(plain) && word.matches('_').count() >= 3
        };
        let words = quoted_words(&chapter.text).into_iter().filter(long);
        for name in guards.flat_map(quoted_words).chain(words) {
            count += 1;
            assert!(is_test(name), "{} names a test {name}, which does not exist", chapter.path);
        }
    }
    assert!(count > 50, "{count} tests");
    assert!(!is_test("no_such_test"), "the check does not see a planted fault");
}
