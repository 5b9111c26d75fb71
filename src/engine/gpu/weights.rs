//! Weights on the GPU: packed for their kernel, uploaded once, shared between the programs of an engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::OwnedBuffer;
use super::device::Device;
use crate::error::{Error, Result};
use crate::graph::Constant;
use crate::tensor::{Int8Tensor, Tensor};

/// Order of the packed values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Packing {
    /// By tap, by group of four inputs, by group of four outputs (`outputs` of them, zeros after the last), by input:
    /// the four outputs' weights of one input lie together.
    Dense {
        /// Output groups, rounded up to whole tiles.
        outputs: usize,
    },
    /// By tap, by group of four channels.
    Depthwise,
    /// As the constant has them, as floats.
    Plain,
}

/// Where the constants of one layer lie, in units of four words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// Which of the program's buffers.
    pub page: usize,
    pub weights: u32,
    /// One scale per output; only for int8 weights.
    pub scales: u32,
    pub bias: u32,
}

/// A buffer of packed weights.
#[derive(Debug)]
pub(super) struct Page {
    pub buffer: OwnedBuffer,
}

/// What an engine has uploaded, by the constants it came from.
#[derive(Debug, Default)]
pub(super) struct WeightCache(RefCell<HashMap<Key, Entry>>);

type Key = (*const (), *const (), Packing);

#[derive(Debug)]
struct Entry {
    page: Weak<Page>,
    placed: Placed,
    /// Proves that the addresses in the key still belong to the same constants.
    alive: (WeakConstant, std::sync::Weak<Tensor>),
}

#[derive(Debug)]
enum WeakConstant {
    Float(std::sync::Weak<Tensor>),
    Int8(std::sync::Weak<Int8Tensor>),
}

impl WeakConstant {
    fn of(constant: &Constant) -> Self {
        match constant {
            Constant::Float(t) => Self::Float(Arc::downgrade(t)),
            Constant::Int8(t) => Self::Int8(Arc::downgrade(t)),
        }
    }

    fn is_alive(&self) -> bool {
        match self {
            Self::Float(t) => t.strong_count() > 0,
            Self::Int8(t) => t.strong_count() > 0,
        }
    }
}

fn address(constant: &Constant) -> *const () {
    match constant {
        Constant::Float(t) => Arc::as_ptr(t).cast(),
        Constant::Int8(t) => Arc::as_ptr(t).cast(),
    }
}

/// Collects the weights of one program.
pub(super) struct Uploader<'a> {
    cache: &'a WeightCache,
    /// Bytes that one buffer may have.
    limit: usize,
    shared: Vec<Rc<Page>>,
    pending: Vec<Vec<u32>>,
    new: Vec<(Key, Entry)>,
}

/// Pages of one program: those that were there, then the new ones.
const NEW_PAGES_FROM: usize = usize::MAX / 2;

impl<'a> Uploader<'a> {
    pub fn new(cache: &'a WeightCache, limits: &wgpu::Limits) -> Self {
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        cache.0.borrow_mut().retain(|_, e| e.page.strong_count() > 0 && e.alive.0.is_alive());
        Self { cache, limit, shared: Vec::new(), pending: Vec::new(), new: Vec::new() }
    }

    /// Places the weight and bias of one layer.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if they do not fit into one buffer.
    pub fn place(&mut self, node: &str, weight: &Constant, bias: &Arc<Tensor>, packing: Packing) -> Result<Placed> {
        let key = (address(weight), Arc::as_ptr(bias).cast(), packing);
        if let Some((_, entry)) = self.new.iter().find(|(k, _)| *k == key) {
            return Ok(entry.placed);
        }
        if let Some(entry) = self.cache.0.borrow().get(&key)
            && let Some(page) = entry.page.upgrade()
            && entry.alive.0.is_alive()
            && entry.alive.1.strong_count() > 0
        {
            let at = self.shared.iter().position(|p| Rc::ptr_eq(p, &page)).unwrap_or_else(|| {
                self.shared.push(page);
                self.shared.len() - 1
            });
            return Ok(Placed { page: at, ..entry.placed });
        }

        let (words, scales) = pack(weight, packing);
        let outputs = match packing {
            Packing::Dense { outputs } => outputs * 4,
            _ => bias.data().len().next_multiple_of(4),
        };
        let floats = |values: &[f32]| {
            let rest = outputs.saturating_sub(values.len());
            values.iter().map(|v| v.to_bits()).chain(std::iter::repeat_n(0, rest)).collect::<Vec<u32>>()
        };
        let parts = [words, floats(&scales), floats(bias.data())];
        let size: usize = parts.iter().map(|p| p.len().next_multiple_of(4)).sum();
        if size.saturating_mul(4) > self.limit {
            return Err(Error::TooLarge {
                what: format!("the weight of layer {node:?}"),
                size: format!("{} bytes", size.saturating_mul(4)),
                limit: super::device::binding_limit(self.limit),
            });
        }
        if self.pending.last().is_none_or(|page| (page.len() + size) * 4 > self.limit) {
            self.pending.push(Vec::new());
        }
        let index = self.pending.len() - 1;
        let Some(page) = self.pending.last_mut() else { return Err(super::device::failed("no page for the weights")) };
        let mut offsets = [0u32; 3];
        for (offset, part) in offsets.iter_mut().zip(parts) {
            *offset = (page.len() / 4) as u32;
            page.extend(part);
            page.resize(page.len().next_multiple_of(4), 0);
        }
        let [weights, scales, bias_at] = offsets;
        let placed = Placed { page: NEW_PAGES_FROM + index, weights, scales, bias: bias_at };
        let alive = (WeakConstant::of(weight), Arc::downgrade(bias));
        self.new.push((key, Entry { page: Weak::new(), placed, alive }));
        Ok(placed)
    }

