//! The kernels, and their pipelines cached by specialisation.

use std::cell::RefCell;
use std::collections::HashMap;

use super::template::expand;
use crate::graph::Activation;

/// Invocations in a workgroup of every kernel.
pub(super) const WORKGROUP: usize = 64;
/// Bytes of the uniform block of one dispatch; also a multiple of every device's offset alignment.
pub(super) const PARAMS_BYTES: usize = 256;
/// Cells that one invocation of the first pooling step folds.
pub(super) const POOL_CELLS: usize = 64;
/// Channel groups that one invocation of the map kernel sums.
pub(super) const MAP_SLICE: usize = 16;

/// A shader file with its tile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kernel {
    /// `pointwise.wgsl`: pixels and channel groups of one invocation.
    Pointwise {
        pixels: usize,
        outputs: usize,
    },
    /// `conv.wgsl`: pixels and channel groups of one invocation.
    Conv {
        pixels: usize,
        outputs: usize,
    },
    /// `depthwise.wgsl`: width of the kernel, horizontal stride, pixels and lines of one invocation.
    Depthwise {
        width: usize,
        stride: usize,
        pixels: usize,
        lines: usize,
    },
    ConvScalar,
    Pool,
    Elementwise,
    Strided,
    Copy,
    Reduce,
    Softmax,
    MatMul,
    Batched,
    /// `attention.wgsl`: whether rows are whole groups of four values that lie in a row.
    Attention {
        fours: bool,
    },
    Norm,
    MixShares,
    MixPool,
    MixEmbed,
    MixNorm,
    MixWeights,
    MixMaps,
    MixSum,
    CellsPool,
    CellsEnergy,
    CellsRadius,
    CellsShare,
    CellsScore,
}

const VEC4: &str = include_str!("shaders/vec4_views.wgsl");
const SCALAR: &str = include_str!("shaders/scalar_views.wgsl");
const ACTIVATION: &str = include_str!("shaders/activation.wgsl");

impl Kernel {
    /// The complete shader text.
    ///
    /// # Errors
    /// Says what is malformed in the file.
    pub fn source(self) -> Result<String, String> {
        let (views, text) = match self {
            Self::Pointwise { .. } => (VEC4, include_str!("shaders/pointwise.wgsl")),
            Self::Conv { .. } => (VEC4, include_str!("shaders/conv.wgsl")),
            Self::Depthwise { .. } => (VEC4, include_str!("shaders/depthwise.wgsl")),
            Self::ConvScalar => (SCALAR, include_str!("shaders/conv_scalar.wgsl")),
            Self::Pool => (VEC4, include_str!("shaders/pool.wgsl")),
            Self::Elementwise => (VEC4, include_str!("shaders/elementwise.wgsl")),
            Self::Strided => (SCALAR, include_str!("shaders/strided.wgsl")),
            Self::Copy => (VEC4, include_str!("shaders/copy.wgsl")),
            Self::Reduce => (SCALAR, include_str!("shaders/reduce.wgsl")),
            Self::Softmax => (SCALAR, include_str!("shaders/softmax.wgsl")),
            Self::MatMul => (SCALAR, include_str!("shaders/matmul.wgsl")),
            Self::Batched => (VEC4, include_str!("shaders/batched.wgsl")),
            Self::Attention { fours: true } => (VEC4, include_str!("shaders/attention.wgsl")),
            Self::Attention { fours: false } => (SCALAR, include_str!("shaders/attention.wgsl")),
            Self::Norm => (SCALAR, include_str!("shaders/norm.wgsl")),
            Self::MixShares => (VEC4, include_str!("shaders/mix_shares.wgsl")),
            Self::MixPool => (VEC4, include_str!("shaders/mix_pool.wgsl")),
            Self::MixEmbed => (VEC4, include_str!("shaders/mix_embed.wgsl")),
            Self::MixNorm => (VEC4, include_str!("shaders/mix_norm.wgsl")),
            Self::MixWeights => (VEC4, include_str!("shaders/mix_weights.wgsl")),
            Self::MixMaps => (VEC4, include_str!("shaders/mix_maps.wgsl")),
            Self::MixSum => (VEC4, include_str!("shaders/mix_sum.wgsl")),
            Self::CellsPool => (VEC4, include_str!("shaders/cells_pool.wgsl")),
            Self::CellsEnergy => (VEC4, include_str!("shaders/cells_energy.wgsl")),
            Self::CellsRadius => (VEC4, include_str!("shaders/cells_radius.wgsl")),
            Self::CellsShare => (VEC4, include_str!("shaders/cells_share.wgsl")),
            Self::CellsScore => (VEC4, include_str!("shaders/cells_score.wgsl")),
        };
        let sizes = match self {
            Self::Pointwise { pixels, outputs } | Self::Conv { pixels, outputs } => {
                vec![("PX", pixels), ("CO", outputs)]
            }
            Self::Depthwise { width, stride, pixels, lines } => {
                let cells = (pixels - 1) * stride + width;
                let tile = [("TX", pixels), ("TY", lines), ("LATER", lines - 1)];
                [&tile[..], &[("KW", width), ("SX", stride), ("COLS", cells)]].concat()
            }
            _ => Vec::new(),
        };
        Ok([views, ACTIVATION, &expand(text, &sizes)?].join("\n"))
    }
}

