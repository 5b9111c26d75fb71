//! [`Lens`] is a [`Session`] with JavaScript values. It lives in a worker; pages use the module `www/famlens.js`.
//!
//! Calls that run a model borrow the lens until they are done, so a caller awaits one before it starts the next (the
//! worker queues them).

mod cells;
mod choices;
mod convert;
mod evaluate;
mod methods;
mod network;
mod pair;
mod retrieval;
mod what_if;

use js_sys::{Float32Array, Function, Object, Uint8Array, Uint32Array};
use wasm_bindgen::Clamped;
use wasm_bindgen::prelude::*;

use crate::engine::cpu::CpuEngine;
use crate::error::Error;
use crate::fam::Accumulator;
use crate::image::{Limits, Photo, decode};
use crate::metrics::localise;
use crate::onnx;
use crate::overlay;
use crate::session::{EngineChoice, ImageId, Map, Model, Request, Session};
use convert::{classes, explain_options, explanation, json, object, set, to_error};

/// Result of an exported call: the error is a JavaScript `Error` with a `code`.
type JsResult<T> = Result<T, JsValue>;

/// Prepares the module: a panic, should there be one, is reported on the console with its place.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// Uses relaxed SIMD from now on. In the file of the module that has none this traps, which is harmless: catch it.
#[wasm_bindgen(js_name = tryRelaxedSimd)]
pub fn try_relaxed_simd() {
    CpuEngine::try_relaxed_simd();
}

/// The version of famlens.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// The bytes of a model with the weights that it keeps in other files; `load` gives the bytes of a file by its name, or
/// nothing if it was not given.
#[wasm_bindgen(js_name = withExternalData)]
pub fn with_external_data(model: Vec<u8>, load: &Function) -> JsResult<Vec<u8>> {
    let file = |name: &str| match load.call1(&JsValue::NULL, &name.into()).map(JsCast::dyn_into::<Uint8Array>) {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        _ => {
            Err(Error::onnx(format!("its values are kept in {name:?}, which was not given; give both files together")))
        }
    };
    onnx::with_external_data(model, file).map_err(to_error)
}

/// A model, an engine and the images in play.
#[wasm_bindgen]
pub struct Lens {
    session: Session,
    /// Cells counted so far, for statistics of the user's own images.
    sums: Accumulator,
}

#[wasm_bindgen]
impl Lens {
    /// A lens on a model: the text of `model.json`, the bytes of its ONNX file, and `"auto"`, `"gpu"` or `"cpu"`.
    pub async fn create(manifest: &str, model: &[u8], backend: &str) -> JsResult<Lens> {
        let choice: EngineChoice = backend.parse().map_err(to_error)?;
        let model = Model::new(manifest, model).map_err(to_error)?;
        let session = Session::new(model, choice).await.map_err(to_error)?;
        Ok(Self { session, sums: Accumulator::new() })
    }

    /// What is loaded and what runs: `{model, backend, engines, note}`.
    pub fn info(&self) -> JsResult<Object> {
        convert::info(&self.session)
    }

    /// Chooses `"auto"`, `"gpu"` or `"cpu"`. Images stay.
    #[wasm_bindgen(js_name = setBackend)]
    pub async fn set_backend(&mut self, backend: &str) -> JsResult<Object> {
        let choice: EngineChoice = backend.parse().map_err(to_error)?;
        self.session.set_engine(choice).await.map_err(to_error)?;
        self.info()
    }

    /// Measures both engines on an image, takes the faster one, and returns [`Lens::info`].
    pub async fn calibrate(&mut self, id: u32) -> JsResult<Object> {
        self.session.calibrate(ImageId(id)).await.map_err(to_error)?;
        self.info()
    }

    /// Loses the GPU, as a driver reset would: for tests of what happens then.
    #[doc(hidden)]
    #[wasm_bindgen(js_name = loseGpu)]
    pub fn lose_gpu(&self) {
        self.session.lose_gpu();
    }

    /// Decodes an image file and adds it: `{id, width, height}`. The error's `browserCanTry` says that the browser's
    /// own decoder may read what famlens cannot; its pixels then go to [`Lens::add_pixels`].
    #[wasm_bindgen(js_name = addImage)]
    pub fn add_image(&mut self, name: &str, bytes: &[u8]) -> JsResult<Object> {
        let photo = decode(name, bytes, &Limits::default()).map_err(|e| convert::decode_error(e, bytes))?;
        self.add(name, &photo)
    }

    /// Adds an image from RGBA pixels, row-major: `{id, width, height}`.
    #[wasm_bindgen(js_name = addPixels)]
    pub fn add_pixels(&mut self, name: &str, width: u32, height: u32, rgba: &[u8]) -> JsResult<Object> {
        let photo = Photo::from_rgba(width, height, rgba).map_err(to_error)?;
        self.add(name, &photo)
    }

    /// Forgets an image.
    #[wasm_bindgen(js_name = removeImage)]
    pub fn remove_image(&mut self, id: u32) {
        self.session.remove_image(ImageId(id));
    }

