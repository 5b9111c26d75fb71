//! Between JavaScript values and the session's types. Numbers go as typed arrays, the rest through JSON.

use js_sys::{Array, Float32Array, Float64Array, JSON, Object, Reflect};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

use super::JsResult;
use crate::error::Error;
use crate::image::left_to_browser;
use crate::metrics::{Localisation, Threshold};
use crate::overlay::{Alpha, ColorMap, Style};
use crate::session::{Class, ExplainOptions, ExplainedMap, Explanation, ImageId, LayerMaps, Session, StoredWeights};

/// A JavaScript `Error` with the message and a `code` that a page can branch on.
pub(super) fn to_error(error: Error) -> JsValue {
    let code = match &error {
        Error::Image { .. } => "image",
        Error::TooLarge { .. } => "too_large",
        Error::Onnx { .. } => "onnx",
        Error::Unsupported { .. } => "unsupported",
        Error::Node { .. } => "node",
        Error::Manifest { .. } => "manifest",
        Error::Target { .. } => "target",
        Error::Argument { .. } => "argument",
        Error::NoGpu { .. } => "no_gpu",
        Error::GpuLost { .. } => "gpu_lost",
        Error::Cancelled => "cancelled",
        Error::Engine { .. } => "engine",
        Error::File { .. } => "file",
    };
    let js = js_sys::Error::new(&error.to_string());
    // Setting a property of a fresh object cannot fail.
    let _ = Reflect::set(&js, &"code".into(), &code.into());
    js.into()
}

/// The same for an image that could not be decoded: the browser may know its format. What famlens decodes by itself it
/// also judges by itself, so that a damaged file is refused here as it is on the command line.
pub(super) fn decode_error(error: Error, bytes: &[u8]) -> JsValue {
    let browser = matches!(error, Error::Image { .. }) && left_to_browser(bytes);
    let js = to_error(error);
    let _ = Reflect::set(&js, &"browserCanTry".into(), &browser.into());
    js
}

/// Sets one property.
pub(super) fn set(object: &Object, key: &str, value: impl Into<JsValue>) -> JsResult<()> {
    Reflect::set(object, &key.into(), &value.into()).map(|_| ())
}

/// An object of numbers.
pub(super) fn object<const N: usize>(entries: [(&str, u32); N]) -> JsResult<Object> {
    let result = Object::new();
    entries.into_iter().try_for_each(|(key, value)| set(&result, key, value))?;
    Ok(result)
}

/// Sentences as a JavaScript array.
pub(super) fn array(sentences: &[String]) -> Array {
    sentences.iter().map(|s| JsValue::from(s.as_str())).collect()
}

/// A serialisable value as a JavaScript object.
pub(super) fn json(value: &impl Serialize) -> JsResult<Object> {
    let text = serde_json::to_string(value).map_err(|e| js_sys::Error::new(&e.to_string()))?;
    JSON::parse(&text)?.dyn_into()
}

pub(super) fn parse<T: for<'a> Deserialize<'a> + Default>(value: &JsValue, name: &str) -> JsResult<T> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    let text = String::from(JSON::stringify(value)?);
    serde_json::from_str(&text).map_err(|e| to_error(Error::argument(name, e.to_string())))
}

#[derive(Deserialize)]
struct ClassInput {
    name: String,
    supports: Vec<u32>,
}

/// `[{name, supports: [id]}]`.
pub(super) fn classes(value: &JsValue) -> JsResult<Vec<Class>> {
    let classes: Vec<ClassInput> = parse(value, "classes")?;
    let class = |c: ClassInput| Class::new(c.name, c.supports.into_iter().map(ImageId).collect::<Vec<_>>());
    Ok(classes.into_iter().map(class).collect())
}

/// The options as [`ExplainOptions`] has them in JSON; an absent or null `options` has the defaults.
pub(super) fn explain_options(value: &JsValue) -> JsResult<ExplainOptions> {
    parse(value, "options")
}

#[derive(Deserialize, Default)]
struct RenderInput {
    width: Option<u32>,
    height: Option<u32>,
    colormap: Option<ColorMap>,
    mode: Option<Mode>,
    opacity: Option<f32>,
    threshold: Option<Threshold>,
    range: Option<[f32; 2]>,
}

/// How opaque the overlay is: the same everywhere, or as opaque as the value is high.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Constant,
    Value,
}

