//! The candle engine: every op in candle's own terms, on the CPU, or on CUDA or Metal where candle is built for them.
//!
//! It shares no arithmetic with the other engines, and so is the second oracle of the tests beside
//! [`super::reference`]; and it runs models on a GPU through vendors' own libraries. It is not the fast engine of a
//! CPU. Native only: in a browser it would double the size of the page.

mod activations;
mod ops;
mod windows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use candle_core::{DType, Device, Tensor as Candle};

use super::cells::{self, cells_host, energy_reference};
use super::mix::{channels_height_width, mix_host, validate};
use super::plan::Plan;
use super::{CellMaps, CellOutput, CellReadout, Engine, Features, LocalFuture, Mix, Mixed, Output, Program, Store};
use crate::error::{Error, Result};
use crate::graph::{Constant, Graph, ValueId};
use crate::tensor::{Int8Tensor, Shape, Tensor};

/// The candle engine. See the [module](self).
#[derive(Clone, Debug)]
pub struct CandleEngine {
    device: Device,
    constants: Arc<Mutex<Constants>>,
}

impl CandleEngine {
    /// An engine on the first device that candle was built for and that works here: CUDA, Metal, else the CPU.
    pub fn new() -> Self {
        #[allow(unused_mut)]
        let mut devices: Vec<fn() -> candle_core::Result<Device>> = Vec::new();
        #[cfg(feature = "candle-cuda")]
        devices.push(|| Device::new_cuda(0));
        #[cfg(feature = "candle-metal")]
        devices.push(|| Device::new_metal(0));
        let device = devices.into_iter().find_map(|device| device().ok()).unwrap_or(Device::Cpu);
        Self { device, constants: Arc::default() }
    }
}

impl Default for CandleEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for CandleEngine {
    fn describe(&self) -> String {
        let device = match self.device {
            Device::Cpu => "CPU",
            Device::Cuda(_) => "CUDA",
            Device::Metal(_) => "Metal",
        };
        format!("candle ({device})")
    }

    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>> {
        let plan = Plan::new(graph, targets)?;
        let mut values = vec![None; graph.values.len()];
        let mut known = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
        known.sweep();
        for node in plan.nodes(graph) {
            for &id in &node.inputs {
                if let (Some(constant), None) = (&graph.value(id).constant, &values[id.0]) {
                    let tensor = known.get(constant, &self.device);
                    values[id.0] = Some(tensor.map_err(|e| failed(&node.name, node.op.name(), &e))?);
                }
            }
        }
        Ok(Box::new(CandleProgram {
            input: graph.image_input()?,
            target_shapes: targets.iter().map(|&t| graph.value(t).shape.clone()).collect(),
            graph: graph.clone(),
            device: self.device.clone(),
            plan,
            values,
        }))
    }
}

/// Constants on the device, held once for all graphs that share them.
#[derive(Default, Debug)]
struct Constants(HashMap<usize, (Origin, Candle)>);

/// What a constant was made from; while this is there, no other constant has its address.
#[derive(Debug)]
enum Origin {
    Float(Weak<Tensor>),
    Int8(Weak<Int8Tensor>),
}

impl Constants {
    fn get(&mut self, constant: &Constant, device: &Device) -> candle_core::Result<Candle> {
        let (address, origin) = match constant {
            Constant::Float(t) => (Arc::as_ptr(t) as usize, Origin::Float(Arc::downgrade(t))),
            Constant::Int8(t) => (Arc::as_ptr(t) as usize, Origin::Int8(Arc::downgrade(t))),
        };
        if let Some((_, tensor)) = self.0.get(&address) {
            return Ok(tensor.clone());
        }
        let tensor = to_candle(&constant.to_float(), device)?;
        self.0.insert(address, (origin, tensor.clone()));
        Ok(tensor)
    }

    /// Lets go of the constants of graphs that are gone.
    fn sweep(&mut self) {
        self.0.retain(|_, (origin, _)| match origin {
            Origin::Float(t) => t.strong_count() > 0,
            Origin::Int8(t) => t.strong_count() > 0,
        });
    }
}

struct CandleProgram {
    graph: Graph,
    device: Device,
    plan: Plan,
    input: ValueId,
    /// The constants.
    values: Vec<Option<Candle>>,
    target_shapes: Vec<Shape>,
}

impl CandleProgram {
    fn forward(&self, input: &Tensor) -> Result<Vec<Arc<Tensor>>> {
        let expected = &self.graph.value(self.input).shape;
        if input.shape() != expected {
            let reason = format!("the program was compiled for {expected}, and the image is {}", input.shape());
            return Err(Error::argument("input", reason));
        }
        let mut values = self.values.clone();
        values[self.input.0] = Some(to_candle(input, &self.device).map_err(|e| failed("input", "Input", &e))?);
        for (node, done) in self.plan.nodes(&self.graph).zip(&self.plan.free_after) {
            let shape = &self.graph.value(node.output).shape;
            let inputs: Vec<Candle> = node.inputs.iter().filter_map(|v| values[v.0].clone()).collect();
            let result = ops::apply(&node.op, &inputs, shape).map_err(|e| failed(&node.name, node.op.name(), &e))?;
            values[node.output.0] = Some(result);
            done.iter().for_each(|v| values[v.0] = None);
        }
        let target = |&t: &ValueId| {
            let value = self.graph.value(t);
            let missing = || Error::Engine { engine: "candle", reason: format!("{:?} was not computed", value.name) };
            let computed = values[t.0].as_ref().ok_or_else(missing)?;
            let data = computed.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
            Tensor::new(value.shape.clone(), data.map_err(|e| failed(&value.name, "target", &e))?).map(Arc::new)
        };
        self.plan.targets.iter().map(target).collect()
    }
}

impl Program for CandleProgram {
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

fn features(t: Arc<Tensor>) -> Features {
    Features { shape: t.shape().clone(), store: Store::Host(t) }
}

fn to_candle(tensor: &Tensor, device: &Device) -> candle_core::Result<Candle> {
    Candle::from_slice(tensor.data(), tensor.shape().dims(), device)?.to_dtype(DType::F32)
}

/// candle refused an op.
fn failed(node: &str, op: &str, error: &candle_core::Error) -> Error {
    let mut error = error;
    // Where in candle that was helps nobody who reads the message.
    while let candle_core::Error::WithBacktrace { inner, .. } = error {
        error = inner;
    }
    Error::node(node, op, format!("candle: {error}"))
}
