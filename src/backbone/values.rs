//! Several values of a network at once, read back to the host: compiled, run and read in one place.

use crate::engine::{Engine, Mix, Program};
use crate::error::Result;
use crate::graph::{Graph, ValueId};
use crate::tensor::Tensor;

/// A network compiled to give some of its values.
pub(crate) struct Values {
    program: Box<dyn Program>,
}

impl Values {
    /// `wanted` are values of the graph, none of them constant.
    ///
    /// # Errors
    /// Those of [`Engine::compile`].
    pub fn new(engine: &dyn Engine, graph: &Graph, wanted: &[ValueId]) -> Result<Self> {
        Ok(Self { program: engine.compile(graph, wanted)? })
    }

    /// The values for one input, in the order asked for and in their own shapes.
    ///
    /// # Errors
    /// Those of [`Program::run`].
    pub async fn read(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        let output = self.program.run(input, &Mix::default()).await?;
        let mut values = Vec::with_capacity(output.features.len());
        for features in &output.features {
            values.push(self.program.read(features).await?);
        }
        Ok(values)
    }
}
