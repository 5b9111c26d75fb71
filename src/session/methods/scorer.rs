//! Runs the model for the methods that need many passes.

use super::gather::{Gathered, pooled};
use super::{Passes, Progress, Watch};
use crate::engine::cpu::CpuEngine;
use crate::engine::{Engine, LocalFuture, Mix, Program};
use crate::error::{Error, Result};
use crate::methods::{Method, Scorer};
use crate::tensor::Tensor;

/// See the module.
pub(super) struct ModelScorer<'a> {
    program: &'a mut dyn Program,
    gathered: &'a Gathered,
    /// What comes after the layer, where the layer does not decide itself.
    tail: Option<Box<dyn Program>>,
    mix: Mix,
    method: Method,
    watch: &'a mut dyn FnMut(Progress) -> LocalFuture<'static, bool>,
    pub passes: Passes,
}

impl<'a> ModelScorer<'a> {
    /// `program` ends where the score is taken.
    pub fn new(program: &'a mut dyn Program, gathered: &'a Gathered, method: Method, watch: Watch<'a>) -> Result<Self> {
        let tail = match &gathered.tail {
            Some(tail) if method == Method::AblationCam => {
                // One output only: the rest of a classifier's last layer is not computed.
                let one = match gathered.logits.as_deref() {
                    Some(&[index]) => Some(tail.select(index)?),
                    _ => None,
                };
                let tail = one.as_ref().unwrap_or(tail);
                Some(CpuEngine::new().compile(tail.graph(), &[tail.output()])?)
            }
            _ => None,
        };
        let mix = Mix { pooling: gathered.pooling, ..Mix::default() };
        Ok(Self { program, gathered, tail, mix, method, watch, passes: Passes::default() })
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
            let values = self.program.run(input, &self.mix).await?.mixed.embedding;
            self.scores(&values)
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
