//! Malicious files: archives that inflate to more than memory or would write elsewhere; names that are not text;
//! folders, pipes or nothing in the place of a file.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use pixelloom::data::{open, picture, svhn, svhn_archive};
use pixelloom::{Error, Result};
use tar::EntryType;

use super::samples::{self, says};
use crate::peak::peak;

const MIB: usize = 1 << 20;

/// A picture and digitStruct.mat of a sample archive.
fn contents(sample: &str) -> [Vec<u8>; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/data/svhn").join(sample);
    let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut bytes = Vec::new();
        entry.unwrap().read_to_end(&mut bytes).unwrap();
        found.push(bytes);
    }
    // The first is the folder, the last a script.
    [found[1].clone(), found[found.len() - 2].clone()]
}

/// An entry of a tar archive: kind, path, link, content, declared size.
struct Entry<'a>(EntryType, &'a str, &'a str, &'a [u8], u64);

fn file<'a>(path: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry(EntryType::Regular, path, "", content, content.len() as u64)
}

/// A gzipped archive, with paths that an archiver would not write.
fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for &Entry(kind, path, link, content, size) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn unpack(archive: &[u8], count: usize) -> Result<Vec<u8>> {
    svhn_archive::unpack(&|| Ok(archive), archive.len() as u64, "file.x", count)
}

#[test]
fn paths_that_lead_elsewhere_write_nothing() {
    let [picture, boxes] = contents("one.tar.gz");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("inner/data");
    std::fs::create_dir_all(&folder).unwrap();
    let absolute = format!("{}/1.png", dir.path().display());
    let expected =
        unpack(&archive(&[file("train/1.png", &picture), file("x/digitStruct.mat", &boxes)]), 1);
    for path in ["../1.png", "../../../../1.png", "/1.png", &absolute, "train/../../1.png"] {
        let bytes = archive(&[file(path, &picture), file("../digitStruct.mat", &boxes)]);
        std::fs::write(folder.join("train.tar.gz"), bytes).unwrap();
        let prepared = svhn_archive::prepare(&folder.join("train.tar.gz"), 1).unwrap();
        assert!(prepared == *expected.as_ref().unwrap(), "{path}");
    }
    let mut left: Vec<PathBuf> = Vec::new();
    for dir in [dir.path().to_path_buf(), dir.path().join("inner"), folder.clone()] {
        left.extend(std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()));
    }
    assert_eq!(left, [dir.path().join("inner"), folder.clone(), folder.join("train.tar.gz")]);
}

#[test]
fn links_in_archives_are_not_followed() {
    let [picture, boxes] = contents("one.tar.gz");
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("1.png");
    std::fs::write(&secret, &picture).unwrap();
    let secret = secret.display().to_string();
    for kind in [EntryType::Symlink, EntryType::Link] {
        let link = Entry(kind, "train/1.png", &secret, &[], 0);
        says(unpack(&archive(&[link, file("digitStruct.mat", &boxes)]), 1), "contains no 1.png");
    }
    for kind in [EntryType::Fifo, EntryType::Char, EntryType::Directory] {
        let other = Entry(kind, "train/1.png", "", &[], 0);
        says(unpack(&archive(&[other, file("digitStruct.mat", &boxes)]), 1), "contains no 1.png");
    }
}

/// Unpacking libraries read names and records that do not fit into headers as a whole.
#[test]
fn long_names_in_archives_take_no_memory() {
    let zeros = vec![0; 64 * MIB];
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let long = Entry(kind, "././@LongLink", "", &zeros, zeros.len() as u64);
        let bomb = archive(&[long, file("train/1.png", b"")]);
        assert!(bomb.len() < MIB);
        let (most, result) = peak(|| unpack(&bomb, 1));
        says(result, "contains no digitStruct.mat");
        assert!(most < MIB, "{kind:?}: {most} bytes");
    }
}

