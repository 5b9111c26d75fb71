//! Pairs of images, and random views of one.

use js_sys::{Array, Float32Array, Object};
use wasm_bindgen::Clamped;
use wasm_bindgen::prelude::*;

use super::convert::{decode_error, explain_options, explanation, json, parse, set, to_error};
use super::{JsResult, Lens};
use crate::image::{Augmentation, Limits, Photo, View, decode};
use crate::session::ImageId;

#[wasm_bindgen]
impl Lens {
    /// Explains the similarity of two images on both sides: `{similarity, a, b}`, the last two as [`Lens::explain`]
    /// gives them.
    pub async fn pair(&mut self, a: u32, b: u32, options: JsValue) -> JsResult<Object> {
        let options = explain_options(&options)?;
        let pair = self.session.pair(ImageId(a), ImageId(b), &options).await.map_err(to_error)?;
        let result = Object::new();
        set(&result, "similarity", pair.similarity())?;
        set(&result, "a", explanation(&self.session, &pair.a)?)?;
        set(&result, "b", explanation(&self.session, &pair.b)?)?;
        Ok(result)
    }

    /// What every pair of cells adds to the similarity of two images: `{a: [width, height], b: [width, height], terms,
    /// sum, constant, similarity, score}`; `terms` has one row a cell of a and one column a cell of b.
    #[wasm_bindgen(js_name = whereToWhere)]
    pub async fn where_to_where(&mut self, a: u32, b: u32, options: JsValue) -> JsResult<Object> {
        let options = explain_options(&options)?;
        let pairs = self.session.where_to_where(ImageId(a), ImageId(b), &options).await.map_err(to_error)?;
        let size = |(width, height): (usize, usize)| {
            [width, height].into_iter().map(|n| JsValue::from(n as u32)).collect::<Array>()
        };
        let result = Object::new();
        set(&result, "a", size(pairs.map.a))?;
        set(&result, "b", size(pairs.map.b))?;
        set(&result, "terms", Float32Array::from(pairs.map.terms.as_slice()))?;
        set(&result, "sum", pairs.map.sum)?;
        set(&result, "constant", pairs.constant)?;
        set(&result, "similarity", pairs.similarity)?;
        set(&result, "score", pairs.score.name())?;
        Ok(result)
    }

    /// A random view of an image file: `{width, height, rgba, view}`. `allowed` is `{crop, flip, jitter, grey, blur}`.
    pub fn view(&self, name: &str, bytes: &[u8], seed: u32, allowed: JsValue) -> JsResult<Object> {
        let photo = decode(name, bytes, &Limits::default()).map_err(|e| decode_error(e, bytes))?;
        view(&photo, seed, &allowed)
    }

    /// The same of RGBA pixels.
    #[wasm_bindgen(js_name = viewPixels)]
    pub fn view_pixels(&self, width: u32, height: u32, rgba: &[u8], seed: u32, allowed: JsValue) -> JsResult<Object> {
        view(&Photo::from_rgba(width, height, rgba).map_err(to_error)?, seed, &allowed)
    }
}

fn view(photo: &Photo, seed: u32, allowed: &JsValue) -> JsResult<Object> {
    let allowed: Augmentation = parse(allowed, "view")?;
    let view = View::draw(photo.size(), &allowed, u64::from(seed));
    let seen = view.apply(photo).map_err(to_error)?;
    let rgba: Vec<u8> = seen.rgb().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    let result = Object::new();
    set(&result, "width", seen.width())?;
    set(&result, "height", seen.height())?;
    set(&result, "rgba", JsValue::from(Clamped(rgba)))?;
    set(&result, "view", json(&view)?)?;
    Ok(result)
}
