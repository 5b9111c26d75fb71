//! Runs the model for the methods that need many passes.

use super::gather::{Gathered, pooled};
use super::{Passes, Progress, Watch};
use crate::backbone::{Backbone, pooling_alone};
use crate::engine::cpu::CpuEngine;
use crate::engine::{Engine, LocalFuture, Mix, Program};
use crate::error::{Error, Result};
use crate::methods::{Method, Scorer};
use crate::tensor::Tensor;

/// See the module.
pub(super) struct ModelScorer<'a> {
    backbone: &'a mut Backbone,
    gathered: &'a Gathered,
    /// What comes after the layer, where the layer does not decide itself.
    tail: Option<Box<dyn Program>>,
    mix: Mix,
    method: Method,
    watch: &'a mut dyn FnMut(Progress) -> LocalFuture<'static, bool>,
    pub passes: Passes,
}

impl<'a> ModelScorer<'a> {
    /// A scorer of what was gathered, for one method.
    ///
    /// # Errors
    /// Those of compiling what comes after the layer.
    pub fn new(backbone: &'a mut Backbone, gathered: &'a Gathered, method: Method, watch: Watch<'a>) -> Result<Self> {
        let tail = match &gathered.tail {
            Some(tail) if method == Method::AblationCam => {
                // One output only: the rest of a classifier's last layer is not computed.
                let selected = match gathered.logits.as_deref() {
                    Some(&[index]) => Some(tail.select(index)?),
                    _ => None,
                };
                let tail = selected.as_ref().unwrap_or(tail);
                Some(CpuEngine::new().compile(tail.graph(), &[tail.output()])?)
            }
            _ => None,
        };
        let mix = pooling_alone(gathered.pooling);
        Ok(Self { backbone, gathered, tail, mix, method, watch, passes: Passes::default() })
    }

    fn scores(&self, values: &[f32]) -> Result<Vec<f64>> {
        match (&self.gathered.logits, values) {
            (Some(_), &[one]) => Ok(vec![one.into()]),
            _ => self.gathered.objective.scores(values),
        }
    }
}

impl Scorer for ModelScorer<'_> {
    fn classes(&self) -> usize {
        self.gathered.classes.len()
    }

    fn score<'a>(&'a mut self, input: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>> {
        Box::pin(async move {
            self.passes.forward += 1;
            let (layers, mixes) = ([self.gathered.decides.clone()], std::slice::from_ref(&self.mix));
            // Each pass by itself: a lost GPU costs this one and not those before it.
            let pass = async |b: &mut Backbone| b.mix_input(input, &layers, mixes).await;
            let (_, mixed) = self.backbone.recovering(pass).await?.swap_remove(0);
            self.scores(&mixed.embedding)
        })
    }

    fn score_maps<'a>(&'a mut self, maps: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>> {
        Box::pin(async move {
            self.passes.tail += 1;
            let values = match &mut self.tail {
                Some(tail) => tail.run(maps, &self.mix).await?.mixed.embedding,
                None => pooled(maps, self.gathered.pooling)?,
            };
            self.scores(&values)
        })
    }

    fn report(&mut self, done: usize, total: usize) -> LocalFuture<'_, Result<()>> {
        let asked = (self.watch)(Progress { method: self.method, done, total });
        Box::pin(async move { if asked.await { Ok(()) } else { Err(Error::Cancelled) } })
    }
}