    /// The embedding of an image at the target layer and under the pooling of `options`: `{embedding, ms, cached}`.
    pub async fn embed(&mut self, id: u32, options: JsValue) -> JsResult<Object> {
        let options = explain_options(&options)?;
        let embedding = self.session.embed_as(ImageId(id), &options).await.map_err(to_error)?;
        let result = Object::new();
        set(&result, "embedding", Float32Array::from(embedding.values.as_ref()))?;
        set(&result, "ms", embedding.milliseconds)?;
        set(&result, "cached", embedding.cached)?;
        Ok(result)
    }

    /// Decides and explains: `classes` is `[{name, supports: [id]}]`, `options` as
    /// [`crate::session::ExplainOptions`] has them in JSON.
    pub async fn explain(&mut self, query: u32, classes: JsValue, options: JsValue) -> JsResult<Object> {
        let (classes, options) = (self::classes(&classes)?, explain_options(&options)?);
        let result = self.session.explain(ImageId(query), &classes, &options).await.map_err(to_error)?;
        explanation(&self.session, &result)
    }

    /// Explains a support image against its own class: `{map, similarity}`.
    #[wasm_bindgen(js_name = explainSupport)]
    pub async fn explain_support(
        &mut self,
        id: u32,
        class: usize,
        classes: JsValue,
        options: JsValue,
    ) -> JsResult<Object> {
        let (classes, options) = (self::classes(&classes)?, explain_options(&options)?);
        let request = Request::new(ImageId(id), &classes, &options).unjudged();
        let result = self.session.explain_request(&request).await.map_err(to_error)?;
        convert::support(&result, class)
    }

    /// Activation maps of single channels: `{width, height, data}`, one map after the other.
    pub async fn channels(&mut self, id: u32, channels: Uint32Array, target: Option<String>) -> JsResult<Object> {
        let channels: Vec<usize> = channels.to_vec().into_iter().map(|c| c as usize).collect();
        let maps = self.session.channels(ImageId(id), target.as_deref(), &channels).await.map_err(to_error)?;
        let result = Object::new();
        if let [_, height, width] = *maps.shape().dims() {
            set(&result, "width", width as u32)?;
            set(&result, "height", height as u32)?;
        }
        set(&result, "data", Float32Array::from(maps.data()))?;
        Ok(result)
    }

    /// Times the engine that runs: `{engine, forward, explain, fam}`, milliseconds, one value a run.
    pub async fn bench(&mut self, id: u32, runs: usize) -> JsResult<Object> {
        let result = self.session.bench(ImageId(id), runs).await.map_err(to_error)?;
        json(&result)
    }

    /// Colours a map of an image. `input` is the size `[width, height]` of the input that the map is of, as maps of
    /// explanations have it; the model's own if there is none. `options` is `{width, height, colormap, mode, opacity,
    /// threshold, range}`, with `range` the scale `[low, high]` that the map shares with others; the result `{width, height,
    /// rgba, contour, box, peak, threshold}` with contour, box and peak in pixels of the photo. A threshold is a share of
    /// the range (`0.2`) or of the energy (`"energy:0.94"`); the one that comes back is always a share of the range.
    pub fn render(
        &self,
        id: u32,
        map: &[f32],
        width: usize,
        height: usize,
        options: JsValue,
        input: Option<Vec<u32>>,
    ) -> JsResult<Object> {
        let map = self.place(id, map, (width, height), input.as_deref())?;
        let options = convert::render_options(&options)?;
        let view = map.view().map_err(to_error)?;
        let shown = options.range.map_or(view, |[low, high]| view.on_scale(low, high));
        let rgba = overlay::render(&shown, options.width, options.height, &options.style).map_err(to_error)?;
        let found = localise(&view, options.threshold).map_err(to_error)?;
        let contours =
            found.as_ref().map(|found| overlay::contours(&view, found.level)).transpose().map_err(to_error)?;
        let result = Object::new();
        set(&result, "width", options.width)?;
        set(&result, "height", options.height)?;
        set(&result, "rgba", JsValue::from(Clamped(rgba)))?;
        set(&result, "contour", convert::polylines(&contours.unwrap_or_default()))?;
        convert::set_localisation(&result, found.as_ref())?;
        Ok(result)
    }

    /// The raw value of a map at a point of the photo, or nothing where the model did not look.
    #[wasm_bindgen(js_name = valueAt)]
    #[allow(
        clippy::too_many_arguments,
        reason = "JavaScript calls it, and an object would cost an allocation a pointer move"
    )]
    pub fn value_at(
        &self,
        id: u32,
        map: &[f32],
        width: usize,
        height: usize,
        x: f64,
        y: f64,
        input: Option<Vec<u32>>,
    ) -> JsResult<Option<f32>> {
        let map = self.place(id, map, (width, height), input.as_deref())?;
        Ok(map.view().map_err(to_error)?.value_at(x, y))
    }

    fn add(&mut self, name: &str, photo: &Photo) -> JsResult<Object> {
        let id = self.session.add_image(name, photo).map_err(to_error)?;
        object([("id", id.0), ("width", photo.width()), ("height", photo.height())])
    }

    fn place(&self, id: u32, map: &[f32], (width, height): (usize, usize), input: Option<&[u32]>) -> JsResult<Map> {
        let id = ImageId(id);
        let geometry = match input {
            Some(&[width, height]) => self.session.geometry_of_input(id, (width, height)),
            _ => self.session.geometry(id),
        };
        Ok(Map { data: map.to_vec(), width, height, geometry: *geometry.map_err(to_error)? })
    }
}
