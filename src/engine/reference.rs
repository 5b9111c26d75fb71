//! The oracle of the tests: every op as its definition says, in plain loops, with sums in double precision.
//!
//! It is written for the reader and not for speed. `famlens compare` and the op problems compare the other engines with
//! it.

use std::sync::Arc;

use super::cells::{self, cells_host, energy_reference};
use super::mix::{channels_height_width, mix_host, validate};
use super::plan::Plan;
use super::{CellMaps, CellOutput, CellReadout, Engine, Features, LocalFuture, Mix, Mixed, Output, Program, Store};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId, evaluate};
use crate::tensor::{Shape, Tensor};

/// The naive engine. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferenceEngine;

impl Engine for ReferenceEngine {
    fn describe(&self) -> String {
        "reference (plain loops)".into()
    }

    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>> {
        let plan = Plan::new(graph, targets)?;
        let constants = graph.values.iter().map(|v| v.constant.as_ref().map(|c| c.to_float())).collect();
        let target_shapes = targets.iter().map(|&t| graph.value(t).shape.clone()).collect();
        let input = graph.image_input()?;
        Ok(Box::new(ReferenceProgram { graph: graph.clone(), plan, input, constants, target_shapes }))
    }
}

struct ReferenceProgram {
    graph: Graph,
    plan: Plan,
    input: ValueId,
    /// The values that are known beforehand, int8 weights as floats.
    constants: Vec<Option<Arc<Tensor>>>,
    target_shapes: Vec<Shape>,
}

impl ReferenceProgram {
    fn forward(&self, input: &Tensor) -> Result<Vec<Arc<Tensor>>> {
        let expected = &self.graph.value(self.input).shape;
        if input.shape() != expected {
            let reason = format!("the program was compiled for {expected}, and the image is {}", input.shape());
            return Err(Error::argument("input", reason));
        }
        let mut values = self.constants.clone();
        values[self.input.0] = Some(Arc::new(input.clone()));
        for (node, done) in self.plan.nodes(&self.graph).zip(&self.plan.free_after) {
            let shape = &self.graph.value(node.output).shape;
            values[node.output.0] = Some(Arc::new(compute(node, &values, shape)?));
            done.iter().for_each(|v| values[v.0] = None);
        }
        let target = |t: &ValueId| {
            values[t.0].clone().ok_or_else(|| failed(format!("{:?} was not computed", self.graph.value(*t).name)))
        };
        self.plan.targets.iter().map(target).collect()
    }
}

impl Program for ReferenceProgram {
    fn target_shapes(&self) -> &[Shape] {
        &self.target_shapes
    }

    fn bytes(&self) -> usize {
        self.plan.most_bytes(&self.graph)
    }

    fn run<'a>(&'a mut self, input: &'a Tensor, mix: &'a Mix) -> LocalFuture<'a, Result<Output>> {
        Box::pin(async move {
            let (channels, ..) = channels_height_width(&self.target_shapes[0])?;
            validate(mix, channels)?;
            let targets = self.forward(input)?;
            let mixed = mix_host(&targets[0], mix)?;
            let features = |t: Arc<Tensor>| Features { shape: t.shape().clone(), store: Store::Host(t) };
            Ok(Output { features: targets.into_iter().map(features).collect(), mixed })
        })
    }

    fn mix<'a>(&'a mut self, features: &'a Features, mix: &'a Mix) -> LocalFuture<'a, Result<Mixed>> {
        Box::pin(async move { mix_host(features.on_host()?, mix) })
    }

    fn run_cells<'a>(&'a mut self, input: &'a Tensor, readout: &'a CellReadout) -> LocalFuture<'a, Result<CellOutput>> {
        Box::pin(async move {
            cells::validate(readout, &self.target_shapes)?;
            let targets = self.forward(input)?;
            let planes: Vec<&Tensor> = targets.iter().map(AsRef::as_ref).collect();
            let cells = cells_host(&planes, readout, energy_reference)?;
            let features = |t: Arc<Tensor>| Features { shape: t.shape().clone(), store: Store::Host(t) };
            Ok(CellOutput { features: targets.into_iter().map(features).collect(), cells })
        })
    }

    fn cells<'a>(
        &'a mut self,
        features: &'a [Features],
        readout: &'a CellReadout,
    ) -> LocalFuture<'a, Result<CellMaps>> {
        Box::pin(async move { cells::on_host(features, readout, energy_reference) })
    }

    fn read<'a>(&'a mut self, features: &'a Features) -> LocalFuture<'a, Result<Tensor>> {
        Box::pin(async move { features.on_host().cloned() })
    }
}

/// Computes one node whose inputs are all there.
///
/// # Errors
/// [`Error::Engine`] if an input is missing.
pub(super) fn compute(node: &Node, values: &[Option<Arc<Tensor>>], shape: &Shape) -> Result<Tensor> {
    let input = |i: usize| {
        let value = node.inputs.get(i).and_then(|v| values.get(v.0)?.as_deref());
        value.ok_or_else(|| failed(format!("input {i} of {:?} is missing", node.name)))
    };
    let inputs = (0..node.inputs.len()).map(input).collect::<Result<Vec<_>>>()?;
    Ok(evaluate::evaluate(&node.op, &inputs, shape))
}

fn failed(reason: String) -> Error {
    Error::Engine { engine: "reference", reason }
}
