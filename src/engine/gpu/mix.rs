//! [`Mix`] on the GPU: pooling, channel weights and maps over activation maps that are already there.

use super::device::Device;
use super::layout::Layout;
use super::lower::{Grid, words};
use super::pipelines::{Kernel, MAP_SLICE, PARAMS_BYTES, POOL_CELLS, Pipelines, Specialisation};
use super::{Context, OwnedBuffer, device::failed};
use crate::engine::{Gate, Mix, Mixed, Pooling};
use crate::error::{Error, Result};

/// The most dispatches that one mix takes.
const MOST_STEPS: usize = 10;

/// A dispatch: specialisation, parameters and workgroups.
type MixStep = (Specialisation, Vec<u32>, [u32; 2]);

/// Buffers of the mixes of one program, grown as needed.
#[derive(Debug, Default)]
pub(super) struct Mixer {
    work: Option<OwnedBuffer>,
    uniforms: Option<OwnedBuffer>,
    /// Not here while a result is being read, so that an abandoned reading cannot spoil the next one.
    staging: Option<OwnedBuffer>,
}

/// Where everything lies in the work buffer, in groups of four floats. What is read back comes first.
#[derive(Clone, Copy, Debug)]
struct Regions {
    groups: usize,
    channels: usize,
    cells: usize,
    classes: usize,
    quads: usize,
    chunks: usize,
    slices: usize,
    /// Whether cells are weighed by their sum over channels ([`Pooling::Crow`]).
    crow: bool,
}

impl Regions {
    fn of(layout: &Layout, mix: &Mix) -> Result<Self> {
        let (channels, h, w) =
            layout.channels.ok_or_else(|| failed(format!("{} is no activation map", layout.shape)))?;
        let (groups, cells) = (channels.div_ceil(4), h * w);
        Ok(Self {
            groups,
            channels,
            cells,
            classes: mix.directions.len(),
            quads: cells.div_ceil(4),
            chunks: cells.div_ceil(POOL_CELLS),
            slices: groups.div_ceil(MAP_SLICE),
            crow: mix.pooling == Pooling::Crow,
        })
    }

    fn weights(&self) -> usize {
        self.groups
    }

    fn maps(&self) -> usize {
        self.weights() + self.classes * self.groups
    }

    /// End of what is read back.
    fn mean(&self) -> usize {
        self.maps() + self.classes * self.quads
    }

    fn directions(&self) -> usize {
        self.mean() + self.groups
    }

    /// A one for each channel: the sum over channels is the map of that direction.
    fn ones(&self) -> usize {
        self.directions() + self.classes * self.groups
    }

    /// The share of each cell.
    fn shares(&self) -> usize {
        self.ones() + usize::from(self.crow) * self.groups
    }

    fn centred(&self) -> usize {
        self.shares() + usize::from(self.crow) * self.quads
    }

    fn norm(&self) -> usize {
        self.centred() + self.groups
    }

    fn partial(&self) -> usize {
        self.norm() + 1
    }

    fn end(&self) -> usize {
        self.partial() + (self.chunks * self.groups).max(self.slices * self.classes.max(1) * self.quads)
    }

    fn bytes_read(&self) -> u64 {
        (self.mean() * 16) as u64
    }

    /// The mean, the directions and the ones as they lie in the buffer.
    fn inputs(&self, mix: &Mix) -> Vec<f32> {
        let width = self.groups * 4;
        let mut out = vec![0.0; (1 + self.classes) * width];
        if self.crow {
            out.resize(out.len() + width, 1.0);
        }
        let rows = mix.mean.iter().chain(&mix.directions);
        let first = usize::from(mix.mean.is_none());
        for (row, values) in out.chunks_exact_mut(width).skip(first).zip(rows) {
            row[..values.len()].copy_from_slice(values);
        }
        out
    }

    fn result(&self, floats: &[f32]) -> Mixed {
        let rows = |from: usize, width: usize, kept: usize| {
            let all = floats[from * 4..].chunks_exact(width * 4).take(self.classes);
            all.flat_map(|row| row[..kept].iter().copied()).collect()
        };
        Mixed {
            embedding: floats[..self.channels].to_vec(),
            weights: rows(self.weights(), self.groups, self.channels),
            maps: rows(self.maps(), self.quads, self.cells),
        }
    }

