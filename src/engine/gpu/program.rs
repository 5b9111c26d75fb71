//! A compiled graph on the GPU.

use std::rc::Rc;
use std::sync::Arc;

use super::cells::CellReader;
use super::device::{Device, failed};
use super::layout::Layout;
use super::lower::{Traits, lower};
use super::mix::{Mixer, bind, uniform_blocks};
use super::params::PARAMS_BYTES;
use super::readback::read_floats;
use super::weights::{Page, Uploader};
use super::{Context, KernelTime, OwnedBuffer, Resident};
use crate::engine::cells;
use crate::engine::mix::{channels_height_width, mix_host, validate};
use crate::engine::{CellMaps, CellOutput, CellReadout, Features, LocalFuture, Mix, Mixed, Output, Program, Store};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Shape, Tensor};

#[derive(Debug)]
struct Dispatch {
    label: String,
    pipeline: wgpu::ComputePipeline,
    bindings: usize,
    workgroups: [u32; 2],
}

pub(super) struct GpuProgram {
    context: Rc<Context>,
    dispatches: Vec<Dispatch>,
    arena: OwnedBuffer,
    bindings: Vec<wgpu::BindGroup>,
    input: (usize, Layout),
    targets: Vec<(usize, Layout)>,
    target_shapes: Vec<Shape>,
    mixer: Mixer,
    cell_reader: CellReader,
    // Bound by `bindings`; kept so that they are freed with the program.
    _uniforms: OwnedBuffer,
    _pages: Vec<Rc<Page>>,
}

impl GpuProgram {
    pub fn compile(context: Rc<Context>, graph: &Graph, targets: &[ValueId]) -> Result<Self> {
        let device = &context.device;
        device.check()?;
        let bindable = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
        // Shaders count floats in 32 bits.
        let arena_limit = usize::try_from(bindable / 4).unwrap_or(usize::MAX).min(1 << 30);
        let traits = Traits { software: device.software_kernels, arena_limit };
        let mut uploader = Uploader::new(&context.weights, &device.limits);
        let lowered = lower(graph, targets, traits, &mut uploader)?;
        let (mut pages, resolve) = uploader.finish(device);

        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let arena = OwnedBuffer::new(device, "activations", lowered.arena, usage);
        for (offset, floats) in &lowered.constants {
            device.queue.write_buffer(&arena, (offset * 4) as u64, bytemuck::cast_slice(floats));
        }
        let blocks = uniform_blocks(lowered.steps.iter().map(|s| s.dispatch.params.as_slice()));
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = OwnedBuffer::new(device, "parameters", blocks.len().max(PARAMS_BYTES / 4), usage);
        device.queue.write_buffer(&uniforms, 0, bytemuck::cast_slice(&blocks));

        if pages.is_empty() {
            // Every bind group has a buffer to read, whether its kernels do or not.
            let buffer = OwnedBuffer::new(device, "no weights", 4, wgpu::BufferUsages::STORAGE);
            pages.push(Rc::new(Page { buffer }));
        }
        let group = |page: &Rc<Page>| bind(device, &context.pipelines, &arena, &page.buffer, &uniforms);
        let bindings = pages.iter().map(group).collect();
        let dispatches = lowered.steps.into_iter().map(|step| {
            let pipeline = context.pipelines.get(&device.device, &step.dispatch.spec).map_err(failed)?;
            let bindings = step.page.map_or(0, &resolve);
            Ok(Dispatch { label: step.label, pipeline, bindings, workgroups: step.dispatch.workgroups })
        });
        let dispatches = dispatches.collect::<Result<_>>()?;
        device.check()?;
        let target_shapes = targets.iter().map(|&t| graph.value(t).shape.clone()).collect();
        Ok(Self {
            dispatches,
            arena,
            bindings,
            input: lowered.input,
            targets: lowered.targets,
            target_shapes,
            mixer: Mixer::default(),
            cell_reader: CellReader::default(),
            _uniforms: uniforms,
            _pages: pages,
            context,
        })
    }

    async fn forward(&mut self, input: &Tensor, mix: &Mix) -> Result<Output> {
        let context = self.context.clone();
        let (_, first) = self.targets.first().ok_or_else(|| failed("no target"))?;
        validate(mix, channels_height_width(&first.shape)?.0)?;
        let first = first.clone();
        let (mut encoder, timer, features) = self.encode(&context, input)?;
        let resident = resident(&features[0], &context.device)?;
        let pending = self.mixer.record(&context, &mut encoder, resident, &first, mix)?;
        let mixed = async { self.mixer.read(&context.device, pending).await };
        let mixed = submit(&context, encoder, timer, &self.dispatches, mixed).await?;
        Ok(Output { features, mixed })
    }

