//! From the bytes of an image file to the network's input, and from the network's grid back to the photo.
//!
//! [`decode()`] gives an upright 8-bit RGB [`Photo`]; a [`Geometry`] says which part of it the network sees and at what
//! size, and maps coordinates both ways; [`prepare()`] resizes and normalises.
//!
//! ```
//! use famlens::image::{Geometry, GeometryMode, Normalization, Photo, prepare};
//!
//! let photo = Photo::from_rgb(64, 48, vec![127; 64 * 48 * 3])?;
//! let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 32, 32)?;
//! let normalization = Normalization { mean: [127.0; 3], std: [128.0; 3] };
//! let input = prepare(&photo, &geometry, &normalization)?;
//! assert_eq!(input.shape().dims(), [1, 3, 32, 32]);
//! assert!(input.data().iter().all(|&v| v == 0.0));
//! # Ok::<(), famlens::Error>(())
//! ```

mod augment;
mod compose;
mod cover;
mod decode;
mod format;
mod geometry;
mod hash;
mod input_size;
mod mosaic;
mod photo;
mod pixels;
mod png;
mod prepare;
mod shrink;

pub use augment::{Augmentation, Jitter, View};
pub use compose::paste_object;
pub use cover::Cover;
pub(crate) use cover::blurred;
pub use decode::{Limits, decode, left_to_browser};
pub use format::{Format, sniff};
pub use geometry::{Geometry, GeometryMode, Rect};
pub use hash::difference_hash;
pub use input_size::InputSize;
pub use mosaic::mosaic;
pub use photo::Photo;
pub use pixels::{Channels, InputPixels, Normalization, Triple};
pub use png::{encode_png, encode_png_rgba};
pub use prepare::{denormalise, normalise, prepare, resize, scale};
