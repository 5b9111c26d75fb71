//! [`CellReadout`] on the GPU: pooled cells, evidence, class shares and scores over activation maps that are already
//! there.

use std::sync::Arc;

use super::dispatch::{Dispatch, Grid, Numbers, specialise};
use super::kernels::{FACTOR, Kernel, MAP_SLICE, POOL_CELLS, SHARE, WORKGROUP};
use super::layout::Layout;
use super::mix::{Maps, bind, grown, maps_of, out_of_bounds, uniform_blocks, work_bytes};
use super::params::{self, PARAMS_BYTES};
use super::{Context, OwnedBuffer, device::failed};
use crate::engine::{CellMaps, CellReadout, Pooled};
use crate::error::Result;

/// Buffers of the readouts of one program, grown as needed.
#[derive(Debug, Default)]
pub(super) struct CellReader {
    work: Option<OwnedBuffer>,
    uniforms: Option<OwnedBuffer>,
    /// Not here while a result is being read, so that an abandoned reading cannot spoil the next one.
    staging: Option<OwnedBuffer>,
    /// The factors that lie at the start of `work`: they are large and stay the same from query to query.
    factors: Vec<Arc<[f32]>>,
}

/// Where one layer of the readout lies in the work buffer.
#[derive(Clone, Copy, Debug)]
struct Layer {
    target: usize,
    groups: usize,
    factor: Option<usize>,
    mean: usize,
    directions: usize,
}

/// Where everything lies in the work buffer, in groups of four floats: factors, what is read back, inputs, scratch.
#[derive(Clone, Debug)]
struct Regions {
    /// Groups of channels of each target, and height and width of its grid.
    targets: Vec<[usize; 3]>,
    channels: Vec<usize>,
    layers: Vec<Layer>,
    classes: usize,
    cells: usize,
    quads: usize,
    first: usize,
    radii: usize,
    evidence: usize,
    maps: usize,
    scores: usize,
    inputs: usize,
    constants: usize,
    raw: usize,
    partial: usize,
    end: usize,
}

impl Regions {
    fn of(layouts: &[&Layout], (height, width): (usize, usize), readout: &CellReadout) -> Result<Self> {
        let map = |l: &&Layout| l.channels.ok_or_else(|| failed(format!("{} is no activation map", l.shape)));
        let shapes = layouts.iter().map(map).collect::<Result<Vec<_>>>()?;
        let targets: Vec<[usize; 3]> = shapes.iter().map(|&(c, h, w)| [c.div_ceil(4), h, w]).collect();
        let (classes, cells) = (readout.classes(), height * width);
        let quads = cells.div_ceil(4);
        let mut at = 0;
        let mut take = |groups: usize| {
            at += groups;
            at - groups
        };
        let groups_of = |target: usize| targets[target][0];
        let factors: Vec<_> =
            readout.layers.iter().map(|l| l.factor.as_ref().map(|_| take(4 * groups_of(l.target).pow(2)))).collect();
        let first = take(targets.iter().map(|[groups, ..]| 2 * groups).sum());
        let radii = take(readout.layers.len());
        let evidence = take(classes * quads);
        let maps = take(classes * quads);
        let scores = take(classes);
        let inputs = take(0);
        let layer = |(l, factor): (&crate::engine::LayerReadout, Option<usize>)| {
            let groups = groups_of(l.target);
            Layer { target: l.target, groups, factor, mean: take(groups), directions: take(classes * groups) }
        };
        let layers: Vec<Layer> = readout.layers.iter().zip(factors).map(layer).collect();
        let constants = take(layers.len() * classes);
        let raw = take(layers.len() * classes * quads);
        let scratch = |l: &Layer| (l.groups * quads).max(l.groups.div_ceil(MAP_SLICE) * classes * quads);
        // The partial sums of the pooling are gone when those of the layers come.
        let pooling = |&[groups, h, w]: &[usize; 3]| 2 * groups * (h * w).div_ceil(POOL_CELLS);
        let partial = take(layers.iter().map(scratch).chain(targets.iter().map(pooling)).max().unwrap_or(0));
        let channels = shapes.iter().map(|&(c, ..)| c).collect();
        let end = take(0).max(1);
        Ok(Self {
            targets,
            channels,
            layers,
            classes,
            cells,
            quads,
            first,
            radii,
            evidence,
            maps,
            scores,
            inputs,
            constants,
            raw,
            partial,
            end,
        })
    }

