//! Where samples go: pages of a sheet, a file for each image, a NumPy archive. Images arrive in order, some at a time,
//! and at most a page of them is in memory.

use std::path::{Path, PathBuf};

use super::{Shape, samples, sheet};
use crate::error::{Error, Result};
use crate::output::npz::{Dtype, Npz};
use crate::output::{Folder, Output};

/// Images on a page at most.
pub const PAGE: usize = 1000;

/// The array of an archive, as `numpy.savez` names the first; programs that compute FIDs read this name.
const ARRAY: &str = "arr_0";

/// The names of the pages for `count` images: `path` itself for one page, else with a number before the suffix, as in
/// `out-1.png`.
pub fn pages(path: &Path, count: usize) -> Vec<PathBuf> {
    let pages = count.div_ceil(PAGE);
    if pages == 1 {
        return vec![path.to_path_buf()];
    }
    let [stem, suffix] = [path.file_stem(), path.extension()]
        .map(|part| part.unwrap_or_default().to_string_lossy().into_owned());
    let digits = pages.to_string().len();
    let page = |i: usize| path.with_file_name(format!("{stem}-{i:0digits$}.{suffix}"));
    (1..=pages).map(page).collect()
}

/// The files of a collection.
#[derive(Default)]
pub struct Files {
    /// Those that [`pages`] names; none for no sheet.
    pub pages: Vec<Output>,
    /// Gets a PNG file for each image.
    pub folder: Option<Folder>,
    /// Gets all images as one array of bytes, \[count, H, W, C\].
    pub archive: Option<Output>,
}

/// Images on their way to files.
pub struct Collection<'a> {
    files: &'a Files,
    shape: Shape,
    archive: Option<Npz<'a>>,
    /// Images of the page that is not complete yet.
    page: Vec<f32>,
    /// Images and pages that are done.
    done: usize,
    pages: usize,
}

impl<'a> Collection<'a> {
    /// For `count` images of this shape. Fails with [`Error::Disk`].
    pub fn begin(files: &'a Files, count: usize, shape: Shape) -> Result<Collection<'a>> {
        files.folder.as_ref().map_or(Ok(()), Folder::create)?;
        let mut archive = files.archive.as_ref().map(Npz::begin).transpose()?;
        if let Some(archive) = &mut archive {
            archive.array(ARRAY, Dtype::U8, &[count, shape.0, shape.1, shape.2])?;
        }
        Ok(Collection { files, shape, archive, page: Vec::new(), done: 0, pages: 0 })
    }

    /// Adds images \[some, H W C\] with values in \[0, 1\]. Fails with [`Error::NotFinite`] and [`Error::Disk`].
    pub fn add(&mut self, images: &[f32]) -> Result<()> {
        let dims = self.shape.0 * self.shape.1 * self.shape.2;
        for image in images.chunks_exact(dims) {
            let (height, width, channels) = self.shape;
            let bytes = sheet::bytes_from_unit(image).map_err(|e| broken(self.done, e))?;
            if let Some(folder) = &self.files.folder {
                let file = sheet::png(&bytes, (height, width), channels);
                let failed = |e| Error::disk("write the pictures", folder.path(), e);
                folder.put(self.done, &file.map_err(failed)?)?;
            }
            if let Some(archive) = &mut self.archive {
                archive.write(&bytes)?;
            }
            self.done += 1;
            if !self.files.pages.is_empty() {
                self.page.extend_from_slice(image);
                if self.page.len() == PAGE * dims {
                    self.end_page()?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is left. Fails as [`Collection::add`] does.
    pub fn finish(mut self) -> Result<()> {
        self.end_page()?;
        self.files.folder.as_ref().map_or(Ok(()), Folder::sync)?;
        self.archive.map_or(Ok(()), Npz::finish)
    }

    fn end_page(&mut self) -> Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        samples::write_samples(&self.files.pages[self.pages], &self.page, self.shape)?;
        self.pages += 1;
        self.page.clear();
        Ok(())
    }
}

/// The error of image `i`, with what to do.
fn broken(i: usize, error: Error) -> Error {
    match error {
        Error::NotFinite(what) => Error::NotFinite(format!(
            "image {i}: {what}; its weights have probably diverged: draw from an earlier checkpoint, or train again \
             with a lower --rate"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_numbers_where_there_are_several() {
        let names = |count| -> Vec<String> {
            let pages = pages(Path::new("a/out.png"), count).into_iter();
            pages.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(names(PAGE), ["a/out.png"]);
        assert_eq!(names(PAGE + 1), ["a/out-1.png", "a/out-2.png"]);
        let many = names(9 * PAGE + 1);
        assert_eq!(
            (many.len(), many[0].as_str(), many[9].as_str()),
            (10, "a/out-01.png", "a/out-10.png")
        );
    }
}
