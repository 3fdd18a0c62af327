//! Bounded inflation of gzip (RFC 1952) and zlib (RFC 1950) data. The content either starts with a header of known
//! length that declares its total size, or has a size that is known beforehand (a header of length 0). Exactly that
//! size is inflated: a decompression bomb costs only the memory that its header declares, and a size that cannot result
//! from the compressed bytes is rejected before anything is allocated.
//!
//! As in `gzip -dc`, all members of gzip data form one content, and zeros after the last member are ignored (they pad
//! tapes and disks); anything else there is an error. `datasets.sh --verify` uses gzip itself, so both accept the same
//! files.

use std::io::{ErrorKind, Read};

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::files::fault;
use crate::error::{Error, Result};

/// Maximum expansion of deflate (zlib's documentation, "Maximum Compression Factor").
pub(super) const RATIO: usize = 1032;

/// Whether `bytes` start like gzip data.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Reads the content of gzip data, member after member, and stops at the first byte that does not start a member.
struct Members<'a>(GzDecoder<&'a [u8]>);

impl Read for Members<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.0.read(out)?;
            if read > 0 || out.is_empty() || !is_gzip(self.0.get_ref()) {
                return Ok(read);
            }
            self.0 = GzDecoder::new(*self.0.get_ref());
        }
    }
}

/// The content of the gzip data `bytes`, which must have the length that `declared` returns for its first `header`
/// bytes. Fails on damaged, short, long or trailing data; `name` is for messages.
pub fn gunzip(
    bytes: &[u8],
    name: &str,
    header: usize,
    declared: impl FnOnce(&[u8]) -> Result<usize>,
) -> Result<Vec<u8>> {
    if !is_gzip(bytes) {
        return fault(name, "is not gzip data (it does not begin with 1f 8b)");
    }
    let mut members = Members(GzDecoder::new(bytes));
    let content = bounded(&mut members, bytes.len(), name, header, declared)?;
    let rest = members.0.into_inner();
    ended(if rest.iter().all(|&byte| byte == 0) { &[] } else { rest }, name)?;
    Ok(content)
}

/// The same for zlib data: a single stream with nothing after it.
pub fn unzlib(
    bytes: &[u8],
    name: &str,
    header: usize,
    declared: impl FnOnce(&[u8]) -> Result<usize>,
) -> Result<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(bytes);
    let content = bounded(&mut decoder, bytes.len(), name, header, declared)?;
    ended(decoder.into_inner(), name)?;
    Ok(content)
}

fn bounded(
    decoder: &mut impl Read,
    compressed: usize,
    name: &str,
    header: usize,
    declared: impl FnOnce(&[u8]) -> Result<usize>,
) -> Result<Vec<u8>> {
    let damaged = |e: std::io::Error| match e.kind() {
        ErrorKind::UnexpectedEof => Error::Data(format!("{name}: compressed data is cut short")),
        _ => Error::Data(format!("{name}: compressed data is damaged: {e}")),
    };
    let mut content = vec![0; header];
    decoder.read_exact(&mut content).map_err(damaged)?;
    let total = declared(&content)?;
    if total > compressed.saturating_mul(RATIO) {
        return fault(
            name,
            format!("{compressed} compressed bytes cannot hold the {total} bytes expected"),
        );
    }
    let body = total.saturating_sub(header);
    content.reserve_exact(body);
    decoder.take(body as u64).read_to_end(&mut content).map_err(damaged)?;
    if content.len() < total {
        return fault(name, format!("has {} bytes, expected {total}", content.len()));
    }
    // Reading past the end also verifies the checksum.
    if decoder.read(&mut [0]).map_err(damaged)? > 0 {
        return fault(name, format!("inflates to more than the {total} bytes expected"));
    }
    Ok(content)
}

fn ended(rest: &[u8], name: &str) -> Result<()> {
    match rest.len() {
        0 => Ok(()),
        n => fault(name, format!("{n} bytes follow the end of the compressed data")),
    }
}
