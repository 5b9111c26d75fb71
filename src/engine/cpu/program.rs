//! A compiled network: steps over one arena of floats.

use std::ops::Range;
use std::sync::Arc;

use super::layout::Order;
use super::step::{Step, Tools, Value};
use super::weights::WeightStore;
use super::whitener::Whitener;
use crate::engine::cells::{self, cells_host};
use crate::engine::mix::{channels_height_width, mix_host, validate};
use crate::engine::{CellMaps, CellOutput, CellReadout, Features, LocalFuture, Mix, Mixed, Output, Program, Store};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

/// A line of the cache: the arena starts and every value in it starts on one.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; Line::FLOATS]);

impl Line {
    pub(super) const FLOATS: usize = 16;
    pub(super) const ZERO: Self = Self([0.0; Self::FLOATS]);
}

/// See the [module](self).
pub(super) struct CpuProgram {
    pub steps: Vec<Step>,
    pub arena: Vec<Line>,
    pub tools: Tools,
    pub store: WeightStore,
    pub input: (Shape, Range<usize>),
    pub targets: Vec<Value>,
    pub target_shapes: Vec<Shape>,
    pub whitener: Whitener,
}

impl CpuProgram {
    /// Puts an image into the arena.
    pub(super) fn load(&mut self, input: &Tensor) -> Result<()> {
        let (shape, range) = &self.input;
        if input.shape() != shape {
            let reason = format!("the program was compiled for {shape}, and the image is {}", input.shape());
            return Err(Error::argument("input", reason));
        }
        let arena: &mut [f32] = bytemuck::cast_slice_mut(&mut self.arena);
        Order::ChannelsLast.store(shape, input.data(), &mut arena[range.clone()]);
        Ok(())
    }

    /// Runs one step.
    pub(super) fn step(&mut self, i: usize) -> Result<()> {
        let arena = bytemuck::cast_slice_mut(&mut self.arena);
        self.steps[i].run(arena, &mut self.tools)
    }

    fn forward(&mut self, input: &Tensor) -> Result<Vec<Arc<Tensor>>> {
        self.load(input)?;
        (0..self.steps.len()).try_for_each(|i| self.step(i))?;
        let arena: &[f32] = bytemuck::cast_slice(&self.arena);
        let target = |value: &Value| {
            let mut out = Tensor::zeros(value.shape.clone());
            value.order.load(&value.shape, value.data(arena, &[], 0), out.data_mut());
            Arc::new(out)
        };
        Ok(self.targets.iter().map(target).collect())
    }
}

impl Program for CpuProgram {
    fn target_shapes(&self) -> &[Shape] {
        &self.target_shapes
    }

    fn bytes(&self) -> usize {
        size_of_val(self.arena.as_slice())
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
            let (isa, store) = (self.tools.isa, &self.store);
            let cells = cells_host(&planes, readout, |factor, rows| self.whitener.energy(isa, store, factor, rows))?;
            let features = |t: Arc<Tensor>| Features { shape: t.shape().clone(), store: Store::Host(t) };
            Ok(CellOutput { features: targets.into_iter().map(features).collect(), cells })
        })
    }

    fn cells<'a>(
        &'a mut self,
        features: &'a [Features],
        readout: &'a CellReadout,
    ) -> LocalFuture<'a, Result<CellMaps>> {
        Box::pin(async move {
            let (isa, store) = (self.tools.isa, &self.store);
            cells::on_host(features, readout, |factor, rows| self.whitener.energy(isa, store, factor, rows))
        })
    }

    fn read<'a>(&'a mut self, features: &'a Features) -> LocalFuture<'a, Result<Tensor>> {
        Box::pin(async move { features.on_host().cloned() })
    }
}
