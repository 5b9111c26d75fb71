//! Evaluation: boxes from files or drawn by hand, the figures of one photo after the other, and their summary.

use js_sys::Object;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::convert::{classes, json, parse, to_error};
use super::{JsResult, Lens};
use crate::image::Rect;
use crate::metrics::boxes::{Annotated, read_boxes};
use crate::metrics::{Bootstrap, MEASURES, Measure, Row, Summary, summarise};
use crate::session::{EvaluateOptions, ImageId, Subject};
use crate::tasks::episodes::{EpisodeSize, Labelled, Protocol};

#[derive(Deserialize)]
struct BoxFile {
    name: String,
    text: String,
}

#[derive(Serialize)]
struct Found<'a> {
    /// For each path, its annotation.
    photos: Vec<Option<&'a Annotated>>,
    /// How many photos the files hold boxes of.
    annotated: usize,
}

/// Whom a photo is explained among.
#[derive(Serialize)]
struct Drawn<'a> {
    /// The names of the classes.
    classes: Vec<&'a str>,
    /// The photos that support each class, by their place in what was given.
    supports: Vec<Vec<usize>>,
    /// Which of the classes is the photo's own.
    own: usize,
}

#[derive(Serialize)]
struct Episodes<'a> {
    /// For each photo, its episode.
    photos: Vec<Option<Drawn<'a>>>,
}

#[derive(Serialize)]
struct Evaluation {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Summarised {
    #[serde(flatten)]
    summary: Summary,
    measures: &'static [Measure],
}

#[wasm_bindgen]
impl Lens {
    /// Reads boxes (`[{name, text}]`: Pascal VOC XML, COCO JSON, CUB-200-2011's text files, a table) and finds those of
    /// each path: `{photos: [{file, size, objects: [{label, box, difficult}]} | null], annotated}`.
    #[wasm_bindgen(js_name = readBoxes)]
    pub fn read_boxes(&self, files: JsValue, paths: JsValue) -> JsResult<Object> {
        let (files, paths): (Vec<BoxFile>, Vec<String>) = (parse(&files, "boxes")?, parse(&paths, "paths")?);
        let files: Vec<_> = files.into_iter().map(|file| (file.name, file.text.into_bytes())).collect();
        let boxes = read_boxes(&files).map_err(to_error)?;
        let photos = paths.iter().map(|path| boxes.of(path)).collect();
        json(&Found { photos, annotated: boxes.photos.len() })
    }

    /// Draws the episode of each photo (`[{class, name, content}]`), as `famlens evaluate` does with that seed and as
    /// many supports and other classes: `{photos: [{classes, supports, own} | null]}`; null where a photo's class has
    /// no other.
    pub fn episodes(&self, photos: JsValue, seed: u32, shots: usize, against: usize) -> JsResult<Object> {
        let photos: Vec<Labelled> = parse(&photos, "photos")?;
        let protocol = Protocol::new(&photos, u64::from(seed));
        let drawn = |query: usize| {
            let episode = protocol.episode(query, EpisodeSize { shots, against })?;
            let own = episode.classes.iter().position(|&class| Some(class) == protocol.class_of(query))?;
            let classes = episode.classes.iter().map(|&class| protocol.classes()[class].as_str()).collect();
            Some(Drawn { classes, supports: episode.supports, own })
        };
        json(&Episodes { photos: (0..photos.len()).map(drawn).collect() })
    }

    /// Explains an image under every variant and measures it: `boxes` is `[[x0, y0, x1, y1]]` in photo pixels,
    /// `options` is `{variants: [{name, options}], threshold, floors, faithfulness}`; the result is `{rows}`.
    #[wasm_bindgen(js_name = evaluateImage)]
    pub async fn evaluate_image(
        &mut self,
        id: u32,
        own: usize,
        classes: JsValue,
        boxes: JsValue,
        options: JsValue,
    ) -> JsResult<Object> {
        let (classes, boxes): (_, Vec<Rect>) = (self::classes(&classes)?, parse(&boxes, "boxes")?);
        let options: EvaluateOptions = parse(&options, "options")?;
        let subject = Subject { image: ImageId(id), class: own, boxes, mask: None };
        let setting = self.session.model().manifest().input.geometry.to_string();
        let found = self.session.evaluate_image(&subject, &classes, &setting, &options).await.map_err(to_error)?;
        json(&Evaluation { rows: found.rows })
    }

    /// What rows come to: `{aggregates, differences, measures}` with bootstrap intervals over images.
    pub fn summarise(&self, rows: JsValue, bootstrap: JsValue) -> JsResult<Object> {
        let (rows, bootstrap): (Vec<Row>, Bootstrap) = (parse(&rows, "rows")?, parse(&bootstrap, "bootstrap")?);
        let summary = summarise(&rows, &bootstrap).map_err(to_error)?;
        json(&Summarised { summary, measures: MEASURES })
    }
}
