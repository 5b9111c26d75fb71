//! JPEG by zune-jpeg, which the image crate uses too. Used directly, it refuses a file with missing pixels, which the
//! image crate lets it fill with grey; and the headers are read only once.

use ::image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::channels::Channels;
use super::markers::{Frame, Markers, markers};
use super::{Header, Limits, Source, Trouble, exif_orientation};

/// A JPEG file whose markers have been read.
pub(super) struct Jpeg<'a> {
    markers: Markers<'a>,
    frame: Frame,
    /// Bytes of the file.
    length: usize,
}

/// Reads the markers.
pub(super) fn open(bytes: &[u8]) -> Result<Jpeg<'_>, Trouble> {
    let markers = markers(bytes);
    let Some(frame) = markers.frame.clone() else { return Err(Trouble::CutOff(None)) };
    let unsupported = |what: &str| Err(Trouble::Unsupported(what.to_owned()));
    match frame.process {
        0..=2 => {}
        3 => return unsupported("without loss"),
        5..=7 => return unsupported("of several resolutions"),
        _ => return unsupported("with arithmetic coding"),
    }
    if frame.precision != 8 {
        return unsupported(&format!("of {} bits a channel", frame.precision));
    }
    if !matches!(frame.sampling.len(), 1 | 3 | 4) {
        return unsupported(&format!("of {} channels", frame.sampling.len()));
    }
    if frame.sampling.iter().any(|(h, v)| !(1..=4).contains(h) || !(1..=4).contains(v)) {
        return Err(Trouble::Damaged("its sampling factors are not within 1 and 4".to_owned(), None));
    }
    // A progressive file that ends between two scans decodes without an error, only blurred.
    let blurred = frame.process == 2 && !markers.ended && !markers.is_refined();
    if blurred || markers.first_scan == 0 {
        return Err(Trouble::CutOff(None));
    }
    Ok(Jpeg { markers, frame, length: bytes.len() })
}

impl Jpeg<'_> {
    fn channels(&self) -> Channels {
        if self.frame.sampling.len() == 1 { Channels::GREY } else { Channels::RGB }
    }

    /// Bytes that the decoder takes for coefficients: all of them where the components come one after another or bit by
    /// bit, else a row of blocks.
    fn coefficients(&self) -> u64 {
        let side = |length: u32, most: u8| u64::from(length).div_ceil(8 * u64::from(most));
        let most = |of: fn(&(u8, u8)) -> u8| self.frame.sampling.iter().map(of).max().unwrap_or(1);
        let (across, down) = (side(self.frame.size.0, most(|s| s.0)), side(self.frame.size.1, most(|s| s.1)));
        let blocks: u64 = self.frame.sampling.iter().map(|&(h, v)| u64::from(h) * u64::from(v)).sum();
        let all = self.frame.process == 2 || self.markers.first_scan < self.frame.sampling.len();
        // Rows are kept as they are and upsampled, with the row before.
        let rows = if all { down + 6 } else { 6 };
        across * rows * blocks * 64 * 2
    }
}

impl Source for Jpeg<'_> {
    fn header(&mut self) -> Header {
        Header {
            size: self.frame.size,
            channels: self.channels(),
            orientation: self.markers.exif.map_or(Orientation::NoTransforms, exif_orientation),
            // CMYK becomes RGB without its profile.
            profile: self.markers.profile().filter(|_| self.frame.sampling.len() != 4),
            buffers: self.coefficients() + self.length as u64,
        }
    }

    fn read(&mut self, pixels: &mut [u8], _: &Limits) -> Result<(), Trouble> {
        let colors = if self.channels() == Channels::GREY { ColorSpace::Luma } else { ColorSpace::RGB };
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX)
            .jpeg_set_out_colorspace(colors);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(self.markers.clean.as_slice()), options);
        decoder.decode_headers().map_err(|e| self.trouble(&e))?;
        // The frame that was read here and the one that counts there are the same unless the file has two.
        if decoder.output_buffer_size() != Some(pixels.len()) {
            return Err(Trouble::Damaged("it declares its size twice".to_owned(), None));
        }
        decoder.decode_into(pixels).map_err(|e| self.trouble(&e))
    }

    fn top_down(&self) -> bool {
        true
    }
}

impl Jpeg<'_> {
    fn trouble(&self, error: &DecodeErrors) -> Trouble {
        match error {
            DecodeErrors::Unsupported(what) => Trouble::Unsupported(format!("of another kind ({what:?})")),
            _ if !self.markers.ended => Trouble::CutOff(None),
            DecodeErrors::Format(what) | DecodeErrors::HuffmanDecode(what) | DecodeErrors::MCUError(what) => {
                Trouble::Damaged(what.trim_end().to_owned(), None)
            }
            error => Trouble::Damaged(format!("{error:?}").trim_end().to_owned(), None),
        }
    }
}