/// How a map is drawn, at what size.
pub(super) struct RenderOptions {
    pub width: u32,
    pub height: u32,
    pub style: Style,
    pub threshold: Threshold,
    /// The scale that the map shares with others.
    pub range: Option<[f32; 2]>,
}

/// `{width, height, colormap, mode, opacity, threshold}`; opacity is 1 by default, since the page fades it itself.
pub(super) fn render_options(value: &JsValue) -> JsResult<RenderOptions> {
    let input: RenderInput = parse(value, "options")?;
    let (Some(width), Some(height)) = (input.width, input.height) else {
        return Err(to_error(Error::argument("options", "width and height of the picture are needed")));
    };
    Ok(RenderOptions {
        width,
        height,
        style: Style {
            colors: input.colormap.unwrap_or_default(),
            alpha: if matches!(input.mode, Some(Mode::Value)) { Alpha::Proportional } else { Alpha::Constant },
            opacity: input.opacity.unwrap_or(1.0),
        },
        threshold: input.threshold.unwrap_or_default(),
        range: input.range,
    })
}

/// `{model, backend, engines, note}`.
pub(super) fn info(session: &Session) -> JsResult<Object> {
    #[derive(Serialize)]
    struct ModelInfo<'a> {
        name: &'a str,
        /// Of the weights and of what they are fed, for what a page keeps with a model.
        identity: String,
        licence: &'a str,
        #[serde(rename = "inputWidth")]
        input_width: u32,
        #[serde(rename = "inputHeight")]
        input_height: u32,
        geometry: String,
        /// `"rgb"`, `"bgr"`, `"grey"` or `"rgba"`.
        channels: &'static str,
        /// What famlens took from the file or assumed, a sentence each.
        assumptions: &'a [String],
        target: &'a str,
        targets: &'a [String],
        parameters: usize,
        /// `"gap"` and so on; `"model"` where the model's own embedding is compared.
        pooling: &'a str,
        #[serde(rename = "hasMeanEmbedding")]
        has_mean_embedding: bool,
        #[serde(rename = "hasStatistics")]
        has_statistics: bool,
        /// What storing the weights as int8 changed; null if `model.json` does not ask for that.
        #[serde(rename = "storedWeights")]
        stored_weights: Option<StoredWeights>,
    }
    let manifest = session.model().manifest();
    let model = ModelInfo {
        name: &manifest.name,
        identity: session.model().identity(),
        licence: &manifest.licence,
        input_width: manifest.input.size.width,
        input_height: manifest.input.size.height,
        geometry: manifest.input.geometry.to_string(),
        channels: manifest.pixels().channels.name(),
        assumptions: session.model().assumptions(),
        target: &manifest.target,
        targets: session.model().targets(),
        parameters: session.model().parameters(),
        pooling: &manifest.pooling,
        has_mean_embedding: manifest.mean_embedding.is_some(),
        has_statistics: manifest.class_specific.as_ref().is_some_and(|spec| spec.statistics.is_some()),
        stored_weights: session.model().stored_weights(),
    };
    let reports = session.engine_reports();
    let result = Object::new();
    set(&result, "model", json(&model)?)?;
    if let Some(active) = reports.iter().find(|r| r.kind == session.engine()) {
        set(&result, "backend", json(active)?)?;
    }
    set(&result, "engines", json(&reports)?)?;
    set(&result, "note", session.note().map_or(JsValue::NULL, JsValue::from))?;
    Ok(result)
}

