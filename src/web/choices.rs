//! What can be chosen.

use wasm_bindgen::prelude::*;

use super::{JsResult, Lens};
use crate::session::catalogue_json;

#[wasm_bindgen]
impl Lens {
    /// Every option of an explanation with its values: `[{kind, label, sentence, input, values, default}]`.
    pub fn choices(&self) -> JsResult<JsValue> {
        js_sys::JSON::parse(&catalogue_json())
    }
}
