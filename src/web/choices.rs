//! What can be chosen, and what a choice needs.

use js_sys::Object;
use wasm_bindgen::prelude::*;

use super::convert::{classes, explain_options, json, to_error};
use super::{JsResult, Lens};
use crate::session::catalogue_json;

#[wasm_bindgen]
impl Lens {
    /// Every option of an explanation with its values: `[{kind, label, sentence, input, values, default, group,
    /// ofModel, applies}]`, as [`crate::explain::CatalogueEntry`] has them.
    pub fn choices(&self) -> JsResult<JsValue> {
        js_sys::JSON::parse(&catalogue_json())
    }

    /// The name of the form for a user who has chosen none, for this number of classes.
    #[wasm_bindgen(js_name = usualForm)]
    pub fn usual_form(&self, classes: usize) -> String {
        self.session.usual_form(classes).name().into()
    }

    /// Takes a projection head from the bytes of a `.safetensors` file, for the choice `head: "file"`, and says what it
    /// is; without bytes the one before is forgotten.
    #[wasm_bindgen(js_name = loadHead)]
    pub fn load_head(&mut self, bytes: &[u8]) -> JsResult<String> {
        if bytes.is_empty() {
            self.session.forget_head();
            return Ok(String::new());
        }
        self.session.load_head(bytes, None).map_err(to_error)
    }

    /// Gives the matrix of the learned similarities, row by row, or learns it from the images again (without values).
    #[wasm_bindgen(js_name = setMatrix)]
    pub fn set_matrix(&mut self, values: Option<Vec<f32>>) -> JsResult<()> {
        let matrix = values.as_deref().map(|values| (values.len().isqrt(), values));
        self.session.set_matrix(matrix).map_err(to_error)
    }

    /// Takes that matrix from the bytes of a `.npy` file, and says what it is.
    #[wasm_bindgen(js_name = loadMatrix)]
    pub fn load_matrix(&mut self, bytes: &[u8]) -> JsResult<String> {
        self.session.load_matrix(bytes).map_err(to_error)
    }

    /// Whether images added from now on keep their photo, for a further scale made from it.
    #[wasm_bindgen(js_name = keepPhotos)]
    pub fn keep_photos(&mut self, keep: bool) {
        self.session.keep_photos(keep);
    }

    /// Takes each support image out in turn and asks the others about it: as [`crate::session::SupportCheck`] in JSON.
    #[wasm_bindgen(js_name = checkSupports)]
    pub async fn check_supports(&mut self, classes: JsValue, options: JsValue) -> JsResult<Object> {
        let (classes, options) = (self::classes(&classes)?, explain_options(&options)?);
        json(&self.session.check_supports(&classes, &options).await.map_err(to_error)?)
    }
}
