//! What if a part of a photo were covered?

use js_sys::Object;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use super::convert::{classes, explain_options, json, parse, to_error};
use super::{JsResult, Lens};
use crate::error::Error;
use crate::image::{Cover, Rect};
use crate::session::{CoverWith, ImageId};

/// What is covered, and with what.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct CoverInput {
    /// In pixels of the photo: x0, y0, x1, y1.
    boxes: Vec<[f64; 4]>,
    /// A grid over the whole photo, row by row, 0 to 1; in place of boxes.
    mask: Option<MaskInput>,
    /// `"grey"` or `"blur"`.
    with: Option<String>,
    /// The photo that is laid over this one.
    photo: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskInput {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

#[wasm_bindgen]
impl Lens {
    /// Covers a part of an image and compares what the maps predict with what happens: `{classes: [{name, before, after,
    /// measured, predicted, share, says}], decision, score, covered}`.
    #[wasm_bindgen(js_name = whatIf)]
    pub async fn what_if(
        &mut self,
        query: u32,
        classes: JsValue,
        options: JsValue,
        cover: JsValue,
    ) -> JsResult<Object> {
        let (classes, options) = (self::classes(&classes)?, explain_options(&options)?);
        let input: CoverInput = parse(&cover, "cover")?;
        let id = ImageId(query);
        let photo = self.session.geometry(id).map_err(to_error)?.photo_size();
        let cover = match &input.mask {
            Some(mask) => Cover::mask(photo, (mask.width, mask.height), &mask.data),
            None if input.boxes.is_empty() => Err(Error::argument("cover", "give boxes or a mask")),
            None => Cover::boxes(photo, &input.boxes.iter().map(|&corners| Rect::from(corners)).collect::<Vec<_>>()),
        };
        let with = match (input.photo, input.with.as_deref()) {
            (Some(photo), _) => Ok(CoverWith::Photo(ImageId(photo))),
            (None, None | Some("grey")) => Ok(CoverWith::Grey),
            (None, Some("blur")) => Ok(CoverWith::Blur),
            (None, Some(other)) => {
                Err(Error::argument("with", format!("{other:?} is neither \"grey\" nor \"blur\" nor a photo")))
            }
        };
        let (cover, with) = (cover.map_err(to_error)?, with.map_err(to_error)?);
        let found = self.session.what_if(id, &classes, &options, &cover, with).await.map_err(to_error)?;
        json(&found)
    }
}
