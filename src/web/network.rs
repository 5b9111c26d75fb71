//! The network for the page's picture of it.

use js_sys::Object;
use wasm_bindgen::prelude::*;

use super::convert::{json, to_error};
use super::{JsResult, Lens};

#[wasm_bindgen]
impl Lens {
    /// Layers and blocks with shapes and costs, and what follows a target layer (the model's own if it is empty), as
    /// [`crate::session::Network`] in JSON.
    pub fn network(&self, target: &str) -> JsResult<Object> {
        json(&self.session.model().network(target).map_err(to_error)?)
    }
}
