//! Explanations by the class-specific forms, and the statistics they rest on.

use std::sync::Arc;

use web_time::Instant;

use super::explain::CellLooks;
use super::{
    Class, ClassScore, EngineKind, Entry, ExplainOptions, ExplainedMap, Explanation, Finer, ImageId, Map, Session,
    Timings, milliseconds,
};
use crate::engine::{CellMaps, CellReadout, Features, Pooled};
use crate::error::{Error, Result};
use crate::fam::{Accumulator, CellForm, ClassCells, Grid, Rule, Specific, Statistics};
use crate::image::{Geometry, Photo, Rect, denormalise, normalise, resize, scale};
use crate::tensor::Tensor;

/// A second look at an image, for forms whose input has another size than the model's.
///
/// The session keeps it as 8-bit pixels (307 kB at 320 x 320, beside the 602 kB of the model's own input), made when the image is added, because
/// the photo itself is not kept. Models without a class-specific input of their own keep none.
pub(super) struct CellInput {
    pixels: Photo,
    geometry: Geometry,
}

/// Activation maps of the class-specific layers of one image, on one engine, and their pooled cells.
#[derive(Clone)]
pub(super) struct CellsKept {
    pub(super) engine: EngineKind,
    features: Arc<[Features]>,
    pooled: Arc<[Pooled]>,
}

/// What the class-specific forms rest on.
#[derive(Default)]
pub(super) struct CellState {
    statistics: Option<Arc<Statistics>>,
    ready: Option<Specific>,
}

/// See [`Session::timed_cells`].
pub(super) struct TimedCells {
    pub(super) readout: CellReadout,
    pub(super) layers: Vec<String>,
    pub(super) inputs: Vec<((u32, u32), Tensor)>,
}

/// What the forms look at: layers and input size.
pub(super) struct Look {
    pub(super) layers: Vec<String>,
    size: usize,
}

