//! Mutations of files: some for any format, some for text.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Maximum length of an input.
pub const LONGEST: usize = 1 << 16;

/// Words with a meaning in text formats.
const WORDS: [&str; 40] = [
    "0",
    "-1",
    "1e308",
    "-1e308",
    "1e-320",
    "1e400",
    "18446744073709551615",
    "-9223372036854775808",
    "4294967296",
    "2147483648",
    "NaN",
    "nan",
    "inf",
    "null",
    "true",
    "\"\"",
    "\"test\"",
    "\"eval\"",
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "=",
    "'''",
    "\"\"\"",
    "#",
    ".",
    "\u{feff}",
    "\u{1b}[31m",
    "é",
    "1979-05-27",
];

/// A random element of `all`.
pub fn pick<'a, T>(rng: &mut StdRng, all: &'a [T]) -> &'a T {
    &all[rng.random_range(0..all.len())]
}

/// A random position in 0..=length.
fn place(rng: &mut StdRng, length: usize) -> usize {
    rng.random_range(0..=length)
}

/// A number for a false header, for a file of `length` bytes.
pub fn extreme(rng: &mut StdRng, length: usize) -> u64 {
    let length = length as u64;
    let near = [0, 1, 2, 3, length, length + 1, length.saturating_sub(1), 2 * length, length / 2];
    let edges = [0x7f, 0xff, 0x7fff, 0xffff, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) - 1];
    match rng.random_range(0..4) {
        0 => *pick(rng, &near),
        1 => *pick(rng, &edges),
        2 => u64::MAX - rng.random_range(0..3),
        _ => 1 << rng.random_range(0..64),
    }
}

/// Makes one to four random changes.
pub fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>, text: bool) {
    for _ in 0..rng.random_range(1..=4) {
        change(rng, bytes, text);
    }
    bytes.truncate(LONGEST);
}

fn change(rng: &mut StdRng, bytes: &mut Vec<u8>, text: bool) {
    let length = bytes.len();
    if length == 0 {
        bytes.extend((0..rng.random_range(0..40)).map(|_| rng.random::<u8>()));
        return;
    }
    let at = rng.random_range(0..length);
    let end = at + rng.random_range(1..=(length - at).min(64));
    match rng.random_range(0..if text { 15 } else { 10 }) {
        0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes[at] = *pick(rng, &[0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, b' ', b'\n', b'9']),
        3 => bytes[at] = rng.random(),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..end)),
        6 => {
            // Duplicate a part, at the same or another position.
            let part = bytes[at..end].to_vec();
            let to = place(rng, length);
            bytes.splice(to..to, part);
        }
        7 | 8 => {
            // Overwrite a number of 2, 4 or 8 bytes, aligned or not.
            let width = *pick(rng, &[2, 4, 4, 4, 8]);
            let at = if rng.random() { at / width * width } else { at };
            let value = extreme(rng, length);
            let all = if rng.random() {
                value.to_le_bytes()
            } else {
                value.rotate_left(64 - 8 * width as u32).to_be_bytes()
            };
            for (byte, new) in bytes[at..].iter_mut().zip(&all[..width]) {
                *byte = *new;
            }
        }
        9 => {
            let more: Vec<u8> = (0..rng.random_range(1..20)).map(|_| rng.random()).collect();
            bytes.splice(at..at, more);
        }
        10 | 11 => {
            let word = *pick(rng, &WORDS);
            bytes.splice(at..at, word.bytes());
        }
        12 | 13 => number(rng, bytes, at),
        _ => nest(rng, bytes, at),
    }
}

/// Replaces the first number from `at` on by a word.
fn number(rng: &mut StdRng, bytes: &mut Vec<u8>, at: usize) {
    let of_number = |b: &u8| b.is_ascii_digit() || b".-e".contains(b);
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else {
        return;
    };
    let end = bytes[start..].iter().position(|b| !of_number(b)).map_or(bytes.len(), |i| start + i);
    let word = *pick(rng, &WORDS);
    bytes.splice(start..end, word.bytes());
}

/// Inserts many brackets or many parts of a key in a row.
fn nest(rng: &mut StdRng, bytes: &mut Vec<u8>, at: usize) {
    let (open, close) =
        *pick(rng, &[("[", "]"), ("{\"a\":", "}"), ("a.", "a=1"), ("{a=", "}"), ("[a.", "]")]);
    let depth = *pick(rng, &[3, 100, 200, 5000]);
    let closed = if rng.random() { close.repeat(depth) } else { String::new() };
    let text = format!("{}1{closed}", open.repeat(depth));
    bytes.splice(at..at, text.bytes());
}

/// `count` random bytes.
pub fn noise(rng: &mut StdRng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rng.fill_bytes(&mut bytes);
    bytes
}
