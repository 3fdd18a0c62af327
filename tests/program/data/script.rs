//! `datasets.sh`: usage, its messages about files that are not the published ones and how it treats them, resuming.
//! These tests do not use the network.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pixelloom::data::{cifar, idx};
use tempfile::TempDir;

use super::digits::hex;
use super::samples;

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
    assert!(code == 1 && complaint.contains("contains no data set"), "{complaint}");

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

/// A `curl` that supports only `file:` URLs, so that nothing is downloaded from the network; it restarts instead of
/// resuming.
const CURL: &str = "#!/usr/bin/env bash
while [ $# -gt 2 ]; do shift; done
[ -f \"${2#file://}\" ] || exit 37
cat \"${2#file://}\" >\"$1\"
";

/// Files of MNIST, none of them in the published form.
const STEMS: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A copy of the script that accepts small files as the published ones, with a folder to run it in, without a network.
struct Copy {
    dir: TempDir,
    script: String,
}

impl Copy {
    fn new() -> Copy {
        let dir = TempDir::new().unwrap();
        let script = include_str!("../../../datasets.sh").to_string();
        let copy = Copy { dir, script };
        copy.put("bin/curl", CURL.as_bytes());
        // The last resort must fail too.
        copy.put("bin/npm", b"#!/bin/sh\nexit 1\n");
        for tool in ["curl", "npm"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(copy.path(&format!("bin/{tool}")), mode).unwrap();
        }
        copy
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn put(&self, below: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        fs::write(self.path(below), bytes).unwrap();
    }

    fn read(&self, below: &str) -> Vec<u8> {
        fs::read(self.path(below)).unwrap()
    }

    /// Makes `content` the published content of `file`, a name in the script's table.
    fn publish(&mut self, file: &str, content: &[u8]) {
        let at = self.script.find(&format!("\n{file} ")).unwrap() + file.len() + 2;
        self.script.replace_range(at..at + 64, &hex(content));
    }

    /// Exit code, and stdout and stderr together.
    fn run(&self, arguments: &str) -> (i32, String) {
        self.put("datasets.sh", self.script.as_bytes());
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mirror = format!("file://{}", self.path("mirror").display());
        let output = Command::new("bash")
            .arg(self.path("datasets.sh"))
            .args(["--dir", self.path("data").to_str().unwrap(), "--mirror", &mirror])
            .args(arguments.split(' '))
            .env("PATH", path)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), said.concat())
    }

    /// Names in a folder, sorted.
    fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The files with their content and modification times.
fn state(dir: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .map(|path| {
            let written = fs::symlink_metadata(&path).unwrap().modified().unwrap();
            (path.clone(), fs::read(&path).unwrap_or_default(), written)
        })
        .collect();
    found.sort();
    found
}

/// Files of another set (plain and gzipped), a folder and a broken link, each with the name of a file of MNIST.
fn strangers(copy: &Copy) {
    copy.put("data/mnist/train-images-idx3-ubyte.gz", &samples::gz(b"another set"));
    copy.put("data/mnist/train-labels-idx1-ubyte", b"another set");
    copy.put("data/mnist/t10k-images-idx3-ubyte.gz/inside", b"in a folder");
    let link = copy.path("data/mnist/t10k-labels-idx1-ubyte.gz");
    std::os::unix::fs::symlink("/nowhere/at/all", link).unwrap();
}

#[test]
fn files_that_cannot_be_replaced_stay_unchanged() {
    let copy = Copy::new();
    strangers(&copy);
    // Neither a missing file nor one with other content is a replacement.
    for mirrored in [&[][..], b"of another content"] {
        if !mirrored.is_empty() {
            STEMS.iter().for_each(|stem| copy.put(&format!("mirror/mnist/{stem}.gz"), mirrored));
        }
        let before = state(&copy.path("data/mnist"));
        let (code, said) = copy.run("mnist");
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("train-images-idx3-ubyte.gz: could not be downloaded from any"),
            "{said}"
        );
        assert!(state(&copy.path("data/mnist")) == before, "{said}");
        assert_eq!(copy.read("data/mnist/t10k-images-idx3-ubyte.gz/inside"), b"in a folder");
    }
}

#[test]
fn replaced_files_move_aside_and_are_never_overwritten() {
    let mut copy = Copy::new();
    for stem in STEMS {
        copy.publish(stem, stem.as_bytes());
        copy.put(&format!("mirror/mnist/{stem}.gz"), &samples::gz(stem.as_bytes()));
    }
    strangers(&copy);
    let (code, said) = copy.run("mnist");
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("train-images-idx3-ubyte.gz: not the file of this set, moved to"),
        "{said}"
    );
    for stem in STEMS {
        assert_eq!(copy.read(&format!("data/mnist/{stem}.gz")), samples::gz(stem.as_bytes()));
    }
    let rejected = |name: &str| format!("data/mnist/{name}.rejected");
    let [images, labels, folder, link] =
        [0, 1, 2, 3].map(|i| rejected(&format!("{}{}", STEMS[i], if i == 1 { "" } else { ".gz" })));
    let images = &images;
    assert_eq!(copy.read(images), samples::gz(b"another set"));
    assert_eq!(copy.read(&labels), b"another set");
    assert_eq!(copy.read(&format!("{folder}/inside")), b"in a folder");
    assert!(fs::read_link(copy.path(&link)).unwrap().ends_with("at/all"));
    assert_eq!(copy.names("data/mnist").len(), 8, "{:?}", copy.names("data/mnist"));

    // Repeatedly, without overwriting earlier rejected files.
    for (n, bytes) in [(2, &b"second"[..]), (3, b"third")] {
        copy.put("data/mnist/train-images-idx3-ubyte.gz", bytes);
        let (code, said) = copy.run("mnist");
        assert_eq!(code, 0, "{said}");
        assert_eq!(copy.read(&format!("{images}.{n}")), bytes);
    }
    assert_eq!(copy.read(images), samples::gz(b"another set"));
    assert_eq!(copy.read(&format!("{images}.2")), b"second");
    let (code, said) = copy.run("--verify mnist");
    assert!(code == 0 && !said.contains("damaged"), "{said}");
}

