//! The commands of the README and the guide work.
//!
//! Each block of shell commands declares how it may be run: `run` works in an empty folder with the program alone,
//! `long` takes minutes or waits for input, `needs` requires data, a network or another program. The `run` blocks of a
//! file are run in order, in one folder, with the built program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const KINDS: [&str; 3] = ["run", "long", "needs"];

/// A block's kind and its lines.
struct Block {
    kind: String,
    lines: Vec<String>,
}

/// The shell blocks of a Markdown text.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(info) => {
                inside = true;
                let mut words = info.split_whitespace();
                let shell = words.next() == Some("sh");
                let kind = if shell { words.next().unwrap_or("unmarked") } else { "other" };
                blocks.push(Block { kind: kind.into(), lines: Vec::new() });
            }
            None if inside => blocks.last_mut().expect("a block").lines.push(line.into()),
            None => {}
        }
    }
    blocks.retain(|block| block.kind != "other");
    blocks
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Paths and texts of the README and the chapters of the guide.
fn pages() -> Vec<(PathBuf, String)> {
    let chapters = fs::read_dir(root().join("src/guide")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> =
        chapters.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    files.push(root().join("README.md"));
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

/// Runs a line in `folder`, with the built program first on PATH.
#[track_caller]
fn run(line: &str, folder: &Path) {
    let program = assert_cmd::cargo::cargo_bin!("pixelloom");
    let own = program.parent().expect("a folder").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path);
    let output = command.output().expect("a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{errors}");
}

#[test]
fn every_block_of_commands_declares_how_it_may_be_run() {
    let mut runs = 0;
    for (file, text) in pages() {
        for block in blocks(&text) {
            let first = block.lines.first().map_or("", String::as_str);
            let file = file.display();
            assert!(
                KINDS.contains(&block.kind.as_str()),
                "{file}: a block is {}: {first}",
                block.kind
            );
            runs += usize::from(block.kind == "run");
        }
    }
    assert!(runs >= 2, "{runs} blocks are run");
    assert_eq!(
        blocks("```sh\nls\n```\n")[0].kind,
        "unmarked",
        "the check does not see a planted fault"
    );
}

#[test]
fn commands_that_may_be_run_succeed_in_an_empty_folder() {
    for (_, text) in pages() {
        let folder = TempDir::new().expect("a temporary folder");
        for block in blocks(&text).iter().filter(|block| block.kind == "run") {
            for line in block.lines.iter().filter(|line| !line.trim().is_empty()) {
                assert!(!line.starts_with("cargo"), "{line}: cargo would build again");
                run(line, folder.path());
            }
        }
    }
    let folder = TempDir::new().expect("a temporary folder");
    let planted = std::panic::catch_unwind(|| run("pixelloom eval nowhere", folder.path()));
    assert!(planted.is_err(), "a command that fails goes unnoticed");
}
