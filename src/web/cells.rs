//! The class-specific forms: statistics of images in general, and mosaics.

use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::Clamped;
use wasm_bindgen::prelude::*;

use super::convert::{self, classes, explain_options, explanation, json, object, set, to_error};
use super::{JsResult, Lens};
use crate::fam::Statistics;
use crate::session::ImageId;

#[wasm_bindgen]
impl Lens {
    /// Runs what an explanation with these options needs of one image: `{ms, cached}`.
    pub async fn prepare(&mut self, id: u32, options: JsValue) -> JsResult<Object> {
        let options = explain_options(&options)?;
        let took = self.session.prepare(ImageId(id), &options).await.map_err(to_error)?;
        let result = Object::new();
        set(&result, "ms", took.unwrap_or(0.0))?;
        set(&result, "cached", took.is_none())?;
        Ok(result)
    }

    /// What the statistics in use rest on (`{layer, width, images, cells, source, ...}`), or null if there are none.
    pub fn statistics(&self) -> JsResult<JsValue> {
        match self.session.statistics() {
            Some(statistics) => Ok(json(statistics.origin())?.into()),
            None => Ok(JsValue::NULL),
        }
    }

    /// Uses the statistics of a file, or the model's own again if there are no bytes.
    #[wasm_bindgen(js_name = setStatistics)]
    pub fn set_statistics(&mut self, bytes: &[u8]) -> JsResult<()> {
        let statistics = if bytes.is_empty() { None } else { Some(Statistics::from_bytes(bytes).map_err(to_error)?) };
        self.session.set_statistics(statistics).map_err(to_error)
    }

    /// Forgets what was counted.
    #[wasm_bindgen(js_name = startCounting)]
    pub fn start_counting(&mut self) {
        self.sums = Default::default();
    }

    /// Counts the cells of an image.
    pub async fn count(&mut self, id: u32) -> JsResult<()> {
        self.session.count_cells(ImageId(id), &mut self.sums).await.map_err(to_error)
    }

    /// The statistics file of what was counted.
    #[wasm_bindgen(js_name = finishCounting)]
    pub fn finish_counting(&mut self, source: &str) -> JsResult<Uint8Array> {
        let sums = std::mem::take(&mut self.sums);
        let statistics = self.session.finish_statistics(&sums, source).map_err(to_error)?;
        Ok(Uint8Array::from(statistics.to_bytes().map_err(to_error)?.as_slice()))
    }

    /// Tiles one photo of each class and explains the mosaic under each of the options: `{id, width, height, rgba,
    /// side, tiles, chance, notes, forms: [{explanation, energy, own, hits, auc}]}`. `side` 0 is the smallest that
    /// holds all.
    pub async fn mosaic(&mut self, classes: JsValue, options: Array, side: usize) -> JsResult<Object> {
        let classes = self::classes(&classes)?;
        let options = options.iter().map(|options| explain_options(&options)).collect::<JsResult<Vec<_>>>()?;
        let side = (side > 0).then_some(side);
        let found = self.session.mosaic(&classes, side, &options).await.map_err(to_error)?;
        let (width, height) = found.photo.size();
        let result =
            object([("id", found.image.0), ("width", width), ("height", height), ("side", found.side as u32)])?;
        let rgba: Vec<u8> = found.photo.rgb().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
        set(&result, "rgba", JsValue::from(Clamped(rgba)))?;
        let tiles = Array::new();
        for tile in &found.tiles {
            tiles.push(&object([("class", tile.class as u32), ("image", tile.image.0)])?.into());
        }
        set(&result, "tiles", tiles)?;
        set(&result, "chance", convert::numbers(&found.chance))?;
        set(&result, "notes", convert::array(&found.notes))?;
        let forms = Array::new();
        for form in &found.forms {
            let object = Object::new();
            set(&object, "explanation", explanation(&self.session, &form.explanation)?)?;
            let shares =
                |share: &Option<Vec<f64>>| share.as_ref().map_or(JsValue::NULL, |s| convert::numbers(s).into());
            set(&object, "energy", form.energy.iter().map(shares).collect::<Array>())?;
            set(
                &object,
                "own",
                form.own.iter().map(|&own| own.map_or(JsValue::NULL, JsValue::from)).collect::<Array>(),
            )?;
            set(&object, "hits", form.hits.iter().map(|&hit| JsValue::from(hit)).collect::<Array>())?;
            set(&object, "auc", convert::numbers(&form.auc))?;
            forms.push(&object.into());
        }
        set(&result, "forms", forms)?;
        Ok(result)
    }
}
