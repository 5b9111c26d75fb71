//! What a description leaves open about the input, settled by the network, and said in words.

use super::input::InputSpec;
use crate::error::{Error, Result};
use crate::image::{Channels, InputSize, Normalization};
use crate::onnx::{self, PixelRange};

/// Side of the input where neither `model.json` nor the ONNX file says one: what most networks are trained with.
const USUAL_SIDE: u32 = 224;

/// Pixels as they are, 0 to 255.
const AS_THEY_ARE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
/// Pixels from 0 to 1.
const UNIT: Normalization = Normalization { mean: [0.0; 3], std: [255.0; 3] };

/// Fills in what the description does not say, and gives a sentence for each thing that a user may want to know.
///
/// # Errors
/// [`Error::Onnx`] if the file takes no image that photos can be made into, [`Error::Manifest`] if the description
/// contradicts the file.
pub(super) fn settle(input: &mut InputSpec, onnx: &onnx::Model) -> Result<Vec<String>> {
    let mut said = Vec::new();
    size(input, onnx, &mut said)?;
    channels(input, onnx, &mut said)?;
    normalization(input, onnx, &mut said);
    if let Some(batch) = onnx.inputs().first().and_then(|input| input.batch) {
        said.push(format!("The file takes {batch} images at once. famlens runs it on one."));
    }
    Ok(said)
}

fn size(input: &mut InputSpec, onnx: &onnx::Model, said: &mut Vec<String>) -> Result<()> {
    if input.size.is_known() {
        return Ok(());
    }
    let (height, width) = onnx.input_size()?;
    let side = |own: Option<usize>, other: Option<usize>| match own.or(other) {
        None => Ok(USUAL_SIDE),
        Some(side) => u32::try_from(side).map_err(|_| Error::onnx(format!("its image has a side of {side} pixels"))),
    };
    input.size = InputSize { width: side(width, height)?, height: side(height, width)? };
    input.stride = input.stride.min(input.size.shorter() as usize);
    if height.is_none() || width.is_none() {
        let size = input.size;
        said.push(format!("The file leaves the size of its image free, and nothing else says it, so it is {size}."));
    }
    Ok(())
}

fn channels(input: &mut InputSpec, onnx: &onnx::Model, said: &mut Vec<String>) -> Result<()> {
    let count = onnx.input_channels()?;
    match input.channels {
        Some(channels) if channels.count() == count => {}
        Some(channels) => {
            let reason = format!("\"channels\" is {:?}, and the file takes {count} channels", channels.name());
            return Err(Error::Manifest { reason });
        }
        None => {
            input.channels = Some(Channels::usual(count).ok_or_else(|| Error::onnx(foreign(count)))?);
            match input.channels {
                Some(Channels::Grey) => said.push("The file takes one channel: photos become grey.".into()),
                Some(Channels::Rgba) => {
                    said.push("The file takes four channels: the fourth says that every pixel is opaque (1).".into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Why photos cannot be made into images of so many channels.
fn foreign(count: usize) -> String {
    let what = match count {
        6 => {
            "two photos stacked, it seems; such a network has no embedding of one photo to compare. Export the part \
              that sees one photo, or a siamese file with an input for each"
        }
        _ => "famlens makes 1 (grey), 3 (RGB or BGR) or 4 (RGB and opacity) of a photo. Export it with one of these",
    };
    format!("its image has {count} channels: {what}")
}

fn normalization(input: &mut InputSpec, onnx: &onnx::Model, said: &mut Vec<String>) {
    let outside = "so no mean or standard deviation is applied outside";
    if onnx.takes_bytes() {
        // The network prepares its pixels itself, whatever is said beside it.
        input.normalization = Some(AS_THEY_ARE);
        said.push(format!("The file takes pixels as bytes and prepares them itself, {outside}."));
        return;
    }
    if input.normalization.is_some() {
        return;
    }
    input.normalization = match (onnx.prepares_pixels(), input.channels) {
        (Some(PixelRange::Bytes), _) => {
            said.push(format!("The file prepares its pixels itself, from 0 to 255, {outside}."));
            Some(AS_THEY_ARE)
        }
        (Some(PixelRange::Unit), _) => {
            said.push(format!("The file prepares its pixels itself, from 0 to 1, {outside}."));
            Some(UNIT)
        }
        (None, Some(Channels::Grey)) => {
            said.push("Nothing says how pixels are scaled, so they go from 0 to 1.".into());
            Some(UNIT)
        }
        (None, _) => {
            said.push("Nothing says how pixels are scaled, so ImageNet's mean and standard deviation are used.".into());
            let mut normalization = input.pixels().normalization;
            if input.channels == Some(Channels::Bgr) {
                normalization.mean.reverse();
                normalization.std.reverse();
            }
            Some(normalization)
        }
    };
}
