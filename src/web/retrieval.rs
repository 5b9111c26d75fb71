//! Galleries: [`LensGallery`] holds embeddings and ranks them; a [`Lens`] makes them.

use js_sys::{Array, Float32Array, JSON, Object, Uint8Array};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use super::convert::{explain_options, json, parse, set, to_error};
use super::{JsResult, Lens};
use crate::error::Error;
use crate::session::ImageId;
use crate::tasks::retrieval::{DuplicateRule, DuplicateSearch, Gallery, Hit, Item, Origin};

fn read<T: DeserializeOwned>(value: &JsValue, name: &str) -> JsResult<T> {
    let text = String::from(JSON::stringify(value)?);
    serde_json::from_str(&text).map_err(|e| to_error(Error::argument(name, e.to_string())))
}

fn list<T: serde::Serialize>(values: &[T]) -> JsResult<Array> {
    json(&values)?.dyn_into::<Array>().map_err(Into::into)
}

#[wasm_bindgen]
impl Lens {
    /// What makes the embeddings of this model under these options (target layer and pooling), with a `key` to file
    /// them under: `{model, weights, input, target, pooling, channels, key}`.
    pub fn origin(&mut self, options: JsValue) -> JsResult<Object> {
        let origin = self.session.origin(&explain_options(&options)?).map_err(to_error)?;
        let result = json(&origin)?;
        set(&result, "key", origin.key())?;
        Ok(result)
    }

    /// An image's row of a gallery: `{item, embedding}`. `content` identifies the file's content.
    #[wasm_bindgen(js_name = galleryRow)]
    pub async fn gallery_row(&mut self, id: u32, content: &str, origin: JsValue) -> JsResult<Object> {
        let id = ImageId(id);
        let origin: Origin = read(&origin, "origin")?;
        let item = self.session.gallery_item(id, content).map_err(to_error)?;
        let embedding = self.session.gallery_embedding(id, &origin).await.map_err(to_error)?;
        let result = Object::new();
        set(&result, "item", json(&item)?)?;
        set(&result, "embedding", Float32Array::from(embedding.as_ref()))?;
        Ok(result)
    }
}

/// The embeddings of many images.
#[wasm_bindgen]
pub struct LensGallery {
    gallery: Gallery,
}

#[wasm_bindgen]
impl LensGallery {
    /// An empty gallery of embeddings of that origin.
    pub fn create(origin: JsValue) -> JsResult<LensGallery> {
        Ok(Self { gallery: Gallery::new(read(&origin, "origin")?) })
    }

    /// Reads what [`LensGallery::to_npy`] and [`LensGallery::to_csv`] wrote, if it is of that origin.
    #[wasm_bindgen(js_name = fromFiles)]
    pub fn from_files(npy: &[u8], csv: &str, origin: JsValue) -> JsResult<LensGallery> {
        let gallery = Gallery::from_files(npy, csv).map_err(to_error)?;
        gallery.origin().check(&read(&origin, "origin")?).map_err(to_error)?;
        Ok(Self { gallery })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.gallery.len()
    }

    /// Adds an image, `{name, content, picture, width, height}`, and gives its place.
    pub fn push(&mut self, item: JsValue, embedding: &[f32]) -> JsResult<usize> {
        self.gallery.push(read::<Item>(&item, "item")?, embedding).map_err(to_error)
    }

    /// The images in their order.
    pub fn items(&self) -> JsResult<Array> {
        list(self.gallery.items())
    }

    /// The embedding of an image.
    pub fn embedding(&self, index: usize) -> Option<Float32Array> {
        self.gallery.embedding(index).map(Float32Array::from)
    }

    /// Takes out images by their places; those behind move up.
    pub fn remove(&mut self, indices: &[u32]) {
        let gone: std::collections::HashSet<u32> = indices.iter().copied().collect();
        let mut index = 0;
        self.gallery.retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
    }

    /// The most similar images, best first: `[{index, similarity, duplicate}]`; `query` is the query's own row, `rule`
    /// `{cosine, confirmed, bits}`.
    pub fn rank(&self, query: JsValue, embedding: &[f32], top: usize, rule: JsValue) -> JsResult<Array> {
        let (query, rule): (Item, DuplicateRule) = (read(&query, "query")?, parse(&rule, "rule")?);
        let hits: Vec<Hit> = self.gallery.rank(embedding, top).map_err(to_error)?;
        let marks = self.gallery.marks(&query, &hits, &rule);
        let result = list(&hits)?;
        for (hit, mark) in result.iter().zip(marks) {
            let mark = mark.map_or(Ok(JsValue::NULL), |mark| json(&mark).map(JsValue::from))?;
            set(hit.unchecked_ref::<Object>(), "duplicate", mark)?;
        }
        Ok(result)
    }

    /// Whether any of the `top` most similar images is like the query at all: `{like, reached, bound, says}`.
    pub fn likeness(&self, embedding: &[f32], top: usize) -> JsResult<Object> {
        let hits: Vec<Hit> = self.gallery.rank(embedding, top).map_err(to_error)?;
        json(&self.gallery.likeness(embedding, &hits))
    }

    /// A search for near-duplicates under the rule `{cosine, confirmed, bits}`.
    pub fn search(&self, rule: JsValue) -> JsResult<LensDuplicates> {
        Ok(LensDuplicates { search: DuplicateSearch::new(&self.gallery, parse(&rule, "rule")?) })
    }

    /// The embeddings as the bytes of a NumPy file.
    #[wasm_bindgen(js_name = toNpy)]
    pub fn to_npy(&self) -> Uint8Array {
        Uint8Array::from(self.gallery.to_npy().as_slice())
    }

    /// The images as a CSV table.
    #[wasm_bindgen(js_name = toCsv)]
    pub fn to_csv(&self) -> JsResult<String> {
        self.gallery.to_csv().map_err(to_error)
    }
}

/// A search for near-duplicates, a few images at a time.
#[wasm_bindgen]
pub struct LensDuplicates {
    search: DuplicateSearch,
}

#[wasm_bindgen]
impl LensDuplicates {
    /// Compares the next `images` of the gallery with all before them; gives how many have been looked at.
    pub fn step(&mut self, gallery: &LensGallery, images: usize) -> usize {
        self.search.step(&gallery.gallery, images)
    }

    /// The groups found so far, each a list of places.
    pub fn groups(&self) -> JsResult<Array> {
        list(&self.search.groups())
    }
}
