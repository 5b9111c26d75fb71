//! [`Mix`] on the GPU: pooling, channel weights and maps over activation maps that are already there.

use super::codes::{GateCode, PoolingCode};
use super::device::Device;
use super::dispatch::{Dispatch, Grid, Numbers, specialise};
use super::kernels::{GATE, Kernel, MAP_SLICE, NORMALISE, POOL_CELLS, POOLING, WORKGROUP};
use super::layout::Layout;
use super::params::{self, PARAMS_BYTES};
use super::pipelines::Pipelines;
use super::{Context, OwnedBuffer, device::failed};
use crate::engine::{Gate, Mix, Mixed, Pooling};
use crate::error::{Error, Result};

/// The most dispatches that one mix takes.
const MOST_STEPS: usize = 10;

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
    ///
    /// # Errors
    /// Says which bound one of them does not keep.
    fn steps(&self, mix: &Mix) -> Result<Vec<Dispatch>, String> {
        let mut steps = Vec::with_capacity(MOST_STEPS);
        match mix.pooling {
            Pooling::Average => self.pool(PoolingCode::Mean, 0.0, &mut steps)?,
            Pooling::Crow => {
                steps.extend(maps_of(&self.maps_from(self.ones(), 1, self.shares()))?);
                let n = Numbers::default();
                let (shares, quads, cells) = (n.u(self.shares()), n.u(self.quads), n.u(self.cells));
                let params = params::MixShares { shares, quads, cells };
                let rounds = 2 * self.quads.div_ceil(WORKGROUP) + 7;
                steps.push(Dispatch::new(specialise(Kernel::MixShares, []), n, params, Grid::of_groups(1), rounds)?);
                self.pool(PoolingCode::Shares, 0.0, &mut steps)?;
            }
            Pooling::Max => self.pool(PoolingCode::Max, 0.0, &mut steps)?,
            Pooling::GeM(exponent) => {
                self.pool(PoolingCode::Max, 0.0, &mut steps)?;
                self.pool(PoolingCode::Power, exponent, &mut steps)?;
            }
        }
        if self.classes == 0 {
            return Ok(steps);
        }
        if mix.normalise {
            let n = Numbers::default();
            let (centred, norm, groups) = (n.u(self.centred()), n.u(self.norm()), n.u(self.groups));
            let params = params::MixNorm { centred, norm, groups };
            let rounds = self.groups.div_ceil(WORKGROUP) + 7;
            steps.push(Dispatch::new(specialise(Kernel::MixNorm, []), n, params, Grid::of_groups(1), rounds)?);
        }
        let gate = match mix.gate {
            Gate::Feature => GateCode::Feature,
            Gate::AbsFeature => GateCode::Abs,
            Gate::One => GateCode::One,
        };
        let n = Numbers::default();
        let total = n.product(&[self.classes, self.groups]);
        let grid = Grid::over(total);
        let params = params::MixWeights {
            centred: n.u(self.centred()),
            norm: n.u(self.norm()),
            directions: n.u(self.directions()),
            weights: n.u(self.weights()),
            groups: n.u(self.groups),
            total: n.u(total),
            row: grid.row,
        };
        let codes = [(GATE, gate.into()), (NORMALISE, mix.normalise.into())];
        steps.push(Dispatch::new(specialise(Kernel::MixWeights, codes), n, params, grid, 0)?);
        steps.extend(maps_of(&self.maps_from(self.weights(), self.classes, self.maps()))?);
        Ok(steps)
    }

    /// The maps of so many rows of channel weights.
    fn maps_from(&self, weights: usize, rows: usize, maps: usize) -> Maps {
        let (groups, cells) = (self.groups, self.cells);
        Maps { weights, rows, maps, partial: self.partial(), groups, cells }
    }

    fn pool(&self, code: PoolingCode, exponent: f32, steps: &mut Vec<Dispatch>) -> Result<(), String> {
        let n = Numbers::default();
        let grid = Grid::over(n.product(&[self.groups, self.chunks]));
        let params = params::MixPool {
            embedding: 0,
            partial: n.u(self.partial()),
            groups: n.u(self.groups),
            cells: n.u(self.cells),
            chunks: n.u(self.chunks),
            row: grid.row,
            exponent,
            shares: n.u(self.shares()),
        };
        let spec = specialise(Kernel::MixPool, [(POOLING, code.into())]);
        steps.push(Dispatch::new(spec, n, params, grid, POOL_CELLS)?);

        let n = Numbers::default();
        let grid = Grid::over(self.groups);
        let params = params::MixEmbed {
            embedding: 0,
            partial: n.u(self.partial()),
            mean: n.u(self.mean()),
            centred: n.u(self.centred()),
            groups: n.u(self.groups),
            chunks: n.u(self.chunks),
            channels: n.u(self.channels),
            row: grid.row,
            // Shares already sum to one.
            cells: if self.crow { 1.0 } else { self.cells as f32 },
            exponent,
        };
        let spec = specialise(Kernel::MixEmbed, [(POOLING, code.into())]);
        steps.push(Dispatch::new(spec, n, params, grid, self.chunks)?);
        Ok(())
    }
}

