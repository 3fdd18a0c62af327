//! Fuzz targets for data sets: the files that `datasets.sh` downloads, and a user's own pictures.

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use image::codecs::jpeg::JpegEncoder;
use image::{ColorType, ImageEncoder};
use pixelloom::Error;
use pixelloom::data::{
    self, amat, bits, cifar, digit_struct, gz, idx, mat5, picture, svhn, svhn_archive, svhn_cropped,
};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::mutate::{extreme, mutate, noise, pick};
use crate::samples::{self, Mat};
use crate::targets::{Findings, Target, as_it_is, folder};

const NAME: &str = "file.x";

pub const TARGETS: [Target; 12] = [
    Target {
        name: "idx",
        text: false,
        short: 20_000,
        seed: |rng| {
            let dims: Vec<u32> = (0..3).map(|_| rng.random_range(1..8)).collect();
            let rank = *pick(rng, &[1, 3]);
            let size = dims[..rank].iter().product::<u32>() as usize;
            let bytes = samples::idx(0x0800 + rank as u32, &dims[..rank], &noise(rng, size));
            if rng.random() { bytes } else { gzipped(&bytes) }
        },
        finish: maybe_gzipped,
        read: |bytes, findings| {
            for header in [8, 16] {
                // For compressed files, the size that the header declares, if it can result from so few bytes.
                let declared = inflated(MultiGzDecoder::new(bytes), header);
                let sizes = declared.get(4..).unwrap_or(&[]).chunks_exact(4);
                let size = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize;
                let content = sizes.map(size).fold(1usize, usize::saturating_mul);
                let most = bytes.len() + content.min(1032 * bytes.len());
                match header {
                    8 => findings.reads(most, NAME, || idx::parse_labels(bytes, NAME)),
                    _ => findings.reads(most, NAME, || idx::parse_images(bytes, NAME)),
                }
            }
        },
    },
    Target {
        name: "gz",
        text: false,
        short: 20_000,
        seed: |rng| {
            let count = rng.random_range(0..200);
            let content = [&(count as u32 + 4).to_le_bytes()[..], &noise(rng, count)].concat();
            if rng.random() { gzipped(&content) } else { zlib(&content) }
        },
        finish: maybe_gzipped,
        read: |bytes, findings| {
            let size = |head: &[u8]| u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let declared = |head: &[u8]| Ok(size(head) as usize);
            let content = |head: Vec<u8>| if head.len() < 4 { 0 } else { size(&head) as usize };
            let content = content(inflated(MultiGzDecoder::new(bytes), 4))
                .max(content(inflated(ZlibDecoder::new(bytes), 4)));
            let most = bytes.len() + content.min(1032 * bytes.len());
            findings.reads(most, NAME, || gz::gunzip(bytes, NAME, 4, declared));
            findings.reads(most, NAME, || gz::unzlib(bytes, NAME, 4, declared));
        },
    },
    Target {
        name: "cifar",
        text: false,
        short: 5_000,
        seed: |rng| {
            let mut record = noise(rng, cifar::RECORD);
            record[0] %= 10;
            if rng.random() { record } else { gzipped(&record) }
        },
        finish: maybe_gzipped,
        read: |bytes, findings| {
            let most = bytes.len() + cifar::RECORD;
            findings.reads(most, NAME, || cifar::parse(bytes, NAME, 1));
        },
    },
    Target {
        name: "mat5",
        text: false,
        short: 10_000,
        seed: mat,
        finish: as_it_is,
        read: |bytes, findings| {
            // A compressed element is inflated to at most the maximum expansion of deflate.
            let most = bytes.len() + admitted(bytes);
            findings.reads(most, NAME, || mat5::parse(bytes, NAME, "ff"));
            findings.reads(most, NAME, || svhn_cropped::parse(bytes, NAME));
        },
    },
    Target {
        name: "digit-struct",
        text: false,
        short: 3_000,
        seed: |_| archived().1.clone(),
        finish: as_it_is,
        read: |bytes, findings| {
            // The reader gets a copy, and the HDF5 library reads through windows of 1 MiB.
            let most = bytes.len() + bytes.len() / 2 + (1 << 19);
            findings.reads(most, NAME, || digit_struct::parse(bytes.to_vec(), NAME));
        },
    },
    Target {
        name: "archive",
        text: false,
        short: 1_500,
        seed: archive,
        finish: |rng, bytes| {
            if rng.random_range(0..8) > 0 { gzipped(&bytes) } else { maybe_gzipped(rng, bytes) }
        },
        read: |bytes, findings| {
            // One file at a time, two prepared images, and the window of the HDF5 library.
            let content = inflated(MultiGzDecoder::new(bytes), 1 << 24).len();
            let most = bytes.len() + content + 2 * svhn_archive::BYTES + (1 << 19);
            let open = || Ok(bytes);
            let length = bytes.len() as u64;
            alone(|| {
                findings.reads(most, NAME, || svhn_archive::unpack(&open, length, NAME, 1));
            });
        },
    },
    Target {
        name: "prepared",
        text: false,
        short: 1_500,
        seed: |rng| {
            let image = noise(rng, svhn_archive::BYTES);
            let head = [&b"pixelloom svhn 1"[..], &1u64.to_le_bytes(), &7u64.to_le_bytes()];
            [&head.concat()[..], &image, &samples::crc(&image)].concat()
        },
        finish: as_it_is,
        read: |bytes, findings| {
            let path = folder().join("x-64.bin");
            std::fs::write(&path, bytes).expect("written");
            findings.reads(bytes.len() + svhn_archive::BYTES, "x-64.bin", || {
                svhn::testing(&folder(), "x", 1, &|_| ())
            });
        },
    },
    Target {
        name: "amat",
        text: true,
        short: 10_000,
        seed: |rng| {
            let count = 784 * rng.random_range(1..3);
            samples::amat(&noise(rng, count).iter().map(|b| b & 1).collect::<Vec<u8>>())
        },
        finish: as_it_is,
        read: |bytes, findings| findings.reads(bytes.len(), NAME, || amat::parse(bytes, NAME)),
    },
    Target {
        name: "bits",
        text: false,
        short: 20_000,
        seed: |rng| {
            let count = 98 * rng.random_range(1..4);
            noise(rng, count)
        },
        finish: as_it_is,
        // A bit becomes a byte.
        read: |bytes, findings| findings.reads(4 * bytes.len(), NAME, || bits::parse(bytes, NAME)),
    },
    Target {
        name: "png",
        text: false,
        short: 10_000,
        seed: png,
        finish: mended,
        read: |bytes, findings| {
            let most = bytes.len() + pixels(bytes);
            findings.reads(most, NAME, || picture::parse(bytes, NAME));
        },
    },
    Target {
        name: "jpeg",
        text: false,
        short: 4_000,
        seed: jpeg,
        finish: as_it_is,
        read: |bytes, findings| {
            // The pixels that the header may declare, and two bytes per sample for progressive JPEG images.
            let most = bytes.len() + 4 * 1032 * bytes.len();
            findings.reads(most, NAME, || picture::parse(bytes, NAME));
        },
    },
    Target {
        name: "folder",
        text: false,
        short: 1_000,
        seed: |rng| {
            let like = samples::png(2, 3, png::ColorType::Grayscale, 8, &noise(rng, 6));
            if rng.random() { like } else { png(rng) }
        },
        finish: mended,
        read: own_folder,
    },
];

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// Compresses the content with probability 1/2.
fn maybe_gzipped(rng: &mut StdRng, bytes: Vec<u8>) -> Vec<u8> {
    if !gz::is_gzip(&bytes) && rng.random() { gzipped(&bytes) } else { bytes }
}