/// A kernel with the values of its override constants; those not named keep their defaults.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Specialisation {
    pub kernel: Kernel,
    pub constants: Vec<(&'static str, u32)>,
}

impl Specialisation {
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, constants: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }
}

/// An activation as the shaders know it: its number and its two parameters.
pub(super) fn activation(a: Activation) -> (u32, f32, f32) {
    match a {
        Activation::None => (0, 0.0, 0.0),
        Activation::Relu => (1, 0.0, 0.0),
        Activation::Clip(lo, hi) => (2, lo, hi),
        Activation::HardSwish => (3, 0.0, 0.0),
        Activation::HardSigmoid(alpha, beta) => (4, alpha, beta),
        Activation::Sigmoid => (5, 0.0, 0.0),
        Activation::Silu => (6, 0.0, 0.0),
        Activation::LeakyRelu(slope) => (7, slope, 0.0),
        Activation::Tanh => (8, 0.0, 0.0),
        Activation::Swish(beta) => (9, beta, 0.0),
        Activation::Gelu => (10, 0.0, 0.0),
        Activation::GeluTanh => (11, 0.0, 0.0),
        Activation::Elu(alpha) => (12, alpha, 0.0),
        Activation::Softplus => (13, 0.0, 0.0),
        Activation::Mish => (14, 0.0, 0.0),
        Activation::Threshold(threshold) => (15, threshold, 0.0),
        Activation::Erf => (16, 0.0, 0.0),
        Activation::Exp => (17, 0.0, 0.0),
        Activation::Log => (18, 0.0, 0.0),
        Activation::Sqrt => (19, 0.0, 0.0),
        Activation::Abs => (20, 0.0, 0.0),
        Activation::Floor => (21, 0.0, 0.0),
        Activation::Round => (22, 0.0, 0.0),
    }
}

/// Modules by kernel and pipelines by specialisation, over the one bind group layout that every kernel has: storage to
/// write, storage to read, and a uniform block at a dynamic offset.
#[derive(Debug)]
pub(super) struct Pipelines {
    pub bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    modules: RefCell<HashMap<Kernel, wgpu::ShaderModule>>,
    pipelines: RefCell<HashMap<Specialisation, wgpu::ComputePipeline>>,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device) -> Self {
        let entry = |binding, ty, dynamic, size| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: size },
            count: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("famlens"),
            entries: &[
                entry(0, storage(false), false, None),
                entry(1, storage(true), false, None),
                entry(2, wgpu::BufferBindingType::Uniform, true, wgpu::BufferSize::new(PARAMS_BYTES as u64)),
            ],
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("famlens"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, layout, modules: RefCell::default(), pipelines: RefCell::default() }
    }

    /// The pipeline of that specialisation, compiled if it is new.
    ///
    /// # Errors
    /// Says what is malformed in the shader file.
    pub fn get(&self, device: &wgpu::Device, spec: &Specialisation) -> Result<wgpu::ComputePipeline, String> {
        if let Some(pipeline) = self.pipelines.borrow().get(spec) {
            return Ok(pipeline.clone());
        }
        let label = format!("{:?}", spec.kernel);
        let mut modules = self.modules.borrow_mut();
        let module = match modules.get(&spec.kernel) {
            Some(module) => module.clone(),
            None => {
                let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some(&label),
                    source: wgpu::ShaderSource::Wgsl(spec.kernel.source()?.into()),
                });
                modules.insert(spec.kernel, module.clone());
                module
            }
        };
        let constants: Vec<(&str, f64)> = spec.constants.iter().map(|&(name, v)| (name, f64::from(v))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&self.layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: true,
            },
            cache: None,
        });
        self.pipelines.borrow_mut().insert(spec.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// How many pipelines there are.
    pub fn len(&self) -> usize {
        self.pipelines.borrow().len()
    }
}