    async fn forward_cells(&mut self, input: &Tensor, readout: &CellReadout) -> Result<CellOutput> {
        let context = self.context.clone();
        let grid = cells::validate(readout, &self.target_shapes)?;
        let (mut encoder, timer, features) = self.encode(&context, input)?;
        let buffers = features.iter().map(|f| resident(f, &context.device)).collect::<Result<Vec<_>>>()?;
        let targets: Vec<_> = buffers.into_iter().zip(self.targets.iter().map(|(_, layout)| layout)).collect();
        let pending = self.cell_reader.record(&context, &mut encoder, &targets, grid, readout)?;
        let cells = async { self.cell_reader.read(&context, pending).await };
        let cells = submit(&context, encoder, timer, &self.dispatches, cells).await?;
        Ok(CellOutput { features, cells })
    }

    async fn cells_kept(&mut self, features: &[Features], readout: &CellReadout) -> Result<CellMaps> {
        if features.iter().any(|f| matches!(f.store, Store::Host(_))) {
            return cells::on_host(features, readout, cells::energy_reference);
        }
        let context = self.context.clone();
        let device = &context.device;
        let shapes: Vec<Shape> = features.iter().map(|f| f.shape.clone()).collect();
        let grid = cells::validate(readout, &shapes)?;
        device.check()?;
        let layouts: Vec<Layout> = shapes.iter().map(Layout::of).collect();
        let buffers = features.iter().map(|f| resident(f, device)).collect::<Result<Vec<_>>>()?;
        let targets: Vec<_> = buffers.into_iter().zip(&layouts).collect();
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let pending = self.cell_reader.record(&context, &mut encoder, &targets, grid, readout)?;
        device.queue.submit([encoder.finish()]);
        self.cell_reader.read(&context, pending).await
    }

    /// Records a forward pass; what reads its targets is recorded behind it.
    fn encode(
        &self,
        context: &Context,
        input: &Tensor,
    ) -> Result<(wgpu::CommandEncoder, Option<Timer>, Vec<Features>)> {
        let device = &context.device;
        let (offset, layout) = &self.input;
        if *input.shape() != layout.shape {
            let reason = format!("the program was compiled for {}, and the image is {}", layout.shape, input.shape());
            return Err(Error::argument("input", reason));
        }
        device.check()?;
        let packed = layout.pack(input.data());
        device.queue.write_buffer(&self.arena, (offset * 4) as u64, bytemuck::cast_slice(&packed));
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let timer = Timer::new(context, self.dispatches.len());
        self.record(&mut encoder, timer.as_ref());
        let mut features = Vec::with_capacity(self.targets.len());
        for ((offset, layout), shape) in self.targets.iter().zip(&self.target_shapes) {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let buffer = OwnedBuffer::new(device, "activation maps", layout.len(), usage);
            encoder.copy_buffer_to_buffer(&self.arena, (offset * 4) as u64, &buffer, 0, (layout.len() * 4) as u64);
            // Shared for as long as a clone of the features lives; in a browser a buffer stays on its thread anyway.
            #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
            let store = Store::Gpu(Resident { buffer: Arc::new(buffer), serial: device.serial });
            features.push(Features { shape: shape.clone(), store });
        }
        Ok((encoder, timer, features))
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, timer: Option<&Timer>) {
        // Timestamps belong to passes: one pass for all, or one for each if they are measured.
        let chunk = if timer.is_some() { 1 } else { self.dispatches.len().max(1) };
        for (p, dispatches) in self.dispatches.chunks(chunk).enumerate() {
            let timestamp_writes = timer.map(|t| t.writes(p));
            let descriptor = wgpu::ComputePassDescriptor { label: Some("forward"), timestamp_writes };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            for (i, dispatch) in dispatches.iter().enumerate() {
                let [x, y] = dispatch.workgroups;
                pass.set_pipeline(&dispatch.pipeline);
                let block = (p * chunk + i) * PARAMS_BYTES;
                pass.set_bind_group(0, self.bindings.get(dispatch.bindings), &[block as u32]);
                pass.dispatch_workgroups(x, y, 1);
            }
        }
    }

    async fn mix_kept(&mut self, features: &Features, mix: &Mix) -> Result<Mixed> {
        if let Store::Host(tensor) = &features.store {
            return mix_host(tensor, mix);
        }
        let context = self.context.clone();
        let device = &context.device;
        validate(mix, channels_height_width(&features.shape)?.0)?;
        device.check()?;
        let buffer = resident(features, device)?;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let layout = Layout::of(&features.shape);
        let pending = self.mixer.record(&context, &mut encoder, buffer, &layout, mix)?;
        device.queue.submit([encoder.finish()]);
        self.mixer.read(device, pending).await
    }