/// If only some files of a set are available, only these are replaced.
#[test]
fn some_files_of_a_set() {
    let mut copy = Copy::new();
    copy.publish(STEMS[3], b"labels");
    copy.put("mirror/mnist/t10k-labels-idx1-ubyte.gz", &samples::gz(b"labels"));
    STEMS.iter().for_each(|stem| copy.put(&format!("data/mnist/{stem}.gz"), stem.as_bytes()));
    let (code, said) = copy.run("mnist");
    assert_eq!(code, 1, "{said}");
    for stem in &STEMS[..3] {
        assert_eq!(copy.read(&format!("data/mnist/{stem}.gz")), stem.as_bytes());
    }
    assert_eq!(copy.read("data/mnist/t10k-labels-idx1-ubyte.gz"), samples::gz(b"labels"));
    assert_eq!(copy.read("data/mnist/t10k-labels-idx1-ubyte.gz.rejected"), STEMS[3].as_bytes());
    assert_eq!(copy.names("data/mnist").len(), 5);
}

/// The readers use the first form that exists; an intact second form is a sufficient replacement.
#[test]
fn another_form_of_a_file() {
    let mut copy = Copy::new();
    for stem in STEMS {
        copy.publish(stem, stem.as_bytes());
        copy.put(&format!("data/mnist/{stem}"), stem.as_bytes());
    }
    copy.put("data/mnist/t10k-labels-idx1-ubyte.gz", b"another set");
    let (code, said) = copy.run("--verify mnist");
    assert!(code == 1 && said.contains("t10k-labels-idx1-ubyte.gz: damaged, or not"), "{said}");
    let (code, said) = copy.run("mnist");
    assert!(code == 0 && !said.contains("from file:"), "{said}");
    assert_eq!(copy.read("data/mnist/t10k-labels-idx1-ubyte.gz.rejected"), b"another set");
    assert_eq!(copy.names("data/mnist").len(), 5);
    let (code, said) = copy.run("--verify mnist");
    assert!(code == 0, "{said}");
}

