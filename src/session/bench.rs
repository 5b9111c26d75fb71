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
    /// Runs the model `runs` times (at most 1000) with and without FAM, alternating, on an image of the session.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown image; the engine's errors.
    pub async fn bench(&mut self, image: ImageId, runs: usize) -> Result<Benchmark> {
        let runs = runs.min(MAX_RUNS);
        let target = self.model.manifest().target.clone();
        let known = self.embedded(image, &target).await?;
        let entry = self.images.get(&image).ok_or_else(|| super::unknown(image))?;
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
        let program = self.engines.program(&self.model, entry.geometry.input_size(), &target)?;
        let warm = program.run(&entry.input, &fam).await?;
        let Some(features) = warm.features.into_iter().next() else { return Ok(result) };
        let mut cells = [Vec::new(), Vec::new()];
        for _ in 0..runs {
            let started = Instant::now();
            program.run(&entry.input, &plain).await?;
            result.forward.push(milliseconds(started));
            let started = Instant::now();
            program.run(&entry.input, &fam).await?;
            result.explain.push(milliseconds(started));
            let started = Instant::now();
            program.mix(&features, &fam).await?;
            result.fam.push(milliseconds(started));
        }
        if self.statistics().is_some() {
            self.bench_cells(image, runs, &mut cells).await?;
        }
        [result.discriminative, result.discriminative_large] = cells;
        Ok(result)
    }
}
