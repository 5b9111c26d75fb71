//! The GPU engine, on wgpu: natively on Vulkan, Metal or Direct3D 12, in a browser on WebGPU. The only room that names
//! wgpu.
//!
//! Activations lie in one arena: maps pixel by pixel with the channels innermost, in groups of four, everything else
//! row-major (`layout`, `assign`); weights go up once, int8 where the model has them, and are multiplied out in
//! registers (`weights`). A graph becomes a list of dispatches (`lower`, `conv`, `pool`, `reduce`, `products`,
//! `moves`), each within bounds (`dispatch`), over a few pipelines specialised by override constants (`pipelines`); a
//! forward pass and the mix over its activation maps (`mix`) are one command buffer, one submission and one readback
//! (`program`, `readback`). A device that is lost or reports an error gives an error (`device`), never a panic.
//!
//! Rust and the shaders share three declarations, each written once: every kernel with its file and its variants in
//! `kernels`, their parameters in `params`, the codes by which they choose in `codes`.

mod assign;
mod cells;
mod codes;
mod conv;
mod device;
mod dispatch;
mod kernels;
mod layout;
mod lower;
#[cfg(test)]
mod lower_tests;
mod mix;
mod moves;
mod params;
mod pipelines;
mod pool;
mod products;
mod program;
mod readback;
mod reduce;
#[cfg(test)]
mod shader_tests;
mod template;
mod weights;

use std::rc::Rc;
use std::sync::Arc;

use self::device::Device;
pub use self::device::GpuOptions;
use self::pipelines::Pipelines;
use self::weights::WeightCache;
use super::{Engine, Program};
use crate::error::Result;
use crate::graph::{Graph, ValueId};

/// The GPU engine.
///
/// ```no_run
/// # async fn example() -> famlens::Result<()> {
/// use famlens::engine::{Engine, gpu::{GpuEngine, GpuOptions}};
///
/// let engine = GpuEngine::new(GpuOptions::default()).await?;
/// println!("{}", engine.describe());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GpuEngine {
    context: Rc<Context>,
}

/// What all programs of an engine share.
#[derive(Debug)]
struct Context {
    device: Device,
    pipelines: Pipelines,
    weights: WeightCache,
    profile: std::cell::RefCell<Vec<KernelTime>>,
}

/// How long one kernel of the last forward pass took on the device.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelTime {
    /// The node and its kernel.
    pub label: String,
    /// Milliseconds.
    pub milliseconds: f64,
}

impl GpuEngine {
    /// Opens a GPU.
    ///
    /// # Errors
    /// [`crate::Error::NoGpu`] if this machine or browser has none that can be used.
    pub async fn new(options: GpuOptions) -> Result<Self> {
        let device = Device::open(options).await?;
        let pipelines = Pipelines::new(&device.device);
        device.check()?;
        let context = Context { device, pipelines, weights: WeightCache::default(), profile: Vec::new().into() };
        Ok(Self { context: Rc::new(context) })
    }

    /// The kernels of the last forward pass with their times, if [`GpuOptions::profile`] was set and the device can
    /// measure; otherwise empty.
    pub fn profile(&self) -> Vec<KernelTime> {
        self.context.profile.borrow().clone()
    }

    /// How many pipelines have been compiled.
    pub fn pipeline_count(&self) -> usize {
        self.context.pipelines.len()
    }

    /// Bytes of weights that are on the device, for all programs together.
    pub fn weight_bytes(&self) -> u64 {
        self.context.weights.bytes()
    }

    /// Takes the device away without saying so, as a driver reset does: for tests of what happens then.
    #[doc(hidden)]
    pub fn take_device_away(&self) {
        self.context.device.device.destroy();
    }

    /// Loses the device and has the loss reported at once: for tests of what happens then.
    #[doc(hidden)]
    pub fn lose_device(&self) {
        self.device_loss()();
    }

    /// The same at a moment of the caller's choice, while the engine is at work.
    #[doc(hidden)]
    pub fn device_loss(&self) -> Box<dyn Fn()> {
        let context = self.context.clone();
        Box::new(move || {
            context.device.device.destroy();
            context.device.health.report_lost("it was destroyed on request".into());
        })
    }
}

impl Engine for GpuEngine {
    fn describe(&self) -> String {
        self.context.device.describe().to_owned()
    }

    fn is_software_gpu(&self) -> bool {
        self.context.device.software
    }

    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>> {
        Ok(Box::new(program::GpuProgram::compile(self.context.clone(), graph, targets)?))
    }
}

/// Activation maps in a buffer of the GPU engine.
#[derive(Clone, Debug)]
pub struct Resident {
    buffer: Arc<OwnedBuffer>,
    /// Which device computed it: buffers of a lost device are of no use to its successor.
    serial: u64,
}

/// A buffer that is freed when it is dropped: in a browser, dropping the handle alone frees nothing.
#[derive(Debug)]
struct OwnedBuffer(wgpu::Buffer);

impl OwnedBuffer {
    /// A buffer of so many floats (at least four).
    fn new(device: &Device, label: &str, floats: usize, usage: wgpu::BufferUsages) -> Self {
        Self(device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: (floats.max(4) * 4) as u64,
            usage,
            mapped_at_creation: false,
        }))
    }
}

impl std::ops::Deref for OwnedBuffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.0
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        self.0.destroy();
    }
}