    /// The dispatches.
    fn steps(&self, mix: &Mix) -> Vec<MixStep> {
        let mut steps = Vec::with_capacity(MOST_STEPS);
        match mix.pooling {
            Pooling::Average => self.pool(0, 0.0, &mut steps),
            Pooling::Crow => {
                self.maps_of(self.ones(), 1, self.shares(), &mut steps);
                let params = words([self.shares(), self.quads, self.cells]);
                steps.push((Specialisation::new(Kernel::MixShares), params, [1, 1]));
                self.pool(3, 0.0, &mut steps);
            }
            Pooling::Max => self.pool(1, 0.0, &mut steps),
            Pooling::GeM(exponent) => {
                self.pool(1, 0.0, &mut steps);
                self.pool(2, exponent, &mut steps);
            }
        }
        if self.classes == 0 {
            return steps;
        }
        if mix.normalise {
            let params = words([self.centred(), self.norm(), self.groups]);
            steps.push((Specialisation::new(Kernel::MixNorm), params, [1, 1]));
        }
        let gate = match mix.gate {
            Gate::Feature => 0,
            Gate::AbsFeature => 1,
            Gate::One => 2,
        };
        let total = self.classes * self.groups;
        let grid = Grid::over(total);
        let places = [self.centred(), self.norm(), self.directions(), self.weights()];
        let params = words(places.into_iter().chain([self.groups, total, grid.row as usize]));
        let normalise = u32::from(mix.normalise);
        let spec = Specialisation::new(Kernel::MixWeights).with("GATE", gate).with("NORMALISE", normalise);
        steps.push((spec, params, grid.workgroups));

        self.maps_of(self.weights(), self.classes, self.maps(), &mut steps);
        steps
    }

    /// The maps of so many rows of channel weights.
    fn maps_of(&self, weights: usize, rows: usize, maps: usize, steps: &mut Vec<MixStep>) {
        let per_slice = rows * self.quads;
        let total = per_slice * self.slices;
        let grid = Grid::over(total);
        let places = [weights, self.partial(), self.groups, self.cells, self.quads, per_slice, total];
        let params = words(places.into_iter().chain([grid.row as usize]));
        steps.push((Specialisation::new(Kernel::MixMaps).with("SLICE", MAP_SLICE as u32), params, grid.workgroups));

        let grid = Grid::over(per_slice);
        let params = words([self.partial(), maps, self.slices, per_slice, grid.row as usize]);
        steps.push((Specialisation::new(Kernel::MixSum), params, grid.workgroups));
    }

    fn pool(&self, kind: u32, exponent: f32, steps: &mut Vec<MixStep>) {
        let grid = Grid::over(self.groups * self.chunks);
        let row = grid.row as usize;
        let mut params = words([0, self.partial(), self.groups, self.cells, self.chunks, row]);
        params.push(exponent.to_bits());
        params.push(self.shares() as u32);
        let spec = Specialisation::new(Kernel::MixPool).with("POOLING", kind).with("CELLS", POOL_CELLS as u32);
        steps.push((spec, params, grid.workgroups));

        let grid = Grid::over(self.groups);
        let row = grid.row as usize;
        let places = [0, self.partial(), self.mean(), self.centred(), self.groups, self.chunks, self.channels, row];
        let mut params = words(places);
        // Shares already sum to one.
        let divisor = if self.crow { 1.0 } else { self.cells as f32 };
        params.extend([divisor.to_bits(), exponent.to_bits()]);
        steps.push((Specialisation::new(Kernel::MixEmbed).with("POOLING", kind), params, grid.workgroups));
    }
}

/// A mix that was recorded, to be read after the submission.
pub(super) struct Pending {
    regions: Regions,
    staging: OwnedBuffer,
}