/// An explanation as the page gets it.
pub(super) fn explanation(session: &Session, explanation: &Explanation) -> JsResult<Object> {
    let result = Object::new();
    set(&result, "form", explanation.form.name())?;
    set(&result, "score", explanation.score.as_str())?;
    set(&result, "target", explanation.target.as_str())?;
    set(&result, "notes", array(&explanation.notes))?;
    set(&result, "classes", json(&explanation.classes)?)?;
    set(&result, "predicted", explanation.predicted as u32)?;
    match &explanation.decision {
        Some(decision) => set(&result, "decision", json(decision)?)?,
        None => set(&result, "decision", JsValue::NULL)?,
    }
    set(&result, "evidence", numbers(&explanation.evidence))?;
    set(&result, "channels", explanation.contributions.first().map_or(0, Vec::len) as u32)?;
    let maps = Array::new();
    for map in &explanation.maps {
        maps.push(&explained_map(map)?.into());
    }
    if let Some(first) = explanation.maps.first() {
        set(&result, "map", object([("width", first.map.width as u32), ("height", first.map.height as u32)])?)?;
    }
    set(&result, "maps", maps)?;
    set(&result, "scale", json(&explanation.scale)?)?;
    let rows = |rows: &[Vec<f32>]| rows.iter().map(|row| Float32Array::from(row.as_slice())).collect::<Array>();
    set(&result, "contributions", rows(&explanation.contributions))?;
    set(&result, "weights", rows(&explanation.weights))?;
    set(&result, "present", Float32Array::from(explanation.present.as_slice()))?;
    set(&result, "layers", layers(&explanation.layers)?)?;
    set(&result, "passes", explanation.passes as u32)?;
    let looked = explanation.looked.map(|seen| numbers(&[seen.x0, seen.y0, seen.x1, seen.y1]));
    set(&result, "looked", looked.map_or(JsValue::NULL, JsValue::from))?;
    set(&result, "timings", json(&explanation.timings)?)?;
    set(&result, "embedded", explanation.embedded as u32)?;
    set(&result, "backend", explanation.engine.name())?;
    set(&result, "note", session.note().map_or(JsValue::NULL, JsValue::from))?;
    Ok(result)
}

/// `[{target, maps: [{data, width, height}]}]`.
fn layers(layers: &[LayerMaps]) -> JsResult<Array> {
    let result = Array::new();
    for layer in layers {
        let maps = Array::new();
        for grid in &layer.maps {
            let map = object([("width", grid.width as u32), ("height", grid.height as u32)])?;
            set(&map, "data", Float32Array::from(grid.data.as_slice()))?;
            maps.push(&map);
        }
        let object = Object::new();
        set(&object, "target", layer.target.as_str())?;
        set(&object, "maps", maps)?;
        result.push(&object);
    }
    Ok(result)
}

/// The map of one class of an explanation, with its similarity.
pub(super) fn support(explanation: &Explanation, class: usize) -> JsResult<Object> {
    let (Some(map), Some(score)) = (explanation.maps.get(class), explanation.classes.get(class)) else {
        let reason = format!("there is no class {class}; there are {}", explanation.classes.len());
        return Err(to_error(Error::argument("class", reason)));
    };
    let result = Object::new();
    set(&result, "map", explained_map(map)?)?;
    set(&result, "similarity", score.similarity)?;
    Ok(result)
}

pub(super) fn explained_map(explained: &ExplainedMap) -> JsResult<Object> {
    let map = &explained.map;
    let (min, max) = explained.range;
    let result = Object::new();
    set(&result, "data", Float32Array::from(map.data.as_slice()))?;
    set(&result, "width", map.width as u32)?;
    set(&result, "height", map.height as u32)?;
    let (width, height) = map.input_size();
    set(&result, "input", [width, height].into_iter().map(JsValue::from).collect::<Array>())?;
    set(&result, "min", min)?;
    set(&result, "max", max)?;
    set(&result, "constant", explained.localisation.is_none())?;
    set(&result, "says", explained.says.as_deref().map_or(JsValue::NULL, JsValue::from))?;
    set(&result, "zero", map.data.iter().all(|&v| v == 0.0))?;
    set_localisation(&result, explained.localisation.as_ref())?;
    Ok(result)
}

/// Numbers as a JavaScript array.
pub(super) fn numbers(values: &[f64]) -> Array {
    values.iter().map(|&v| JsValue::from(v)).collect()
}

/// Sets `box` and `peak`, in pixels of the photo, and `threshold`, the share of the range at which the box is cut; or
/// null.
pub(super) fn set_localisation(object: &Object, found: Option<&Localisation>) -> JsResult<()> {
    let bounds = found.map(|l| l.bounds);
    set(object, "box", bounds.map_or(JsValue::NULL, |b| numbers(&[b.x0, b.y0, b.x1, b.y1]).into()))?;
    set(object, "threshold", found.map_or(JsValue::NULL, |l| l.level.into()))?;
    set(object, "peak", found.map_or(JsValue::NULL, |l| numbers(&l.peak).into()))
}

/// Polylines as arrays `[x, y, x, y, ..]`.
pub(super) fn polylines(lines: &[Vec<[f64; 2]>]) -> Array {
    lines.iter().map(|line| JsValue::from(Float64Array::from(line.as_flattened()))).collect()
}
