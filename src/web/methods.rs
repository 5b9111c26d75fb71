//! Methods side by side.

use js_sys::{Array, Float32Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_time::Instant;

use super::convert::{array, classes, explain_options, explained_map, json, parse, set, to_error};
use super::{JsResult, Lens};
use crate::choice::Choice;
use crate::engine::LocalFuture;
use crate::methods::Method;
use crate::session::{Comparison, ImageId, Progress};

/// Progress is reported at most this often, in milliseconds: each time, messages are let in.
const PAUSE: u128 = 40;

#[wasm_bindgen]
impl Lens {
    /// Explains by several methods: `methods` are names, `options` as of [`Lens::explain`]. `watch(method, done,
    /// total)` is asked after passes whether to go on, and may answer with a promise.
    ///
    /// `{score, classes, predicted, layer, methods: [{method, label, maps, weights, cost, notes}], backend}`.
    #[wasm_bindgen(js_name = compareMethods)]
    pub async fn compare_methods(
        &mut self,
        query: u32,
        classes: JsValue,
        methods: JsValue,
        options: JsValue,
        watch: Function,
    ) -> JsResult<Object> {
        let (classes, options) = (self::classes(&classes)?, explain_options(&options)?);
        let methods: Vec<Method> = parse(&methods, "methods")?;
        let mut last = Instant::now();
        let mut watch = move |progress: Progress| -> LocalFuture<'static, bool> {
            if last.elapsed().as_millis() < PAUSE && progress.done < progress.total {
                return Box::pin(std::future::ready(true));
            }
            last = Instant::now();
            let Progress { method, done, total } = progress;
            let asked =
                watch.call3(&JsValue::NULL, &method.name().into(), &(done as u32).into(), &(total as u32).into());
            Box::pin(async move {
                let Ok(answer) = asked else { return false };
                JsFuture::from(Promise::resolve(&answer)).await.is_ok_and(|v| v.is_truthy())
            })
        };
        let found = self.session.compare_methods(ImageId(query), &classes, &methods, &options, &mut watch).await;
        comparison(&found.map_err(to_error)?)
    }
}

fn comparison(found: &Comparison) -> JsResult<Object> {
    let methods = Array::new();
    for result in &found.methods {
        let (maps, weights) = (Array::new(), Array::new());
        for map in &result.maps {
            maps.push(&explained_map(map)?.into());
        }
        for row in &result.weights {
            weights.push(&Float32Array::from(row.as_slice()));
        }
        let object = Object::new();
        set(&object, "method", result.method.name())?;
        set(&object, "label", result.method.label())?;
        set(&object, "maps", maps)?;
        set(&object, "weights", weights)?;
        set(&object, "cost", json(&result.cost)?)?;
        set(&object, "notes", array(&result.notes))?;
        methods.push(&object);
    }
    let result = Object::new();
    set(&result, "score", found.score.as_str())?;
    set(&result, "classes", json(&found.classes)?)?;
    set(&result, "predicted", found.predicted as u32)?;
    set(&result, "layer", found.layer.as_str())?;
    set(&result, "methods", methods)?;
    set(&result, "backend", found.engine.name())?;
    Ok(result)
}
