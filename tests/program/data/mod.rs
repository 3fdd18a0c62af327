//! Data: readers on good and bad files, folders of pictures, splits, binarization, the loader, the
//! embedded digits, scenes made of them, the real sets if available, and the download script.

mod bad_files;
mod batches;
mod cifar;
mod digits;
mod folder;
mod hostile;
mod house_numbers;
mod memory;
mod own_idx;
mod own_images;
mod real;
mod samples;
mod scenes;
mod script;
mod svhn;