/// A `.tar.gz` of files and links (path, content or where the link leads).
fn archive(files: &[(String, &[u8])], links: &[(String, &Path)]) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gz);
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    for (path, content) in files {
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    for (path, to) in links {
        archive.append_link(&mut header, path, to).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn archives_replace_only_the_files_they_contain() {
    let mut copy = Copy::new();
    let names = [1, 2, 3, 4, 5].map(|i| format!("data_batch_{i}.bin"));
    let names = [&names[..], &["test_batch.bin".to_string()]].concat();
    for name in &names {
        copy.publish(name, name.as_bytes());
        copy.put(&format!("data/cifar10/{name}"), b"records of CIFAR-100");
    }
    // A malicious archive that refers to a file of the user must not move or delete it.
    copy.put("letters", b"of the user");
    let inner = |name: &String| format!("cifar-10-batches-bin/{name}");
    let files: Vec<(String, &[u8])> =
        names[1..].iter().map(|name| (inner(name), name.as_bytes())).collect();
    let bytes = archive(&files, &[(inner(&names[0]), copy.path("letters").as_path())]);
    copy.put("mirror/cifar10/cifar-10-binary.tar.gz", &bytes);
    let (code, said) = copy.run("cifar10");
    assert_eq!(code, 1, "{said}");
    assert_eq!(copy.read("letters"), b"of the user");
    assert_eq!(copy.read("data/cifar10/data_batch_1.bin"), b"records of CIFAR-100");
    for name in &names[1..] {
        assert_eq!(copy.read(&format!("data/cifar10/{name}")), name.as_bytes());
        let rejected = copy.read(&format!("data/cifar10/{name}.rejected"));
        assert_eq!(rejected, b"records of CIFAR-100");
    }
    assert_eq!(copy.names("data/cifar10").len(), 11, "{:?}", copy.names("data/cifar10"));

    // The whole folder may be such a link.
    copy.put("home/data_batch_1.bin", b"of the user");
    let home = copy.path("home");
    let folder = ("cifar-10-batches-bin".to_string(), home.as_path());
    copy.put("mirror/cifar10/cifar-10-binary.tar.gz", &archive(&[], &[folder]));
    let (code, said) = copy.run("cifar10");
    assert_eq!(code, 1, "{said}");
    assert_eq!(copy.read("home/data_batch_1.bin"), b"of the user");
    assert_eq!(copy.read("data/cifar10/data_batch_1.bin"), b"records of CIFAR-100");
}

/// Files with the name of a gzip file, whose content may be in another form.
#[test]
fn the_script_and_the_readers_agree() {
    let labels = samples::idx(0x0801, &[5], &[3, 1, 4, 1, 5]);
    let gz = samples::gz(&labels);
    let members = [samples::gz(&labels[..7]), samples::gz(&[]), samples::gz(&labels[7..])].concat();
    let record = vec![7; cifar::RECORD];
    let mut copy = Copy::new();
    copy.publish("t10k-labels-idx1-ubyte", &labels);
    copy.publish("test_batch.bin", &record);
    let zeros = [0; 1000];
    let good = |text: bool, gz: &[u8], plain: &[u8]| (text, [gz, plain].concat());
    for (accepted, bytes) in [
        good(true, &gz, b""),
        good(true, b"", &labels),
        good(true, &members, b""),
        good(true, &gz, &[0]),
        good(true, &members, &zeros),
        good(false, &gz, &[1]),
        good(false, &gz, b"more"),
        good(false, &gz, &[0x1f]),
        good(false, &gz, &[0x1f, 0x8b]),
        good(false, &gz, &[&zeros[..], b"more"].concat()),
        good(false, &gz, &[&zeros[..], &gz].concat()),
        good(false, &gz, &gz),
        good(false, &zeros, &gz),
        good(false, &gz[..gz.len() - 1], b""),
        good(false, &labels, &[0]),
    ] {
        for name in ["t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte"] {
            copy.put(&format!("data/mnist/{name}"), &bytes);
            let (_, said) = copy.run("--verify mnist");
            assert_eq!(said.contains(&format!("{name}: as expected")), accepted, "{said}");
            let read = idx::parse_labels(&bytes, name);
            assert_eq!(read.is_ok(), accepted, "{name}: {bytes:x?}: {read:?}");
            fs::remove_file(copy.path(&format!("data/mnist/{name}"))).unwrap();
        }
    }
    let gz = samples::gz(&record);
    for bytes in [&record, &gz, &[&gz[..], &zeros].concat()] {
        for name in ["test_batch.bin", "test_batch.bin.gz"] {
            copy.put(&format!("data/cifar10/{name}"), bytes);
            let (_, said) = copy.run("--verify cifar10");
            assert!(said.contains(&format!("{name}: as expected")), "{said}");
            cifar::parse(bytes, name, 1).unwrap();
            fs::remove_file(copy.path(&format!("data/cifar10/{name}"))).unwrap();
        }
    }
}

#[test]
fn downloads_resumes_and_keeps_good_files() {
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
    // A correct partial download is resumed, an incorrect or too long one is discarded, a bad file is replaced.
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
