//! Which jobs there are, and under which keys their results are stored.

use std::path::Path;

use famlens::Result;
use famlens::metrics::Row;
use famlens::session::{EvaluateOptions, InputSpec, Map, Model, Variant};
use famlens::tasks::episodes::{Episode, EpisodeSize};
use serde_json::json;

use super::data::{Data, hash};
use super::store::{Entry, Store};
use super::work::{Job, Kind, Plan, Setting};
use super::{Args, files};

pub struct Planner<'a> {
    args: &'a Args,
    pub data: &'a Data,
    options: &'a EvaluateOptions,
    /// Another build may measure other figures.
    program_hash: String,
    /// Of the model's files.
    model_hash: String,
    model_name: String,
    input: InputSpec,
    settings: Vec<Setting>,
    load: Box<dyn Fn() -> Result<Model> + Sync + 'a>,
}

impl<'a> Planner<'a> {
    pub fn new(args: &'a Args, data: &'a Data, options: &'a EvaluateOptions) -> Result<Self> {
        let (manifest, onnx) = args.model.files()?;
        let json = serde_json::to_string(&manifest).map_err(|e| files::file_error(Path::new("model.json"), e))?;
        let model = Model::of(manifest, &onnx)?;
        let default_geometry = model.manifest().input.geometry;
        let geometries = if args.geometries.is_empty() { vec![default_geometry] } else { args.geometries.clone() };
        let settings = geometries.into_iter().map(|geometry| Setting { geometry, random_layers: 0 }).collect();
        let (model_hash, model_name) = (hash(&[json.as_bytes(), &onnx]), model.manifest().name.clone());
        let program = std::env::current_exe().map_err(|e| files::file_error(Path::new("famlens"), e))?;
        let program_hash = hash(&[&files::read(&program)?]);
        let (input, model) = (model.manifest().input.clone(), args.model.clone());
        let load = Box::new(move || model.load());
        Ok(Self { args, data, options, program_hash, model_hash, model_name, input, settings, load })
    }

    pub fn settings(&self) -> impl Iterator<Item = Setting> {
        self.settings.iter().copied()
    }

    pub fn model(&self) -> Result<Model> {
        (self.load)()
    }

    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// What counts as the object under each variant, in words.
    pub fn thresholds(&self) -> String {
        let own = |variant: &Variant| self.options.threshold.unwrap_or_else(|| variant.options.threshold()).in_words();
        let mut words: Vec<(String, Vec<&str>)> = Vec::new();
        for variant in &self.options.variants {
            match words.iter_mut().find(|(threshold, _)| *threshold == own(variant)) {
                Some((_, names)) => names.push(&variant.name),
                None => words.push((own(variant), vec![&variant.name])),
            }
        }
        match words.as_slice() {
            [(threshold, _)] => threshold.clone(),
            _ => words.iter().map(|(t, names)| format!("{t} ({})", names.join(", "))).collect::<Vec<_>>().join(" or "),
        }
    }

