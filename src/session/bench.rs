//! Timing of the active engine: the figure a benchmark compares, measured where it runs.

use serde::Serialize;
use web_time::Instant;

use super::{EngineKind, ImageId, Session, milliseconds};
use crate::engine::Mix;
use crate::error::Result;
use crate::fam::Form;

/// Milliseconds of warm runs on the active engine, one value a run.
#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    /// The engine that ran.
    pub engine: EngineKind,
    /// Forward passes that end at the embedding.
    pub forward: Vec<f64>,
    /// Forward passes with FAM of three classes in the same submission.
    pub explain: Vec<f64>,
    /// FAM of three classes alone, on activation maps that are already there.
    pub fam: Vec<f64>,
    /// Forward passes with discriminative FAM of three classes in the same submission, on the model's own input size; none if the model has
    /// no statistics.
    pub discriminative: Vec<f64>,
    /// The same on the input size of the class-specific forms.
    pub discriminative_large: Vec<f64>,
}

/// More runs tell nothing new.
const MAX_RUNS: usize = 1000;

impl Session {
    /// Runs the model `runs` times (at most 1000) without FAM, with it and with discriminative FAM, in turn, on an image of the session.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown image; the engine's errors.
    pub async fn bench(&mut self, image: ImageId, runs: usize) -> Result<Benchmark> {
        let runs = runs.min(MAX_RUNS);
        let target = self.model.manifest().target.clone();
        let known = self.embedded(image, &target).await?;
        let entry = self.entry(image)?;
        let plain = Mix { pooling: self.model.manifest().pooling(), ..Mix::default() };
        let fam = Form::Faithful.mix(&vec![known.embedding.to_vec(); 3], None)?;
        let mut result = Benchmark {
            engine: self.engines.active(),
            forward: Vec::with_capacity(runs),
            explain: Vec::with_capacity(runs),
            fam: Vec::with_capacity(runs),
            discriminative: Vec::new(),
            discriminative_large: Vec::new(),
        };
        let (size, input) = (entry.geometry.input_size(), entry.input.clone());
        let cells = match self.statistics() {
            Some(_) => Some(self.timed_cells(image).await?),
            None => None,
        };
        let program = self.engines.program(&self.model, size, &target)?;
        let warm = program.run(&input, &fam).await?;
        let Some(features) = warm.features.into_iter().next() else { return Ok(result) };
        let engine = self.engines.active();
        // The first round is not counted: not everything is warm.
        for run in 0..=runs {
            let keep = |times: &mut Vec<f64>, started| {
                if run > 0 {
                    times.push(milliseconds(started));
                }
            };
            let program = self.engines.program(&self.model, size, &target)?;
            let started = Instant::now();
            program.run(&input, &plain).await?;
            keep(&mut result.forward, started);
            let started = Instant::now();
            program.run(&input, &fam).await?;
            keep(&mut result.explain, started);
            let started = Instant::now();
            program.mix(&features, &fam).await?;
            keep(&mut result.fam, started);
            let Some(cells) = &cells else { continue };
            for ((size, input), times) in
                cells.inputs.iter().zip([&mut result.discriminative, &mut result.discriminative_large])
            {
                let program = self.engines.program_of(engine, &self.model, *size, cells.layers.clone())?;
                let started = Instant::now();
                program.run_cells(input, &cells.readout).await?;
                keep(times, started);
            }
        }
        Ok(result)
    }
}