    fn bytes_read(&self) -> u64 {
        ((self.inputs - self.first) * 16) as u64
    }

    /// Means, directions and `mean . direction` as they lie in the buffer.
    fn inputs(&self, readout: &CellReadout) -> Vec<f32> {
        let mut out = Vec::with_capacity((self.raw - self.inputs) * 4);
        let mut push = |values: &[f32], groups: usize| {
            let end = out.len() + groups * 4;
            out.extend_from_slice(values);
            out.resize(end, 0.0);
        };
        for (layer, place) in readout.layers.iter().zip(&self.layers) {
            push(&layer.mean, place.groups);
            layer.directions.iter().for_each(|d| push(d, place.groups));
        }
        for layer in &readout.layers {
            for direction in &layer.directions {
                let products = layer.mean.iter().zip(direction).map(|(&m, &d)| f64::from(m) * f64::from(d));
                push(&[products.sum::<f64>() as f32], 1);
            }
        }
        out
    }

    fn result(&self, floats: &[f32]) -> CellMaps {
        let rows = |from: usize, kept: usize| &floats[(from - self.first) * 4..][..kept];
        let mut at = self.first;
        let mut pooled = Vec::with_capacity(self.targets.len());
        for ([groups, ..], &channels) in self.targets.iter().zip(&self.channels) {
            let (mean, ring) = (rows(at, channels).to_vec(), rows(at + groups, channels).to_vec());
            pooled.push(Pooled { mean, ring });
            at += 2 * groups;
        }
        let grids =
            |from: usize| (0..self.classes).flat_map(|k| rows(from + k * self.quads, self.cells).to_vec()).collect();
        let firsts = |from: usize, n: usize| (0..n).map(|i| rows(from + i, 1)[0]).collect();
        CellMaps {
            pooled,
            radii: firsts(self.radii, self.layers.len()),
            evidence: grids(self.evidence),
            maps: grids(self.maps),
            scores: firsts(self.scores, self.classes),
        }
    }

    /// The dispatches, each with the target whose activation maps it reads.
    ///
    /// # Errors
    /// Says which bound one of them does not keep.
    fn steps(&self, readout: &CellReadout) -> Result<Vec<(usize, Dispatch)>, String> {
        let mut steps = Vec::new();
        let mut at = self.first;
        for (target, &[groups, height, width]) in self.targets.iter().enumerate() {
            let pooled = self.pool(at, [groups, height, width])?;
            steps.extend(pooled.map(|step| (target, step)));
            at += 2 * groups;
        }
        if self.classes == 0 {
            return Ok(steps);
        }
        for (l, layer) in self.layers.iter().enumerate() {
            let own = self.energy(l, layer)?;
            steps.extend(own.map(|step| (layer.target, step)));
            let maps = maps_of(&Maps {
                weights: layer.directions,
                rows: self.classes,
                maps: self.raw + l * self.classes * self.quads,
                partial: self.partial,
                groups: layer.groups,
                cells: self.cells,
            })?;
            steps.extend(maps.map(|step| (layer.target, step)));
        }
        let target = self.layers[0].target;
        let n = Numbers::default();
        let grid = Grid::over(self.quads);
        let params = params::CellsShare {
            raw: n.u(self.raw),
            constants: n.u(self.constants),
            radii: n.u(self.radii),
            evidence: n.u(self.evidence),
            maps: n.u(self.maps),
            layers: n.u(self.layers.len()),
            classes: n.u(self.classes),
            quads: n.u(self.quads),
            offset: readout.offset,
            sharpness: readout.sharpness.unwrap_or(0.0),
            row: grid.row,
        };
        let rounds = self.classes.saturating_mul(3 + self.layers.len());
        let spec = specialise(Kernel::CellsShare, [(SHARE, readout.sharpness.is_some().into())]);
        steps.push((target, Dispatch::new(spec, n, params, grid, rounds)?));
        let n = Numbers::default();
        let grid = Grid::of_groups(self.classes);
        let params = params::CellsScore {
            maps: n.u(self.maps),
            scores: n.u(self.scores),
            classes: n.u(self.classes),
            cells: n.u(self.cells),
            quads: n.u(self.quads),
            row: grid.row,
        };
        let rounds = self.quads.div_ceil(WORKGROUP) + 7;
        steps.push((target, Dispatch::new(specialise(Kernel::CellsScore, []), n, params, grid, rounds)?));
        Ok(steps)
    }