    async fn read_kept(&mut self, features: &Features) -> Result<Tensor> {
        if let Store::Host(tensor) = &features.store {
            return Ok(tensor.as_ref().clone());
        }
        let device = &self.context.device;
        device.check()?;
        let buffer = resident(features, device)?;
        let layout = Layout::of(&features.shape);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = OwnedBuffer::new(device, "activation maps to read", layout.len(), usage);
        let bytes = (layout.len() * 4) as u64;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        device.queue.submit([encoder.finish()]);
        let floats = read_floats(device, &staging, bytes).await?;
        Tensor::new(features.shape.clone(), layout.unpack(&floats))
    }
}

/// Submits a forward pass with its readout, waits for `result`, and keeps how long the kernels took if that was
/// measured.
async fn submit<T>(
    context: &Context,
    mut encoder: wgpu::CommandEncoder,
    timer: Option<Timer>,
    dispatches: &[Dispatch],
    result: impl Future<Output = Result<T>>,
) -> Result<T> {
    if let Some(timer) = &timer {
        timer.resolve(&mut encoder);
    }
    context.device.queue.submit([encoder.finish()]);
    let result = result.await?;
    if let Some(timer) = timer {
        *context.profile.borrow_mut() = timer.read(context, dispatches).await?;
    }
    Ok(result)
}

/// The buffer of activation maps that this device computed.
fn resident<'a>(features: &'a Features, device: &Device) -> Result<&'a wgpu::Buffer> {
    match &features.store {
        Store::Gpu(resident) if resident.serial == device.serial => Ok(&resident.buffer),
        Store::Gpu(_) => Err(Error::argument("features", "they belong to a GPU that is gone; embed the image again")),
        Store::Host(_) => Err(failed("activation maps in host memory have no buffer")),
    }
}

impl Program for GpuProgram {
    fn target_shapes(&self) -> &[Shape] {
        &self.target_shapes
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.arena.size()).unwrap_or(usize::MAX)
    }

    fn run<'a>(&'a mut self, input: &'a Tensor, mix: &'a Mix) -> LocalFuture<'a, Result<Output>> {
        Box::pin(self.forward(input, mix))
    }

    fn mix<'a>(&'a mut self, features: &'a Features, mix: &'a Mix) -> LocalFuture<'a, Result<Mixed>> {
        Box::pin(self.mix_kept(features, mix))
    }

    fn run_cells<'a>(&'a mut self, input: &'a Tensor, readout: &'a CellReadout) -> LocalFuture<'a, Result<CellOutput>> {
        Box::pin(self.forward_cells(input, readout))
    }

    fn cells<'a>(
        &'a mut self,
        features: &'a [Features],
        readout: &'a CellReadout,
    ) -> LocalFuture<'a, Result<CellMaps>> {
        Box::pin(self.cells_kept(features, readout))
    }

    fn read<'a>(&'a mut self, features: &'a Features) -> LocalFuture<'a, Result<Tensor>> {
        Box::pin(self.read_kept(features))
    }
}

/// Timestamps before and after every dispatch.
struct Timer {
    queries: wgpu::QuerySet,
    count: u32,
    resolved: OwnedBuffer,
    staging: OwnedBuffer,
}

impl Timer {
    /// `None` if nothing is to be measured, or more than one query set holds.
    fn new(context: &Context, dispatches: usize) -> Option<Self> {
        let count = 2 * dispatches as u32;
        if !context.device.profile || count == 0 || count > wgpu::QUERY_SET_MAX_QUERIES {
            return None;
        }
        let device = &context.device;
        let queries = device.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("kernel times"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let floats = 2 * count as usize;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = OwnedBuffer::new(device, "kernel times", floats, usage);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = OwnedBuffer::new(device, "kernel times to read", floats, usage);
        Some(Self { queries, count, resolved, staging })
    }

    fn writes(&self, pass: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * pass as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..self.count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, u64::from(self.count) * 8);
    }

    async fn read(self, context: &Context, dispatches: &[Dispatch]) -> Result<Vec<KernelTime>> {
        let words = read_floats(&context.device, &self.staging, u64::from(self.count) * 8).await?;
        let tick = |pair: &[f32]| u64::from(pair[0].to_bits()) | (u64::from(pair[1].to_bits()) << 32);
        let period = f64::from(context.device.queue.get_timestamp_period());
        let spans = words.chunks_exact(4).map(|s| tick(&s[2..]).saturating_sub(tick(&s[..2])) as f64 * period / 1e6);
        Ok(dispatches
            .iter()
            .zip(spans)
            .map(|(d, milliseconds)| KernelTime { label: d.label.clone(), milliseconds })
            .collect())
    }
}