impl Session {
    /// The statistics that the class-specific forms use, if there are any.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.cells.statistics.as_deref().or(self.model.statistics())
    }

    /// Replaces the statistics that came with the model, such as by those of the user's own images; `None` goes back to the model's.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are of another layer or input size than this model's class-specific forms.
    pub fn set_statistics(&mut self, statistics: Option<Statistics>) -> Result<()> {
        if let Some(statistics) = &statistics {
            self.model.check_statistics(statistics)?;
        }
        self.cells = CellState { statistics: statistics.map(Arc::new), ready: None };
        Ok(())
    }

    /// Adds the cells of an image of the session to `sums`. Runs the network on it if that has not been done; nothing more is kept.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or sums over other layers; the engine's errors.
    pub async fn count_cells(&mut self, id: ImageId, sums: &mut Accumulator) -> Result<()> {
        self.entry(id)?;
        let look = self.cell_look();
        let (block, pooled) = self.with_recovery(async |s: &mut Self| s.cells_on_host(id).await).await?;
        let head = look.layers.get(1).zip(pooled.get(1)).map(|(name, pooled)| (name.as_str(), pooled.mean.as_slice()));
        sums.add(&block, head)
    }

    /// The statistics of counted images, for [`Session::set_statistics`] and for a file.
    ///
    /// # Errors
    /// As [`Accumulator::finish`].
    pub fn finish_statistics(&self, sums: &Accumulator, source: &str) -> Result<Statistics> {
        let look = self.cell_look();
        let size = look.size as u32;
        let mut statistics = sums.finish(&look.layers[0], (size, size), source)?;
        statistics.set_model_sha256(&self.model.manifest().sha256);
        Ok(statistics)
    }

    /// Runs whatever an explanation with these options needs of one image, so that a caller can show progress image by image. Gives the
    /// milliseconds it took; `None` if everything was there.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; the engine's errors.
    pub async fn prepare(&mut self, id: ImageId, options: &ExplainOptions) -> Result<Option<f64>> {
        if options.form.cells().is_none() {
            let embedding = self.embed_as(id, options).await?;
            return Ok((!embedding.cached).then_some(embedding.milliseconds));
        }
        let started = Instant::now();
        if self.entry(id)?.cells_kept.is_some() {
            return Ok(None);
        }
        self.with_recovery(async |s: &mut Self| s.kept_cells(id).await).await?;
        Ok(Some(milliseconds(started)))
    }

    /// How an image lies in the input that gave a map of that many cells: that of the class-specific forms, or the model's.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn geometry_of_map(&self, id: ImageId, width: usize, height: usize) -> Result<&Geometry> {
        let entry = self.entry(id)?;
        let stride = self.model.manifest().input.stride.max(1);
        // A finer map has so many cells in place of each.
        let fits = |g: &&Geometry| {
            let (w, h) = g.input_size();
            let (w, h) = ((w as usize / stride).max(1), (h as usize / stride).max(1));
            width.is_multiple_of(w) && (h * (width / w)) == height
        };
        let second = entry.cell_input.as_ref().map(|input| &input.geometry).filter(fits);
        Ok(second.filter(|_| !fits(&&entry.geometry)).unwrap_or(&entry.geometry))
    }

    /// What the class-specific forms look at in this model.
    pub(super) fn cell_look(&self) -> Look {
        let manifest = self.model.manifest();
        match &manifest.class_specific {
            Some(spec) => Look {
                layers: std::iter::once(spec.layer.clone()).chain(spec.head.clone()).collect(),
                size: spec.size.unwrap_or(manifest.input.size),
            },
            // Without a description: the target layer alone, at the model's own size.
            None => Look { layers: vec![manifest.target.clone()], size: manifest.input.size },
        }
    }

    /// The second input of a photo, if the model has one.
    pub(super) fn cell_input(&self, photo: &Photo) -> Result<Option<CellInput>> {
        let size = self.cell_look().size;
        if size == self.model.manifest().input.size {
            return Ok(None);
        }
        let geometry = self.model.geometry_of_size(size, photo.width(), photo.height())?;
        Ok(Some(CellInput { pixels: resize(photo, &geometry)?, geometry }))
    }

    /// The second input of an image of which only a changed first input is there: that input, scaled.
    pub(super) fn cell_input_like(&self, like: ImageId, input: &Tensor) -> Result<Option<CellInput>> {
        let entry = self.entry(like)?;
        let Some(second) = &entry.cell_input else { return Ok(None) };
        let pixels = denormalise(input, &entry.geometry, &self.model.manifest().normalization())?;
        let whole = Rect::new(0.0, 0.0, pixels.width().into(), pixels.height().into());
        let (width, height) = second.pixels.size();
        Ok(Some(CellInput { pixels: scale(&pixels, &whole, width, height)?, geometry: second.geometry }))
    }

    /// An image's kept pixels at the largest size there is, padding left out: what a mosaic is made of.
    pub(super) fn kept_pixels(&self, id: ImageId) -> Result<Photo> {
        let entry = self.entry(id)?;
        match &entry.cell_input {
            Some(input) => Ok(input.pixels.clone()),
            None => denormalise(&entry.input, &entry.geometry, &self.model.manifest().normalization()),
        }
    }

    /// One forward pass over the class-specific layers; what it found is kept.
    async fn run_cells(&mut self, id: ImageId, readout: &CellReadout) -> Result<CellMaps> {
        let (look, engine) = (self.cell_look(), self.engines.active());
        let (input, size) = (self.cell_tensor(id)?, self.cell_size(self.entry(id)?));
        let program = self.engines.program_of(engine, &self.model, size, look.layers)?;
        let output = program.run_cells(&input, readout).await?;
        let pooled = output.cells.pooled.as_slice().into();
        let entry = self.images.get_mut(&id).ok_or_else(|| super::unknown(id))?;
        entry.cells_kept = Some(CellsKept { engine, features: output.features.into(), pooled });
        Ok(output.cells)
    }

    async fn kept_cells(&mut self, id: ImageId) -> Result<CellsKept> {
        if self.entry(id)?.cells_kept.is_none() {
            self.run_cells(id, &CellReadout::default()).await?;
        }
        let kept = self.entry(id)?.cells_kept.clone();
        kept.ok_or_else(|| Error::Engine {
            engine: self.engines.active().name(),
            reason: "it returned no cells".into(),
        })
    }

    /// An image as the class-specific layers see it.
    pub(super) fn cell_tensor(&self, id: ImageId) -> Result<Tensor> {
        let entry = self.entry(id)?;
        match &entry.cell_input {
            Some(second) => normalise(&second.pixels, &second.geometry, &self.model.manifest().normalization()),
            None => Ok(entry.input.clone()),
        }
    }

    fn cell_size(&self, entry: &Entry) -> (u32, u32) {
        entry.cell_input.as_ref().map_or(entry.geometry.input_size(), |input| input.geometry.input_size())
    }

    /// The first layer's activation maps in host memory and the pooled cells of all.
    async fn cells_on_host(&mut self, id: ImageId) -> Result<(Tensor, Arc<[Pooled]>)> {
        let known = self.entry(id)?.cells_kept.is_some();
        let kept = self.kept_cells(id).await?;
        let (look, size) = (self.cell_look(), self.cell_size(self.entry(id)?));
        let program = self.engines.program_of(kept.engine, &self.model, size, look.layers.clone())?;
        let first = kept.features.first().ok_or_else(|| super::not_spatial(&look.layers[0]))?;
        let block = program.read(first).await?;
        if !known && let Some(entry) = self.images.get_mut(&id) {
            entry.cells_kept = None;
        }
        Ok((block, kept.pooled))
    }

    /// The whitening for these options: made once for a shrinkage.
    fn specific(&mut self, options: &ExplainOptions) -> Result<Specific> {
        let rule = Rule {
            border: if options.border_term { Rule::BORDER } else { 0.0 },
            shrinkage: options.cell_shrinkage.into(),
            offset: options.offset,
            sharpness: options.sharpness,
        };
        rule.check()?;
        if let Some(ready) = self.cells.ready.take().filter(|ready| ready.rule().shrinkage == rule.shrinkage) {
            self.cells.ready = Some(ready.with_rule(rule)?);
        } else {
            let statistics = self.statistics().ok_or_else(|| {
                let reason = "this form needs statistics of unlabelled images, and the model came without; make them with \
                              `famlens statistics`, or from your own images with `lens.adaptStatistics`";
                Error::argument("form", reason)
            })?;
            self.cells.ready = Some(Specific::new(statistics, rule)?);
        }
        self.cells.ready.clone().ok_or_else(|| Error::argument("form", "there are no statistics"))
    }

    /// [`Session::explain`] under a class-specific form.
    pub(super) async fn explain_cells(
        &mut self,
        query: ImageId,
        classes: &[Class],
        form: CellForm,
        options: &ExplainOptions,
    ) -> Result<Explanation> {
        let specific = self.specific(options)?;
        let (mut embedded, mut timings) = (0, Timings::default());
        let started = Instant::now();
        let mut cells = Vec::with_capacity(classes.len());
        for class in classes {
            let mut supports = Vec::with_capacity(class.supports.len());
            for &id in &class.supports {
                embedded += usize::from(self.entry(id)?.cells_kept.is_none());
                supports.push(self.kept_cells(id).await?.pooled);
            }
            cells.push(ClassCells::new(&supports.iter().map(AsRef::as_ref).collect::<Vec<_>>())?);
        }
        if embedded > 0 {
            timings.supports = milliseconds(started);
        }
        let readout = specific.readout(form, &cells)?;

        let started = Instant::now();
        let (look, size) = (self.cell_look(), self.cell_size(self.entry(query)?));
        let found = match self.entry(query)?.cells_kept.clone() {
            Some(kept) => {
                let program = self.engines.program_of(kept.engine, &self.model, size, look.layers.clone())?;
                let found = program.cells(&kept.features, &readout).await?;
                timings.mix = milliseconds(started);
                found
            }
            None => {
                embedded += 1;
                let found = self.run_cells(query, &readout).await?;
                timings.forward = milliseconds(started);
                found
            }
        };
        let mut decision = specific.decide(form, &cells, &found)?;
        let entry = self.entry(query)?;
        let geometry = entry.cell_input.as_ref().map_or(entry.geometry, |input| input.geometry);
        let active = self.engines.active();
        let program = self.engines.program_of(active, &self.model, size, look.layers.clone())?;
        let shape = program.target_shapes().first().and_then(crate::tensor::Shape::chw);
        let (_, height, width) = shape.ok_or_else(|| super::not_spatial(&look.layers[0]))?;
        let grid = |values: &[f32]| Grid { width, height, data: values.to_vec() };
        let mut grids: Vec<Grid> = found.maps.chunks((height * width).max(1)).map(grid).collect();
        let mut passes = 1;
        if options.finer.shifts > 1 {
            let started = Instant::now();
            let looks = CellLooks { query, n: options.finer.shifts, readout: &readout };
            let decide = |found: &CellMaps| specific.decide(form, &cells, found);
            (grids, decision, passes) = self.finer_cells(looks, (&found, &grids, decision), decide).await?;
            timings.finer = milliseconds(started);
        }
        let notes = self.cell_notes(form, options, &grids, classes);
        let place = |Grid { width, height, data }: Grid| ExplainedMap::of(Map { data, width, height, geometry });
        let maps = grids.into_iter().map(place);
        let score = |(k, class): (usize, &Class)| {
            let similarity = decision.scores[k];
            let carried: f64 = decision.contributions[k].iter().map(|&w| f64::from(w)).sum();
            ClassScore { name: class.name.clone(), similarity, constant: 0.0, residual: similarity - carried }
        };
        Ok(Explanation {
            form: options.form,
            score: form.score_name().to_owned(),
            notes,
            classes: classes.iter().enumerate().map(score).collect(),
            predicted: decision.predicted,
            maps: maps.collect::<Result<_>>()?,
            weights: decision.contributions.clone(),
            contributions: decision.contributions,
            target: look.layers[0].clone(),
            layers: Vec::new(),
            passes,
            timings,
            embedded,
            engine: active,
        })
    }

    /// What a timed pass of the discriminative form needs: the readout of three classes, the layers it reads, and the image at the model's
    /// own input size and, where there is one, at that of these forms.
    pub(super) async fn timed_cells(&mut self, image: ImageId) -> Result<TimedCells> {
        let form = CellForm::Discriminative;
        let pooled = self.kept_cells(image).await?.pooled;
        let classes = vec![ClassCells::new(&[&pooled])?; 3];
        let readout = self.specific(&ExplainOptions::default())?.readout(form, &classes)?;
        let entry = self.entry(image)?;
        let mut inputs = vec![(entry.geometry.input_size(), entry.input.clone())];
        if entry.cell_input.is_some() {
            inputs.push((self.cell_size(entry), self.cell_tensor(image)?));
        }
        Ok(TimedCells { readout, layers: self.cell_look().layers, inputs })
    }

    fn cell_notes(&self, form: CellForm, options: &ExplainOptions, maps: &[Grid], classes: &[Class]) -> Vec<String> {
        let mut notes = Vec::new();
        let plain = ExplainOptions {
            form: options.form,
            border_term: options.border_term,
            cell_shrinkage: options.cell_shrinkage,
            offset: options.offset,
            sharpness: options.sharpness,
            finer: Finer { shifts: options.finer.shifts, ..Finer::default() },
            ..ExplainOptions::default()
        };
        if *options != plain {
            let text = "This form compares cells at layers of its own, so similarity, pooling, target layer, mirrored and scaled looks and what \
                        is done to weights and map do not apply to it.";
            notes.push(text.to_owned());
        }
        if form == CellForm::Discriminative {
            let text = "The score is the mean of the map; the channels' contributions sum to the whitened layer's part of the evidence, and \
                        the residual is what offset, class share and the second layer do to it.";
            notes.push(text.to_owned());
        }
        for (class, map) in classes.iter().zip(maps) {
            if map.data.iter().all(|&v| v <= 0.0) {
                let name = &class.name;
                notes.push(format!(
                    "The map of {name:?} is zero everywhere: no cell has more evidence for it than the offset."
                ));
            }
        }
        if let Some(origin) = self.statistics().map(Statistics::origin)
            && origin.images < 30
        {
            let n = origin.images;
            notes.push(format!("The statistics rest on {n} images only; with a hundred they would be steadier."));
        }
        notes
    }
}