impl Mixer {
    /// Records the mix over `features` behind whatever computes them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the mix does not fit into one buffer.
    pub fn record(
        &mut self,
        context: &Context,
        encoder: &mut wgpu::CommandEncoder,
        features: &wgpu::Buffer,
        layout: &Layout,
        mix: &Mix,
    ) -> Result<Pending> {
        let device = &context.device;
        let regions = Regions::of(layout, mix)?;
        let bytes = (regions.end() * 16) as u64;
        let limit = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
        if bytes > limit {
            return Err(Error::TooLarge {
                what: format!("the memory for maps of {} classes", regions.classes),
                size: format!("{bytes} bytes"),
                limit: super::device::binding_limit(usize::try_from(limit).unwrap_or(usize::MAX)),
            });
        }
        let steps = regions.steps(mix);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let work = grown(&mut self.work, device, "mix", bytes, usage);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = grown(&mut self.uniforms, device, "mix parameters", (MOST_STEPS * PARAMS_BYTES) as u64, usage);

        let inputs = regions.inputs(mix);
        device.queue.write_buffer(work, (regions.mean() * 16) as u64, bytemuck::cast_slice(&inputs));
        let blocks = uniform_blocks(steps.iter().map(|(_, params, _)| params.as_slice()));
        device.queue.write_buffer(uniforms, 0, bytemuck::cast_slice(&blocks));
        let bindings = bind(device, &context.pipelines, work, features, uniforms);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("mix"), ..Default::default() });
        for (i, (spec, _, [x, y])) in steps.iter().enumerate() {
            let pipeline = context.pipelines.get(&device.device, spec).map_err(failed)?;
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[(i * PARAMS_BYTES) as u32]);
            pass.dispatch_workgroups(*x, *y, 1);
        }
        drop(pass);

        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        grown(&mut self.staging, device, "result", regions.bytes_read(), usage);
        let staging = self.staging.take().ok_or_else(|| failed("no buffer for the result"))?;
        encoder.copy_buffer_to_buffer(work_of(&self.work)?, 0, &staging, 0, regions.bytes_read());
        Ok(Pending { regions, staging })
    }

    /// Reads the result of a recorded mix after it was submitted.
    ///
    /// # Errors
    /// Those of [`super::readback::read_floats`].
    pub async fn read(&mut self, device: &Device, pending: Pending) -> Result<Mixed> {
        let floats = super::readback::read_floats(device, &pending.staging, pending.regions.bytes_read()).await?;
        self.staging = Some(pending.staging);
        Ok(pending.regions.result(&floats))
    }
}

fn work_of(buffer: &Option<OwnedBuffer>) -> Result<&OwnedBuffer> {
    buffer.as_ref().ok_or_else(|| failed("no buffer for the mix"))
}

/// The buffer, replaced if it is too small.
pub(super) fn grown<'a>(
    slot: &'a mut Option<OwnedBuffer>,
    device: &Device,
    label: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
) -> &'a OwnedBuffer {
    if slot.as_ref().is_some_and(|b| b.size() < bytes) {
        *slot = None;
    }
    slot.get_or_insert_with(|| OwnedBuffer::new(device, label, bytes.div_ceil(4) as usize, usage))
}

/// Uniform blocks at their dynamic offsets.
pub(super) fn uniform_blocks<'a>(params: impl Iterator<Item = &'a [u32]>) -> Vec<u32> {
    let mut out = Vec::new();
    for block in params {
        let end = out.len() + PARAMS_BYTES / 4;
        out.extend_from_slice(block);
        out.resize(end, 0);
    }
    out
}

/// The bind group of every kernel: what is written, what is read, the uniform blocks.
pub(super) fn bind(
    device: &Device,
    pipelines: &Pipelines,
    written: &wgpu::Buffer,
    read: &wgpu::Buffer,
    uniforms: &wgpu::Buffer,
) -> wgpu::BindGroup {
    let block = wgpu::BufferBinding { buffer: uniforms, offset: 0, size: wgpu::BufferSize::new(PARAMS_BYTES as u64) };
    device.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("famlens"),
        layout: &pipelines.bindings,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: written.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: read.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Buffer(block) },
        ],
    })
}
