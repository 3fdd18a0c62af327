//! What the pages' axes and columns are called, and how many points a curve has.

/// Raw training losses that are drawn; more would be one grey band.
pub const MOST_POINTS: usize = 1500;

/// The unit of scores.
pub const NATS: &str = "nats/image";
/// The key of bits a number of the image.
pub const BITS: &str = "bits_per_dim";
/// The horizontal axis.
pub const IMAGES: &str = "training images seen";