#[test]
fn archives_that_inflate_to_more_than_memory() {
    // Sizes without data, sizes that wrap, and sizes that are too large.
    for (size, what) in [
        (1 << 26, "bytes cannot contain the 67108864 bytes of digitStruct.mat"),
        (1 << 31, "digitStruct.mat has 2147483648 bytes, the maximum is"),
        (u64::MAX, "file.x: "),
        (1 << 63, "file.x: "),
    ] {
        let lie = Entry(EntryType::Regular, "digitStruct.mat", "", &[], size);
        let bytes = archive(&[lie]);
        let (most, result) = peak(|| unpack(&bytes, 1));
        says(result, what);
        assert!(most < MIB, "{size}: {most} bytes");
    }
    // A valid gzip file of 32 MiB of zeros costs its declared size, and only if it is the file that is needed.
    let zeros = vec![0; 32 * MIB];
    let (most, result) = peak(|| unpack(&archive(&[file("other.bin", &zeros)]), 1));
    says(result, "contains no digitStruct.mat");
    assert!(most < 2 * MIB, "{most} bytes");
    let bomb = archive(&[file("digitStruct.mat", &zeros)]);
    assert!(bomb.len() < MIB);
    let (most, result) = peak(|| unpack(&bomb, 1));
    says(result, "cannot be read as HDF5");
    assert!(most < 33 * MIB, "{most} bytes");
    // Many pictures are not kept in memory at the same time.
    let [_, boxes] = contents("train.tar.gz");
    let names: Vec<String> = (1..=6).map(|k| format!("{k}.png")).collect();
    let mut entries = vec![file("digitStruct.mat", &boxes)];
    entries.extend(names.iter().map(|name| file(name, &zeros)));
    let bomb = archive(&entries);
    let (most, result) = peak(|| unpack(&bomb, 6));
    says(result, "1.png: is neither a PNG file");
    assert!(most < 66 * MIB, "{most} bytes");
}

/// Many empty members.
#[test]
fn gzip_files_of_nothing() {
    let nothing = samples::gz(&[]).repeat(20_000);
    says(unpack(&nothing, 1), "contains no digitStruct.mat");
    let mut endless = GzEncoder::new(Vec::new(), Compression::best());
    endless.write_all(&vec![0; 8 * MIB]).unwrap();
    // Zeros mark the end of a tar archive.
    says(unpack(&endless.finish().unwrap(), 1), "contains no digitStruct.mat");
}

#[test]
fn png_sizes_that_overflow() {
    let good = samples::png(1, 1, png::ColorType::Rgba, 16, &[5; 8]);
    for [height, width] in
        [[u32::MAX, u32::MAX], [1 << 31, 2], [65_536, 65_536], [4096, 4096], [0, 5]]
    {
        let mut bytes = good.clone();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let mut sum = samples::crc(&bytes[12..29]);
        sum.reverse();
        bytes[29..33].copy_from_slice(&sum);
        let (most, result) = peak(|| picture::parse(&bytes, "file.x"));
        says(result, "file.x: ");
        assert!(most < MIB, "{height} x {width}: {most} bytes");
    }
}

/// Found by fuzzing: the decoder panicked.
#[test]
fn palettes_with_a_partial_colour() {
    let good = samples::png(2, 2, png::ColorType::Indexed, 2, &[0b0001_0000, 0b1000_0000]);
    let at = good.windows(4).position(|w| w == b"PLTE").unwrap() - 4;
    assert!(picture::parse(&good, "file.x").is_ok());
    for count in [0, 1, 2, 4, 8, 769, 771, 900_usize] {
        let body = [&b"PLTE"[..], &vec![7; count]].concat();
        let mut sum = samples::crc(&body);
        sum.reverse();
        let chunk = [&(count as u32).to_be_bytes()[..], &body, &sum].concat();
        let bytes = [&good[..at], &chunk, &good[at + 12 + 9..]].concat();
        says(picture::parse(&bytes, "file.x"), "");
    }
}

/// The same for more levels of alpha than colours.
#[test]
fn palettes_with_too_many_levels_of_alpha() {
    let rows = [0b0001_0000, 0b1000_0000];
    for count in [3, 4, 256, 257, 300] {
        let alpha = vec![9; count];
        let bytes = samples::png_with(2, 2, png::ColorType::Indexed, 2, &rows, Some(&alpha));
        match picture::parse(&bytes, "file.x") {
            // The decoder ignores more levels of alpha than any palette can have.
            Ok(picture) if count > 256 => assert_eq!(picture.channels, 3),
            Ok(picture) => assert_eq!((count, picture.channels), (3, 4)),
            error => says(error, ""),
        }
    }
}

fn message(name: &str, dir: &Path) -> String {
    let error = open(name, None, dir).unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    error.to_string()
}

/// The first file of each set, relative to the data folder.
const FILES: [(&str, &str); 6] = [
    ("mnist", "mnist/t10k-labels-idx1-ubyte.gz"),
    ("binarized-mnist", "binarized_mnist/binarized_mnist_train.amat"),
    ("frey", "freyface/frey_rawface.mat"),
    ("cifar10", "cifar10/test_batch.bin"),
    ("svhn-cropped", "svhn_cropped/test_32x32.mat"),
    ("svhn-small", "svhn/test.tar.gz"),
];