/// Inflates as much of the compressed data as possible, up to `most` bytes.
fn inflated(decoder: impl Read, most: u64) -> Vec<u8> {
    let mut content = Vec::new();
    // Data before the damage counts.
    let _ = decoder.take(most).read_to_end(&mut content);
    content
}

/// Runs `work` in a pool with only this thread, whose memory is counted.
fn alone(work: impl FnOnce() + Send) {
    thread_local! {
        static POOL: rayon::ThreadPool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread()
            .build()
            .expect("a pool");
    }
    POOL.with(|pool| pool.install(work));
}

/// A MAT file with arrays that may be damaged before they are compressed, and false header words.
fn mat(rng: &mut StdRng) -> Vec<u8> {
    let mat = Mat { big_endian: rng.random() };
    let count = rng.random_range(1..3u32);
    let pixels = noise(rng, 3072 * count as usize);
    let labels: Vec<u8> = (0..count).map(|_| rng.random_range(1..11)).collect();
    let arrays = if rng.random() {
        vec![
            mat.array(9, "X", &[32, 32, 3, count], &pixels),
            mat.array(9, "y", &[count, 1], &labels),
        ]
    } else {
        vec![
            mat.array(6, "another", &[1, 1], &[7]),
            mat.array(9, "ff", &[2, count], &labels.repeat(2)),
        ]
    };
    let spoil = rng.random_range(0..4) == 0;
    let compress: bool = rng.random();
    let elements = arrays.into_iter().map(|mut array| {
        if spoil {
            mutate(rng, &mut array, false);
        }
        if compress {
            let data = zlib(&array);
            [&mat.word(15)[..], &mat.word(data.len() as u32), &data].concat()
        } else {
            array
        }
    });
    let elements: Vec<Vec<u8>> = elements.collect();
    mat.file(&elements)
}

