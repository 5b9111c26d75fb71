//! Timing of the active engine: the figure a benchmark compares, measured where it runs.

use serde::Serialize;
use web_time::Instant;

use super::Evaluator;
use crate::backbone::{EngineKind, ImageId, milliseconds, pooling_alone};
use crate::engine::{CellReadout, Gate, Mix};
use crate::error::Result;
use crate::explain::ExplainOptions;
use crate::fam::{CellForm, ClassCells};
use crate::tensor::Tensor;

/// Milliseconds of warm runs on the active engine, one value a run.
#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    /// The engine that ran.
    pub engine: EngineKind,
    /// Forward passes that end at the embedding.
    pub forward: Vec<f64>,
    /// Forward passes with FAM of three classes behind them.
    pub explain: Vec<f64>,
    /// FAM of three classes alone, on activation maps that are already there.
    pub fam: Vec<f64>,
    /// Forward passes with discriminative FAM of three classes in the same submission, on the model's own input size;
    /// none if the model has no statistics.
    pub discriminative: Vec<f64>,
    /// The same on the input size of the class-specific forms.
    pub discriminative_large: Vec<f64>,
}

/// More runs tell nothing new.
const MAX_RUNS: usize = 1000;

impl Evaluator<'_> {
    /// As [`crate::session::Session::bench`].
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown image; the engine's errors.
    pub async fn bench(&mut self, image: ImageId, runs: usize) -> Result<Benchmark> {
        let runs = runs.min(MAX_RUNS);
        let manifest = self.backbone.model().manifest();
        let (target, pooling) = ([manifest.target.clone()], manifest.pooling());
        let embedding = self.backbone.features(image, &target, pooling).await?.swap_remove(0);
        let plain = pooling_alone(pooling);
        let fam = Mix { directions: vec![embedding.to_vec(); 3], gate: Gate::One, ..Mix::default() };
        let mut result = Benchmark {
            engine: self.backbone.engine(),
            forward: Vec::with_capacity(runs),
            explain: Vec::with_capacity(runs),
            fam: Vec::with_capacity(runs),
            discriminative: Vec::new(),
            discriminative_large: Vec::new(),
        };
        let known = self.backbone.image(image)?;
        let (size, input) = (known.geometry.input_size(), known.input.clone());
        let cells = match self.given.statistics(self.backbone.model()) {
            Some(_) => Some(self.timed_cells(image).await?),
            None => None,
        };
        // The first round is not counted: not everything is warm.
        for run in 0..=runs {
            let keep = |times: &mut Vec<f64>, started| {
                if run > 0 {
                    times.push(milliseconds(started));
                }
            };
            let program = self.backbone.program(size, &target)?;
            let started = Instant::now();
            let output = program.run(&input, &plain).await?;
            keep(&mut result.forward, started);
            let Some(features) = output.features.first() else { return Ok(result) };
            let again = Instant::now();
            program.mix(features, &fam).await?;
            keep(&mut result.fam, again);
            keep(&mut result.explain, started);
            let Some(cells) = &cells else { continue };
            for ((size, input), times) in
                cells.inputs.iter().zip([&mut result.discriminative, &mut result.discriminative_large])
            {
                let program = self.backbone.program(*size, &cells.layers)?;
                let started = Instant::now();
                program.run_cells(input, &cells.readout).await?;
                keep(times, started);
            }
        }
        Ok(result)
    }

    /// The readout of three classes, the layers it reads, and the image at the model's own input size and, where there
    /// is one, at that of the class-specific forms.
    async fn timed_cells(&mut self, id: ImageId) -> Result<TimedCells> {
        let pooled = self.backbone.pooled_cells(id).await?;
        let classes = vec![ClassCells::new(&[&pooled])?; 3];
        let specific = self.given.specific(self.backbone.model(), &ExplainOptions::default())?;
        let readout = specific.readout(CellForm::Discriminative, &classes)?;
        let image = self.backbone.image(id)?;
        let mut inputs = vec![(image.geometry.input_size(), image.input.clone())];
        if image.has_cell_input() {
            inputs.push((image.cell_geometry().input_size(), self.backbone.cell_tensor(id)?));
        }
        Ok(TimedCells { readout, layers: self.backbone.model().cell_look().layers, inputs })
    }
}

/// What a timed pass of the discriminative form needs.
struct TimedCells {
    readout: CellReadout,
    layers: Vec<String>,
    /// Inputs with their sizes.
    inputs: Vec<((u32, u32), Tensor)>,
}
