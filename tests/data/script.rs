//! `datasets.sh`: usage, what it says of damaged files, resuming. Nothing here goes to the network.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use crate::samples;

/// Exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets.sh");
    let output = Command::new("bash").arg(script).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn list_and_usage() {
    let (code, list, _) = run(&["--list"]);
    assert_eq!(code, 0);
    for name in
        ["mnist", "binarized-mnist", "cifar10", "svhn", "svhn-small", "svhn-cropped", "frey"]
    {
        assert!(list.lines().any(|line| line.split(' ').next() == Some(name)), "{name}: {list}");
    }
    for wrong in [&[][..], &["minst"], &["--dir"], &["--frob", "mnist"]] {
        let (code, _, complaint) = run(wrong);
        assert_eq!(code, 2, "{wrong:?}");
        assert!(complaint.contains("usage:"), "{complaint}");
    }
}

#[test]
fn verify_names_damaged_and_missing_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let (code, _, complaint) = run(&["--dir", at, "--verify"]);
    assert!(code == 1 && complaint.contains("no data set there"), "{complaint}");

    let folder = dir.path().join("mnist");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("train-images-idx3-ubyte.gz"), samples::gz(b"damaged")).unwrap();
    std::fs::write(folder.join("train-labels-idx1-ubyte"), b"damaged").unwrap();
    for names in [&[][..], &["mnist"]] {
        let (code, _, complaint) = run(&[&["--dir", at, "--verify"], names].concat());
        assert_eq!(code, 1);
        let said = |file: &str, what: &str| {
            assert!(complaint.contains(&format!("mnist/{file}: {what}")), "{file}: {complaint}");
        };
        said("train-images-idx3-ubyte.gz", "damaged");
        said("train-labels-idx1-ubyte", "damaged");
        said("t10k-images-idx3-ubyte.gz", "missing");
    }
}

#[test]
fn downloads_resumes_and_leaves_alone() {
    let Some(shared) = samples::shared("downloads_resumes_and_leaves_alone") else { return };
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("downloads_resumes_and_leaves_alone: skipped, no curl");
        return;
    }
    let shared = shared.canonicalize().unwrap();
    let original = std::fs::read(shared.join("freyface/frey_rawface.mat")).unwrap();
    let mirror = format!("file://{}", shared.display());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("freyface");
    let (file, part) = (folder.join("frey_rawface.mat"), folder.join("frey_rawface.mat.part"));
    let fetch = || run(&["--dir", dir.path().to_str().unwrap(), "--mirror", &mirror, "frey"]);
    std::fs::create_dir(&folder).unwrap();
    // A good beginning is gone on with, a bad or too long one is thrown away, a bad file replaced.
    let long = [&original[..], b"more"].concat();
    for beginning in [&[][..], &original[..1000], &[7; 1000], &long] {
        std::fs::write(&part, beginning).unwrap();
        std::fs::write(&file, b"damaged").unwrap();
        let (code, _, complaint) = fetch();
        assert_eq!(code, 0, "{complaint}");
        assert!(std::fs::read(&file).unwrap() == original && !part.exists());
    }
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    let (code, said, _) = fetch();
    assert!(code == 0 && said.contains("as expected") && !said.contains("file://"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before);
}