    pub fn shared(&self) -> Plan<'_> {
        let Args { engine, shots, against, seed, .. } = *self.args;
        Plan { data: self.data, options: self.options, model: &*self.load, engine, shots, against, seed }
    }

    /// What is still to be measured of photos and mosaics.
    pub fn jobs(&self, store: &Store) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for &setting in &self.settings {
            for item in 0..self.data.items.len() {
                let missing = |key: String| store.get(&key).is_none().then_some(key);
                let boxed = !self.data.items[item].boxes.is_empty();
                let mut variants = Vec::new();
                if boxed || !self.args.only_boxed {
                    variants = self.missing(store, |variant| self.photo_key(setting, item, variant));
                }
                let floors = missing(self.floors_key(setting, item)).filter(|_| boxed);
                let embedding = missing(self.embedding_key(setting, item));
                if !variants.is_empty() || floors.is_some() || embedding.is_some() {
                    jobs.push(Job { setting, kind: Kind::Photo { item, floors, embedding }, variants });
                }
            }
            for (side, index, episode) in self.mosaics() {
                let variants = self.missing(store, |variant| self.mosaic_key(setting, side, &episode, variant));
                if !variants.is_empty() {
                    jobs.push(Job { setting, kind: Kind::Mosaic { index, side, episode }, variants });
                }
            }
        }
        Ok(jobs)
    }

    /// What is still to be compared with randomised networks.
    pub fn random_jobs(&self, store: &Store) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for setting in self.random_settings() {
            let trained = Setting { random_layers: 0, ..setting };
            for item in 0..self.data.items.len() {
                let missing = self.missing(store, |variant| self.photo_key(setting, item, variant));
                let mut variants = Vec::new();
                let mut reference = Vec::new();
                for (variant, key) in missing {
                    let trained = store.get(&self.photo_key(trained, item, variant));
                    if let Some((_, _, map)) = trained.and_then(|entry| entry.map.as_ref()) {
                        variants.push((variant, key));
                        reference.push(map.clone());
                    }
                }
                if !variants.is_empty() {
                    jobs.push(Job { setting, kind: Kind::Random { item, reference }, variants });
                }
            }
        }
        Ok(jobs)
    }

    /// The rows of everything that was measured, in the order of tables.
    pub fn rows(&self, store: &Store) -> Vec<Row> {
        let mut keys = Vec::new();
        let variants = 0..self.options.variants.len();
        for &setting in &self.settings {
            for variant in variants.clone() {
                keys.extend((0..self.data.items.len()).map(|item| self.photo_key(setting, item, variant)));
            }
            keys.extend((0..self.data.items.len()).map(|item| self.floors_key(setting, item)));
            for variant in variants.clone() {
                keys.extend(self.mosaics().map(|(side, _, episode)| self.mosaic_key(setting, side, &episode, variant)));
            }
        }
        for setting in self.random_settings() {
            for variant in variants.clone() {
                keys.extend((0..self.data.items.len()).map(|item| self.photo_key(setting, item, variant)));
            }
        }
        keys.iter().filter_map(|key| store.get(key)).flat_map(|entry| entry.rows.iter().cloned()).collect()
    }

    /// Each photo's embedding, where it could be read.
    pub fn embeddings<'s>(&self, setting: Setting, store: &'s Store) -> Vec<Option<&'s [f32]>> {
        let of = |item| store.get(&self.embedding_key(setting, item))?.embedding.as_deref();
        (0..self.data.items.len()).map(of).collect()
    }

    /// What was stored of a photo under the first setting.
    pub fn entry<'s>(&self, item: usize, variant: usize, store: &'s Store) -> Option<(Setting, &'s Entry)> {
        let setting = *self.settings.first()?;
        Some((setting, store.get(&self.photo_key(setting, item, variant))?))
    }

    pub fn variant_names(&self) -> impl Iterator<Item = &str> {
        self.options.variants.iter().map(|variant| variant.name.as_str())
    }

    /// A stored map at its place on its photo, which has that size.
    pub fn map(&self, setting: Setting, photo: (u32, u32), entry: &Entry) -> Result<Option<Map>> {
        let Some((width, height, data)) = entry.map.clone() else { return Ok(None) };
        let input = InputSpec { geometry: setting.geometry, ..self.input.clone() };
        let geometry = input.fit(input.size, photo)?;
        Ok(Some(Map { data, width, height, geometry }))
    }

    fn random_settings(&self) -> impl Iterator<Item = Setting> {
        let of = |setting: Setting| {
            self.args.randomise.iter().map(move |&random_layers| Setting { random_layers, ..setting })
        };
        self.settings().flat_map(of)
    }

    /// Side, index and episode of every mosaic.
    fn mosaics(&self) -> impl Iterator<Item = (usize, usize, Episode)> {
        let drawn = move |side: usize, index: usize| self.data.protocol.mosaic(index, side * side, self.args.shots);
        let of =
            move |side: usize| (0..self.args.mosaics).filter_map(move |index| Some((side, index, drawn(side, index)?)));
        [2, 3].into_iter().flat_map(of)
    }

    fn missing(&self, store: &Store, key: impl Fn(usize) -> String) -> Vec<(usize, String)> {
        let keys = (0..self.options.variants.len()).map(|variant| (variant, key(variant)));
        keys.filter(|(_, key)| store.get(key).is_none()).collect()
    }

    fn embedding_key(&self, setting: Setting, item: usize) -> String {
        self.key(setting, &json!(["embedding", self.data.items[item].content]))
    }

    fn floors_key(&self, setting: Setting, item: usize) -> String {
        let known = &self.data.items[item];
        self.key(
            setting,
            &json!([
                "floors",
                known.name,
                known.content,
                known.boxes,
                known.size,
                self.mask(item),
                self.options.threshold
            ]),
        )
    }

    fn photo_key(&self, setting: Setting, item: usize, variant: usize) -> String {
        let (known, chosen) = (&self.data.items[item], &self.options.variants[variant]);
        let size = EpisodeSize { shots: self.args.shots, against: self.args.against };
        let supports = self.data.protocol.episode(item, size).map(|episode| self.supports(&episode));
        let first = variant == 0;
        let what = json!([
            "photo",
            known.name,
            known.content,
            known.boxes,
            known.size,
            self.mask(item),
            chosen,
            supports,
            self.options.threshold,
            self.options.faithfulness,
            first
        ]);
        self.key(setting, &what)
    }

    fn mosaic_key(&self, setting: Setting, side: usize, episode: &Episode, variant: usize) -> String {
        let tiles: Vec<&str> = episode.queries.iter().map(|&item| self.data.items[item].content.as_str()).collect();
        self.key(setting, &json!(["mosaic", side, tiles, self.supports(episode), self.options.variants[variant]]))
    }

    /// The classes of an episode, each with the contents of its supports.
    fn supports(&self, episode: &Episode) -> serde_json::Value {
        let class = |(&class, supports): (&usize, &Vec<usize>)| {
            let contents: Vec<&str> = supports.iter().map(|&item| self.data.items[item].content.as_str()).collect();
            json!([self.data.classes[class], contents])
        };
        episode.classes.iter().zip(&episode.supports).map(class).collect()
    }

    fn mask(&self, item: usize) -> Option<String> {
        let bytes = files::read_photo(self.data.items[item].mask.as_deref()?).ok()?;
        Some(hash(&[&bytes]))
    }

    /// Everything that figures depend on beside the photo.
    fn key(&self, setting: Setting, what: &serde_json::Value) -> String {
        let engine = format!("{:?}", self.args.engine);
        let setting = json!([1, self.program_hash, self.model_hash, engine, setting.name(), self.args.seed, what]);
        hash(&[setting.to_string().as_bytes()])
    }
}