    /// The mean cell and the mean cell of the border ring of one target, to be written from `at` on.
    fn pool(&self, at: usize, [groups, height, width]: [usize; 3]) -> Result<[Dispatch; 2], String> {
        let n = Numbers::default();
        let cells = n.product(&[height, width]);
        let chunks = cells.div_ceil(POOL_CELLS);
        let total = n.product(&[groups, chunks]);
        let grid = Grid::over(total);
        let params = params::CellsPool {
            partial: n.u(self.partial),
            groups: n.u(groups),
            cells: n.u(cells),
            height: n.u(height),
            width: n.u(width),
            total: n.u(total),
            row: grid.row,
        };
        let first = Dispatch::new(specialise(Kernel::CellsPool, []), n, params, grid, POOL_CELLS)?;
        let n = Numbers::default();
        let grid = Grid::over(groups);
        // Where a side has fewer than three cells, all are on the ring.
        let inner = height.saturating_sub(2) * width.saturating_sub(2);
        let params = params::CellsPooled {
            partial: n.u(self.partial),
            mean: n.u(at),
            ring: n.u(at + groups),
            groups: n.u(groups),
            chunks: n.u(chunks),
            row: grid.row,
            cells: cells as f32,
            ring_cells: (cells - inner) as f32,
        };
        Ok([first, Dispatch::new(specialise(Kernel::CellsPooled, []), n, params, grid, chunks)?])
    }

    /// The radius of one layer.
    fn energy(&self, l: usize, layer: &Layer) -> Result<[Dispatch; 2], String> {
        let n = Numbers::default();
        let total = n.product(&[layer.groups, self.quads]);
        let grid = Grid::over(total);
        let params = params::CellsEnergy {
            mean: n.u(layer.mean),
            factor: n.u(layer.factor.unwrap_or(0)),
            partial: n.u(self.partial),
            groups: n.u(layer.groups),
            cells: n.u(self.cells),
            quads: n.u(self.quads),
            total: n.u(total),
            row: grid.row,
        };
        let spec = specialise(Kernel::CellsEnergy, [(FACTOR, layer.factor.is_some().into())]);
        let first = Dispatch::new(spec, n, params, grid, layer.groups)?;
        let n = Numbers::default();
        let params = params::CellsRadius {
            partial: n.u(self.partial),
            radius: n.u(self.radii + l),
            total: n.u(total),
            cells: self.cells as f32,
        };
        let rounds = total.div_ceil(WORKGROUP) + 7;
        Ok([first, Dispatch::new(specialise(Kernel::CellsRadius, []), n, params, Grid::of_groups(1), rounds)?])
    }
}

/// A lower triangle as the shader reads it: for each group of four rows and each column, the four values.
fn packed_factor(factor: &[f32], channels: usize) -> Vec<f32> {
    let groups = channels.div_ceil(4);
    let value = |row: usize, column: usize| match row < channels && column < channels {
        true => factor[row * channels + column],
        false => 0.0,
    };
    let columns = (0..groups).flat_map(|o| (0..groups * 4).map(move |c| (o, c)));
    columns.flat_map(|(o, c)| (0..4).map(move |i| value(o * 4 + i, c))).collect()
}

