//! What users get: the package's contents and metadata, an installed program, the weights in Python. To run the slow
//! tests: `cargo test --release --test program -- --ignored package`.

use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command in the crate's root and returns its stdout; it must succeed.
#[track_caller]
fn output(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program.as_ref()).args(arguments).current_dir(dir).output();
    let output = output.unwrap_or_else(|e| panic!("{:?}: {e}", program.as_ref()));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {arguments:?}: {text}", program.as_ref());
    String::from_utf8(output.stdout).expect("text")
}

/// The files of the package.
fn listed() -> Vec<PathBuf> {
    let list = output(env!("CARGO"), &["package", "--list", "--allow-dirty", "--offline"], root());
    list.lines().map(|line| root().join(line)).collect()
}

/// What a registry asks for, and docs.rs.
#[test]
fn the_manifest_is_complete() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: Table = text.parse().unwrap();
    let package = manifest["package"].as_table().unwrap();
    for key in ["description", "license", "readme", "rust-version", "edition", "exclude"] {
        assert!(package.contains_key(key), "no {key}");
    }
    let count = |key: &str| package[key].as_array().map_or(0, Vec::len);
    assert!((1..=5).contains(&count("keywords")) && (1..=5).contains(&count("categories")));
    let docs = &package["metadata"]["docs"]["rs"];
    for feature in docs["features"].as_array().unwrap() {
        assert!(manifest["features"].get(feature.as_str().unwrap()).is_some(), "{feature}");
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        assert!(root().join(file).is_file(), "no {file}");
    }
    let changes = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let version = package["version"].as_str().unwrap();
    assert!(changes.contains("keepachangelog.com") && changes.contains(version), "{version}");
    let is_there = |path: &Value| root().join(path.as_str().unwrap()).exists();
    assert!(
        manifest["bench"].as_array().unwrap().iter().all(|b| b.get("path").is_none_or(is_there))
    );
}

/// Every picture that the README shows is there, and no other.
#[test]
fn the_gallery_is_shown() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let folder = root().join("benches/gallery");
    if !folder.is_dir() {
        println!("skipped: a package has no {}", folder.display());
        return;
    }
    let mut shown: Vec<String> = readme
        .split("](benches/gallery/")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(name, _)| name.into())
        .collect();
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut there: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    shown.sort();
    there.sort();
    assert!(!shown.is_empty());
    assert_eq!(shown, there);
    let size: u64 = there.iter().map(|n| folder.join(n).metadata().unwrap().len()).sum();
    assert!(size < 1_500_000, "{size} bytes");
}

/// The package contains everything that the build and the tests read, but no files of runs.
#[test]
fn the_package_is_whole_and_small() {
    let files = listed();
    let has = |name: &str| files.contains(&root().join(name));
    for name in [
        "src/guide/masked_convolution.md",
        "src/data/digits/train-images-idx3-ubyte.gz",
        "shaders/masked_conv/masked_conv.wgsl",
        "examples/new_op.rs",
        "tests/golden/index.json",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ] {
        assert!(has(name), "{name} is left out");
    }
    let strange = |path: &&PathBuf| {
        ["runs", "data", "target", ".ci"].iter().any(|dir| path.starts_with(root().join(dir)))
    };
    assert!(!files.iter().any(|path| strange(&path)), "{:?}", files.iter().find(strange));
    let size: u64 = files.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    assert!(size < 10_000_000, "{size} bytes");
}

#[test]
#[ignore = "builds the crate from its package"]
fn the_package_builds() {
    output(env!("CARGO"), &["package", "--allow-dirty", "--offline"], root());
}

#[test]
#[ignore = "builds the program from scratch"]
fn an_installed_program_trains_in_an_empty_folder() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("root");
    let install = ["install", "--path", ".", "--offline", "--locked", "--root"];
    output(env!("CARGO"), &[&install[..], &[place.to_str().unwrap()]].concat(), root());
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let program = place.join("bin").join(format!("pixelloom{}", std::env::consts::EXE_SUFFIX));
    let line = output(program, &["train", "vae", "--device", "cpu"], &empty);
    assert!(line.starts_with("test bound: ") && line.contains("embedded MNIST subset"), "{line}");
    assert!(empty.join("runs/digits/report.html").is_file());
}

/// Uses the interpreter in the variable PYTHON, or python3; it needs numpy and safetensors.
#[test]
#[ignore = "needs Python with numpy and safetensors"]
fn python_reads_the_weights_and_agrees() {
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let program = assert_cmd::cargo::cargo_bin!("pixelloom");
    let text = output(python, &["examples/load_in_python.py", program.to_str().unwrap()], root());
    assert!(text.contains("largest difference"), "{text}");
}