/// Sums of maps over channels, for each of some rows of channel weights: where those, the maps and the partial sums
/// lie, in groups of four floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maps {
    pub weights: usize,
    pub rows: usize,
    pub maps: usize,
    pub partial: usize,
    /// Groups of channels.
    pub groups: usize,
    pub cells: usize,
}

/// The two dispatches of such sums: slices of the channels, then the sum of the slices.
///
/// # Errors
/// Says which bound one of them does not keep.
pub(super) fn maps_of(maps: &Maps) -> Result<[Dispatch; 2], String> {
    let n = Numbers::default();
    let (quads, slices) = (maps.cells.div_ceil(4), maps.groups.div_ceil(MAP_SLICE));
    let per_slice = n.product(&[maps.rows, quads]);
    let total = n.product(&[per_slice, slices]);
    let grid = Grid::over(total);
    let params = params::MixMaps {
        channel_weights: n.u(maps.weights),
        partial: n.u(maps.partial),
        groups: n.u(maps.groups),
        cells: n.u(maps.cells),
        quads: n.u(quads),
        per_slice: n.u(per_slice),
        total: n.u(total),
        row: grid.row,
    };
    let first = Dispatch::new(specialise(Kernel::MixMaps, []), n, params, grid, MAP_SLICE)?;
    let n = Numbers::default();
    let grid = Grid::over(per_slice);
    let params = params::MixSum {
        partial: n.u(maps.partial),
        maps: n.u(maps.maps),
        slices: n.u(slices),
        per_slice: n.u(per_slice),
        row: grid.row,
    };
    Ok([first, Dispatch::new(specialise(Kernel::MixSum, []), n, params, grid, slices)?])
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
        let bytes = work_bytes(device, regions.end(), regions.classes)?;
        let steps = regions.steps(mix).map_err(|reason| out_of_bounds(regions.classes, reason))?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let work = grown(&mut self.work, device, "mix", bytes, usage);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = grown(&mut self.uniforms, device, "mix parameters", (MOST_STEPS * PARAMS_BYTES) as u64, usage);

        let inputs = regions.inputs(mix);
        device.queue.write_buffer(work, (regions.mean() * 16) as u64, bytemuck::cast_slice(&inputs));
        let blocks = uniform_blocks(steps.iter().map(|step| step.params.as_slice()));
        device.queue.write_buffer(uniforms, 0, bytemuck::cast_slice(&blocks));
        let bindings = bind(device, &context.pipelines, work, features, uniforms);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("mix"), ..Default::default() });
        for (i, step) in steps.iter().enumerate() {
            let [x, y] = step.workgroups;
            let pipeline = context.pipelines.get(&device.device, &step.spec).map_err(failed)?;
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[(i * PARAMS_BYTES) as u32]);
            pass.dispatch_workgroups(x, y, 1);
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

/// Bytes of a work buffer of so many groups of four floats, for maps of so many classes.
///
/// # Errors
/// [`Error::TooLarge`] if the device does not bind that much.
pub(super) fn work_bytes(device: &Device, groups: usize, classes: usize) -> Result<u64> {
    let limit = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
    let bytes = (groups as u64).saturating_mul(16);
    match bytes <= limit {
        true => Ok(bytes),
        false => Err(Error::TooLarge {
            what: format!("the memory for maps of {classes} classes"),
            size: format!("{bytes} bytes"),
            limit: super::device::binding_limit(usize::try_from(limit).unwrap_or(usize::MAX)),
        }),
    }
}

/// The error for a step over maps of so many classes that is out of bounds.
pub(super) fn out_of_bounds(classes: usize, reason: String) -> Error {
    Error::argument("maps", format!("the maps of {classes} classes cannot be computed on the GPU: {reason}"))
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