    /// Uploads what is new. Returns the program's buffers and, for each [`Placed::page`], which of them it is.
    pub fn finish(self, device: &Device) -> (Vec<Rc<Page>>, impl Fn(usize) -> usize + use<>) {
        let mut pages = self.shared;
        let first_new = pages.len();
        for words in &self.pending {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = OwnedBuffer::new(device, "weights", words.len(), usage);
            device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            pages.push(Rc::new(Page { buffer }));
        }
        let resolve = move |page: usize| page.checked_sub(NEW_PAGES_FROM).map_or(page, |new| first_new + new);
        let mut cache = self.cache.0.borrow_mut();
        for (key, mut entry) in self.new {
            if let Some(page) = pages.get(resolve(entry.placed.page)) {
                entry.page = Rc::downgrade(page);
                cache.insert(key, entry);
            }
        }
        (pages, resolve)
    }
}

/// The packed words and the scales (none for floats).
fn pack(weight: &Constant, packing: Packing) -> (Vec<u32>, Vec<f32>) {
    let dims = weight.shape().dims();
    let outputs = dims.first().copied().unwrap_or(1);
    let inputs = dims.get(1).copied().unwrap_or(1);
    let taps: usize = dims.iter().skip(2).product();
    match (weight, packing) {
        (Constant::Int8(t), Packing::Dense { outputs: groups }) => {
            let data = t.data();
            let at = |o: usize, i: usize, tap: usize| match o < outputs && i < inputs {
                true => data[(o * inputs + i) * taps + tap] as u8,
                false => 0,
            };
            let word = |tap, i, o: usize| word(std::array::from_fn(|lane| at(o + lane, i, tap)));
            (dense(taps, inputs, groups).map(|(tap, i, o)| word(tap, i, o)).collect(), t.scales().to_vec())
        }
        (Constant::Int8(t), Packing::Depthwise) => {
            let at = |c: usize, tap: usize| if c < outputs { t.data()[c * taps + tap] as u8 } else { 0 };
            let groups = outputs.div_ceil(4);
            let places = (0..taps).flat_map(|tap| (0..groups).map(move |c| (tap, 4 * c)));
            let word = |(tap, c)| word(std::array::from_fn(|lane| at(c + lane, tap)));
            (places.map(word).collect(), t.scales().to_vec())
        }
        (constant, packing) => (pack_floats(constant.to_float().data(), [outputs, inputs, taps], packing), Vec::new()),
    }
}

/// Four int8 weights as the shaders' `int8_weights` takes them: 128 added to the lowest three.
fn word(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes) ^ 0x0080_8080
}

fn pack_floats(data: &[f32], [outputs, inputs, taps]: [usize; 3], packing: Packing) -> Vec<u32> {
    let at = |o: usize, i: usize, tap: usize| match o < outputs && i < inputs {
        true => data[(o * inputs + i) * taps + tap].to_bits(),
        false => 0,
    };
    match packing {
        Packing::Dense { outputs: groups } => {
            let places = dense(taps, inputs, groups);
            places
                .flat_map(|(tap, i, o)| (0..4).map(move |lane| (tap, i, o + lane)))
                .map(|(t, i, o)| at(o, i, t))
                .collect()
        }
        Packing::Depthwise => {
            let channels = outputs.next_multiple_of(4);
            (0..taps).flat_map(|tap| (0..channels).map(move |c| (tap, c))).map(|(tap, c)| at(c, 0, tap)).collect()
        }
        Packing::Plain => data.iter().map(|v| v.to_bits()).collect(),
    }
}

/// `(tap, input, first of four outputs)` in the order of [`Packing::Dense`].
fn dense(taps: usize, inputs: usize, groups: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let quads = inputs.div_ceil(4);
    (0..taps).flat_map(move |tap| {
        (0..quads).flat_map(move |k| (0..groups).flat_map(move |o| (0..4).map(move |i| (tap, 4 * k + i, 4 * o))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_words_hold_four_outputs_of_one_input() {
        // Five outputs, two inputs, one tap: w[o, i] = 10 o + i.
        let data = (0..5i8).flat_map(|o| (0..2i8).map(move |i| 10 * o + i)).collect();
        let weight = Int8Tensor::new([5, 2, 1, 1], data, vec![1.0; 5]).unwrap();
        let (words, scales) = pack(&Constant::Int8(Arc::new(weight)), Packing::Dense { outputs: 2 });
        let bytes: Vec<[u8; 4]> = words.iter().map(|w| (w ^ 0x0080_8080).to_le_bytes()).collect();
        assert_eq!(bytes[..4], [[0, 10, 20, 30], [1, 11, 21, 31], [0; 4], [0; 4]]);
        assert_eq!(bytes[4..], [[40, 0, 0, 0], [41, 0, 0, 0], [0; 4], [0; 4]]);
        assert_eq!(scales.len(), 5);
    }

    #[test]
    fn depthwise_words_hold_four_channels_of_one_tap() {
        let data = (0..6i8).flat_map(|c| (0..2i8).map(move |tap| 10 * c + tap)).collect();
        let weight = Int8Tensor::new([6, 1, 1, 2], data, vec![1.0; 6]).unwrap();
        let (words, _) = pack(&Constant::Int8(Arc::new(weight)), Packing::Depthwise);
        let bytes: Vec<[u8; 4]> = words.iter().map(|w| (w ^ 0x0080_8080).to_le_bytes()).collect();
        assert_eq!(bytes, [[0, 10, 20, 30], [40, 50, 0, 0], [1, 11, 21, 31], [41, 51, 0, 0]]);
    }
}