/// A readout that was recorded, to be read after the submission.
pub(super) struct Pending {
    regions: Regions,
    staging: OwnedBuffer,
}

impl CellReader {
    /// Records the readout over the activation maps of every target behind whatever computes them. `grid` is that of
    /// its layers.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the readout does not fit into one buffer.
    pub fn record(
        &mut self,
        context: &Context,
        encoder: &mut wgpu::CommandEncoder,
        targets: &[(&wgpu::Buffer, &Layout)],
        grid: (usize, usize),
        readout: &CellReadout,
    ) -> Result<Pending> {
        let device = &context.device;
        let layouts: Vec<&Layout> = targets.iter().map(|(_, layout)| *layout).collect();
        let regions = Regions::of(&layouts, grid, readout)?;
        let bytes = work_bytes(device, regions.end, regions.classes)?;
        let steps = regions.steps(readout).map_err(|reason| out_of_bounds(regions.classes, reason))?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        if self.work.as_ref().is_some_and(|b| b.size() < bytes) {
            self.factors.clear();
        }
        let work = grown(&mut self.work, device, "cells", bytes, usage);
        let wanted: Vec<&Arc<[f32]>> = readout.layers.iter().filter_map(|l| l.factor.as_ref()).collect();
        let known =
            wanted.len() == self.factors.len() && wanted.iter().zip(&self.factors).all(|(a, b)| Arc::ptr_eq(a, b));
        if !known {
            for (layer, place) in readout.layers.iter().zip(&regions.layers) {
                if let (Some(factor), Some(at)) = (&layer.factor, place.factor) {
                    let packed = packed_factor(factor, layer.mean.len());
                    device.queue.write_buffer(work, (at * 16) as u64, bytemuck::cast_slice(&packed));
                }
            }
            self.factors = wanted.into_iter().cloned().collect();
        }
        let inputs = regions.inputs(readout);
        if !inputs.is_empty() {
            device.queue.write_buffer(work, (regions.inputs * 16) as u64, bytemuck::cast_slice(&inputs));
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = grown(&mut self.uniforms, device, "cell parameters", (steps.len() * PARAMS_BYTES) as u64, usage);
        let blocks = uniform_blocks(steps.iter().map(|(_, step)| step.params.as_slice()));
        device.queue.write_buffer(uniforms, 0, bytemuck::cast_slice(&blocks));

        let group =
            |(features, _): &(&wgpu::Buffer, &Layout)| bind(device, &context.pipelines, work, features, uniforms);
        let bindings: Vec<_> = targets.iter().map(group).collect();
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("cells"), ..Default::default() });
        for (i, (target, step)) in steps.iter().enumerate() {
            let [x, y] = step.workgroups;
            let pipeline = context.pipelines.get(&device.device, &step.spec).map_err(failed)?;
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings[*target], &[(i * PARAMS_BYTES) as u32]);
            pass.dispatch_workgroups(x, y, 1);
        }
        drop(pass);

        let read = regions.bytes_read();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        grown(&mut self.staging, device, "cells to read", read, usage);
        let staging = self.staging.take().ok_or_else(|| failed("no buffer for the result"))?;
        let work = self.work.as_ref().ok_or_else(|| failed("no buffer for the readout"))?;
        encoder.copy_buffer_to_buffer(work, (regions.first * 16) as u64, &staging, 0, read);
        Ok(Pending { regions, staging })
    }

    /// Reads the result of a recorded readout after it was submitted.
    ///
    /// # Errors
    /// Those of [`super::readback::read_floats`].
    pub async fn read(&mut self, context: &Context, pending: Pending) -> Result<CellMaps> {
        let bytes = pending.regions.bytes_read();
        let floats = super::readback::read_floats(&context.device, &pending.staging, bytes).await?;
        self.staging = Some(pending.staging);
        Ok(pending.regions.result(&floats))
    }
}