/// The error names the file and the command that downloads it.
#[test]
fn folders_and_nothing_in_the_place_of_files() {
    for (set, below) in FILES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(below);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.with_file_name("train.tar.gz"), b"not looked at").unwrap();
        let check = |what: &str| {
            let message = message(set, dir.path());
            let name = format!("{}: {what}", path.display());
            assert!(message.contains(&name), "{set}: {message}");
            assert!(
                message.contains(": ./datasets.sh --dir") && message.ends_with(&format!(" {set}"))
                    || set == "cifar10",
                "{message}"
            );
        };
        check("is a directory, not a file");
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, b"").unwrap();
        check(if set == "svhn-small" { "cannot be unpacked" } else { "is empty" });
    }
}

/// Reading a pipe would block forever.
#[cfg(unix)]
#[test]
fn pipes_in_the_place_of_files() {
    for (set, below) in FILES.into_iter().chain([("svhn-small", "svhn/test-64.bin")]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path.with_file_name("train.tar.gz"), b"not looked at").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let message = message(set, dir.path());
        assert!(message.contains("is not a regular file"), "{set}: {message}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    says(
        picture::read(&path)
            .map_err(|e| Error::Data(e.to_string().replace(&path.display().to_string(), "file.x"))),
        "is not a regular file",
    );
}

/// The sample has another size than the others, and the error names it although its name is not UTF-8.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(OsStr::from_bytes(b"bytes-\xff"));
    std::fs::create_dir(&folder).unwrap();
    let good = samples::png(2, 3, png::ColorType::Grayscale, 8, &[9, 8, 7, 6, 5, 4]);
    for name in [&b"a\xfe.png"[..], b"b\xc3\x28.PNG", b"c.png"] {
        std::fs::write(folder.join(OsStr::from_bytes(name)), &good).unwrap();
    }
    // A name on the command line is text, but names of files in the folder need not be.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let name = format!("folder:{}", link.display());
    let set = open(&name, None, Path::new("")).unwrap();
    assert_eq!([set.train.count, set.valid.count, set.test.count], [1, 1, 1]);
    std::fs::write(folder.join(OsStr::from_bytes(b"d\xff.png")), &good[..20]).unwrap();
    let message = message(&name, Path::new(""));
    assert!(message.contains("link/d\u{fffd}.png: the PNG data is cut short"), "{message}");
    // The same for the data folder.
    std::fs::create_dir_all(folder.join("freyface/frey_rawface.mat")).unwrap();
    let message = open("frey", None, &folder).unwrap_err().to_string();
    assert!(
        message.contains("bytes-\u{fffd}/freyface/frey_rawface.mat: is a directory"),
        "{message}"
    );
}

/// The library does not print; messages go to the caller.
#[test]
fn slow_work_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let [from, kept] = ["train.tar.gz", "train-64.bin"].map(|name| dir.path().join(name));
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/data/svhn/one.tar.gz"),
        &from,
    )
    .unwrap();
    let told = || {
        let told = std::cell::RefCell::new(Vec::new());
        svhn::testing(dir.path(), "train", 1, &|line| told.borrow_mut().push(line.to_string()))
            .unwrap();
        told.into_inner()
    };
    let cutting = format!(
        "{}: cutting 1 numbers out of their pictures; this is done only once",
        from.display()
    );
    assert_eq!(told(), std::slice::from_ref(&cutting));
    assert_eq!(told(), [""; 0]);
    std::fs::write(&kept, b"").unwrap();
    let again = format!(
        "{}: cannot be read: failed to fill whole buffer; it is made again",
        kept.display()
    );
    assert_eq!(told(), [again, cutting.clone()]);
    std::fs::remove_file(&kept).unwrap();
    std::fs::create_dir(&kept).unwrap();
    let told = told();
    assert_eq!(
        told[..2],
        [format!("{}: is a directory, not a file; it is made again", kept.display()), cutting]
    );
    assert!(told[2].contains("cannot be stored") && told.len() == 3, "{told:?}");
}

/// Only the program and its progress display print; no other file of the library does.
#[test]
fn the_library_does_not_print() {
    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // Unit tests may.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for print in ["println!(", "print!(", "dbg!("] {
            assert!(!code.contains(print), "{} prints", path.display());
        }
    }
}