/// Bytes that the zlib data in a MAT file can inflate to, wherever it starts.
fn admitted(bytes: &[u8]) -> usize {
    let starts = bytes.windows(2).enumerate().filter(|(_, two)| {
        two[0] & 0x8f == 8 && u16::from_be_bytes([two[0], two[1]]).is_multiple_of(31)
    });
    starts.map(|(at, _)| inflated(ZlibDecoder::new(&bytes[at..]), 1 << 24).len()).sum()
}

/// The picture and the digitStruct.mat of the sample archive with one picture.
fn archived() -> &'static (Vec<u8>, Vec<u8>) {
    static FILES: std::sync::OnceLock<(Vec<u8>, Vec<u8>)> = std::sync::OnceLock::new();
    FILES.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|dir| dir.join("tests/program/data/svhn/one.tar.gz"))
            .find(|path| path.is_file())
            .expect("the sample");
        let file = MultiGzDecoder::new(std::fs::File::open(path).expect("the sample"));
        let mut archive = tar::Archive::new(file);
        let mut found = (Vec::new(), Vec::new());
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("content");
            match entry.path().expect("a path").extension().and_then(|e| e.to_str()) {
                Some("png") => found.0 = bytes,
                Some("mat") => found.1 = bytes,
                _ => {}
            }
        }
        found
    })
}

/// A tar archive with the expected files and some others.
fn archive(rng: &mut StdRng) -> Vec<u8> {
    use tar::EntryType::{
        Directory, Fifo, GNULongLink, GNULongName, GNUSparse, Link, Regular, Symlink, XHeader,
    };
    let mut archive = tar::Builder::new(Vec::new());
    let (picture, boxes) = archived();
    let mut add = |rng: &mut StdRng, kind, name: &str, content: &[u8], lie: bool| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        let size = content.len() as u64;
        header.set_size(if lie { extreme(rng, content.len()) } else { size });
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, content).expect("into memory");
    };
    for _ in 0..rng.random_range(0..3) {
        let kind = *pick(
            rng,
            &[Directory, Fifo, GNULongLink, GNULongName, GNUSparse, Link, Symlink, XHeader],
        );
        let names = ["train/1.png", "../1.png", "/etc/1.png", "x\n.png", "train/", "a"];
        let name = *pick(rng, &names);
        let lie = rng.random_range(0..8) == 0;
        add(rng, kind, name, b"20 path=../../y.png\n", lie);
    }
    let lie = rng.random_range(0..16) == 0;
    let name = *pick(rng, &["train/1.png", "train/1.png", "../1.png", "/1.png", "train/0.png"]);
    add(rng, Regular, name, picture, lie);
    let lie = lie && rng.random();
    add(rng, Regular, "train/digitStruct.mat", boxes, lie);
    archive.into_inner().expect("into memory")
}

