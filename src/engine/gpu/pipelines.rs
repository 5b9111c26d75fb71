//! Pipelines, cached by specialisation.

use std::cell::RefCell;
use std::collections::HashMap;

use super::kernels::{Kernel, Specialisation};
use super::params::PARAMS_BYTES;

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
        let constants: Vec<(&str, f64)> = spec.constants.iter().map(|&(knob, v)| (knob.name, f64::from(v))).collect();
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