/// A PNG file of any kind, possibly with a false header.
fn png(rng: &mut StdRng) -> Vec<u8> {
    use png::ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let (color, depth) = *pick(
        rng,
        &[
            (Grayscale, 1),
            (Grayscale, 8),
            (Grayscale, 16),
            (Rgb, 8),
            (Rgb, 16),
            (Rgba, 8),
            (Indexed, 2),
            (GrayscaleAlpha, 8),
        ],
    );
    let [height, width] = [0; 2].map(|_| rng.random_range(1..9u32));
    let samples: u32 = match color {
        Grayscale | Indexed => 1,
        GrayscaleAlpha => 2,
        Rgb => 3,
        Rgba => 4,
    };
    let row = (width * samples * depth).div_ceil(8);
    let mut rows = noise(rng, (height * row) as usize);
    if color == Indexed {
        rows.fill(0b0001_1000);
    }
    let mut file = samples::png(height, width, color, depth as u8, &rows);
    if rng.random_range(0..8) == 0 {
        // Another size in the header.
        let at = *pick(rng, &[16, 20]);
        let size = extreme(rng, 4096) as u32;
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
        mend(&mut file);
    }
    if rng.random_range(0..8) == 0 {
        // Chunks of other kinds after the header.
        let kind =
            *pick(rng, &[b"acTL", b"tEXt", b"iCCP", b"zTXt", b"tRNS", b"PLTE", b"eXIf", b"fcTL"]);
        let count = rng.random_range(0..64);
        let body = [&kind[..], &noise(rng, count)].concat();
        let chunk = [&(count as u32).to_be_bytes()[..], &body, &samples::crc(&body)].concat();
        file.splice(33..33, chunk);
        mend(&mut file);
    }
    file
}

/// Corrects the checksums of all chunks of a PNG file that can be recognised.
fn mend(file: &mut [u8]) {
    let mut at = 8;
    while at + 12 <= file.len() {
        let length =
            u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= file.len()) else {
            return;
        };
        let mut sum = samples::crc(&file[at + 4..end]);
        sum.reverse();
        file[end..end + 4].copy_from_slice(&sum);
        at = end + 4;
    }
}

fn mended(rng: &mut StdRng, mut file: Vec<u8>) -> Vec<u8> {
    if rng.random_range(0..8) > 0 {
        mend(&mut file);
    }
    file
}

/// A grey or colour JPEG file.
fn jpeg(rng: &mut StdRng) -> Vec<u8> {
    let [height, width] = [0; 2].map(|_| rng.random_range(1..40u16));
    let (channels, color) = *pick(rng, &[(1, ColorType::L8), (3, ColorType::Rgb8)]);
    let bytes = noise(rng, usize::from(height) * usize::from(width) * channels);
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, rng.random_range(1..100));
    encoder
        .write_image(&bytes, width.into(), height.into(), color.into())
        .expect("written to memory");
    file
}

/// Bytes of the pixels that a PNG header declares, limited by 10,000 x 10,000 and by the maximum expansion of deflate.
fn pixels(bytes: &[u8]) -> usize {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
        u32::from_be_bytes(word).min(10_000) as usize
    };
    // One bit per pixel expands to eight bytes, a transparent palette to four.
    (word(16) * word(20) * 8).min(64 * 1032 * bytes.len())
}

/// Reads the input as one of three pictures in a folder.
fn own_folder(bytes: &[u8], findings: &mut Findings) {
    let folder = folder().join("own");
    if !folder.is_dir() {
        std::fs::create_dir(&folder).expect("made");
        let good = samples::png(2, 3, png::ColorType::Grayscale, 8, &[9, 8, 7, 6, 5, 4]);
        for name in ["a.png", "b.png"] {
            std::fs::write(folder.join(name), &good).expect("written");
        }
    }
    std::fs::write(folder.join("c.png"), bytes).expect("written");
    let name = format!("folder:{}", folder.display());
    let most = bytes.len() + pixels(bytes);
    let advice = |e: Error| match e.to_string() {
        text if text.contains("; ") => e,
        text => Error::Data(format!("no advice in: {text}").replace(".png", "")),
    };
    alone(|| {
        findings.reads(most, ".png", || data::open(&name, None, Path::new("")).map_err(advice));
    });
}
