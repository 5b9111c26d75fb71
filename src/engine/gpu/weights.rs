//! Weights on the GPU: packed for their kernel, uploaded once, shared between the programs of an engine.
//!
//! The engine finds a weight again by the constant it came from. A graph for another image size may have made its own
//! constant (a folded normalisation); then the engine compares values. It packs and uploads one layer after the other,
//! so that the host never holds a second copy of them all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

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

/// What an engine has uploaded.
#[derive(Debug, Default)]
pub(super) struct WeightCache(RefCell<Uploaded>);

#[derive(Debug, Default)]
struct Uploaded {
    by_constant: HashMap<Key, Entry>,
    by_content: HashMap<Content, (Weak<Page>, Placed)>,
}

impl WeightCache {
    /// Bytes of the weights that are on the device.
    pub fn bytes(&self) -> u64 {
        let uploaded = self.0.borrow();
        let pages = uploaded.by_content.values().filter_map(|(page, _)| page.upgrade());
        let sizes: HashMap<_, _> = pages.map(|page| (Rc::as_ptr(&page), page.buffer.size())).collect();
        sizes.values().sum()
    }
}

/// Where weight and bias lie in host memory, and how they are packed.
type Key = (*const (), *const (), Packing);

/// XXH64 of weight and bias with their shapes, and how they are packed.
type Content = (u64, u64, Packing);

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

/// The hashes of weight and bias.
fn content(weight: &Constant, bias: &Tensor, packing: Packing) -> Content {
    let shape = |dims: &[usize]| dims.iter().fold(dims.len() as u64, |seed, &d| xxh64(&d.to_le_bytes(), seed));
    let floats = |values: &[f32], seed| xxh64(bytemuck::cast_slice(values), seed);
    let seed = shape(weight.shape().dims());
    let weight = match weight {
        Constant::Float(t) => floats(t.data(), seed),
        Constant::Int8(t) => xxh64(bytemuck::cast_slice(t.data()), floats(t.scales(), !seed)),
    };
    (weight, floats(bias.data(), shape(bias.shape().dims())), packing)
}

/// One layer on its way up: where its three parts begin on its page, in words.
struct Layer {
    weight: Constant,
    bias: Arc<Tensor>,
    packing: Packing,
    offsets: [usize; 3],
}

/// A page that is not there yet.
#[derive(Default)]
struct Pending {
    layers: Vec<Layer>,
    words: usize,
}

/// Collects the weights of one program.
pub(super) struct Uploader<'a> {
    cache: &'a WeightCache,
    /// Bytes that one buffer may have.
    limit: usize,
    shared: Vec<Rc<Page>>,
    pending: Vec<Pending>,
    new: Vec<(Key, Content, Entry)>,
}

/// Bytes that are sent to the device before it is waited for: what is on its way is in host memory once more.
const ON_THE_WAY: usize = 16 << 20;

/// Pages of one program: those that were there, then the new ones.
const NEW_PAGES_FROM: usize = usize::MAX / 2;

impl<'a> Uploader<'a> {
    pub fn new(cache: &'a WeightCache, limits: &wgpu::Limits) -> Self {
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut uploaded = cache.0.borrow_mut();
        uploaded.by_constant.retain(|_, e| e.page.strong_count() > 0 && e.alive.0.is_alive());
        uploaded.by_content.retain(|_, (page, _)| page.strong_count() > 0);
        drop(uploaded);
        Self { cache, limit, shared: Vec::new(), pending: Vec::new(), new: Vec::new() }
    }

    /// Places the weight and bias of one layer.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if they do not fit into one buffer.
    pub fn place(&mut self, node: &str, weight: &Constant, bias: &Arc<Tensor>, packing: Packing) -> Result<Placed> {
        let key = (address(weight), Arc::as_ptr(bias).cast(), packing);
        if let Some((.., entry)) = self.new.iter().find(|(k, ..)| *k == key) {
            return Ok(entry.placed);
        }
        let known = self.cache.0.borrow().by_constant.get(&key).and_then(|entry| {
            let alive = entry.alive.0.is_alive() && entry.alive.1.strong_count() > 0;
            entry.page.upgrade().filter(|_| alive).map(|page| (page, entry.placed))
        });
        if let Some((page, placed)) = known {
            return Ok(self.share(page, placed));
        }
        let content = content(weight, bias, packing);
        let alive = (WeakConstant::of(weight), Arc::downgrade(bias));
        if let Some((.., entry)) = self.new.iter().find(|(_, c, _)| *c == content) {
            return Ok(entry.placed);
        }
        let known =
            self.cache.0.borrow().by_content.get(&content).and_then(|(p, placed)| Some((p.upgrade()?, *placed)));
        if let Some((page, placed)) = known {
            let entry = Entry { page: Rc::downgrade(&page), placed, alive };
            self.cache.0.borrow_mut().by_constant.insert(key, entry);
            return Ok(self.share(page, placed));
        }

        let parts = part_words(weight, bias, packing);
        let size = parts.iter().fold(0usize, |n, &part| n.saturating_add(part));
        if size.saturating_mul(4) > self.limit {
            return Err(Error::TooLarge {
                what: format!("the weight of layer {node:?}"),
                size: format!("{} bytes", size.saturating_mul(4)),
                limit: super::device::binding_limit(self.limit),
            });
        }
        if self.pending.last().is_none_or(|page| page.words.saturating_add(size).saturating_mul(4) > self.limit) {
            self.pending.push(Pending::default());
        }
        let index = self.pending.len() - 1;
        let Some(page) = self.pending.last_mut() else { return Err(super::device::failed("no page for the weights")) };
        let offsets = parts.map(|words| {
            page.words += words;
            page.words - words
        });
        page.layers.push(Layer { weight: weight.clone(), bias: bias.clone(), packing, offsets });
        let [weights, scales, bias] = offsets.map(|words| (words / 4) as u32);
        let placed = Placed { page: NEW_PAGES_FROM + index, weights, scales, bias };
        self.new.push((key, content, Entry { page: Weak::new(), placed, alive }));
        Ok(placed)
    }

    /// A place on a page that is there.
    fn share(&mut self, page: Rc<Page>, placed: Placed) -> Placed {
        let at = self.shared.iter().position(|p| Rc::ptr_eq(p, &page)).unwrap_or_else(|| {
            self.shared.push(page);
            self.shared.len() - 1
        });
        Placed { page: at, ..placed }
    }

    /// Uploads what is new. Returns the program's buffers and, for each [`Placed::page`], which of them it is.
    pub fn finish(self, device: &Device) -> (Vec<Rc<Page>>, impl Fn(usize) -> usize + use<>) {
        let mut pages = self.shared;
        let first_new = pages.len();
        let mut on_the_way = 0;
        for page in self.pending {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = OwnedBuffer::new(device, "weights", page.words, usage);
            for layer in page.layers {
                for (part, offset) in packed(&layer).iter().zip(layer.offsets) {
                    device.queue.write_buffer(&buffer, (offset * 4) as u64, bytemuck::cast_slice(part));
                    on_the_way += part.len() * 4;
                }
                if on_the_way >= ON_THE_WAY {
                    device.flush();
                    on_the_way = 0;
                }
            }
            pages.push(Rc::new(Page { buffer }));
        }
        let resolve = move |page: usize| page.checked_sub(NEW_PAGES_FROM).map_or(page, |new| first_new + new);
        let mut uploaded = self.cache.0.borrow_mut();
        for (key, content, mut entry) in self.new {
            if let Some(page) = pages.get(resolve(entry.placed.page)) {
                entry.page = Rc::downgrade(page);
                uploaded.by_content.insert(content, (Rc::downgrade(page), entry.placed));
                uploaded.by_constant.insert(key, entry);
            }
        }
        (pages, resolve)
    }
}

/// Words of the three parts of a layer: weights, scales and bias, each a whole number of fours.
fn part_words(weight: &Constant, bias: &Tensor, packing: Packing) -> [usize; 3] {
    let [outputs, inputs, taps] = sizes(weight);
    let product = |factors: [usize; 3]| factors.iter().fold(1usize, |n, &f| n.saturating_mul(f));
    let lanes = if matches!(weight, Constant::Int8(_)) && packing != Packing::Plain { 1 } else { 4 };
    let words = match packing {
        Packing::Dense { outputs } => product([taps, inputs.div_ceil(4) * 4, outputs]).saturating_mul(lanes),
        Packing::Depthwise => product([taps, outputs.div_ceil(4), lanes]),
        Packing::Plain => weight.shape().len(),
    };
    let scales = match weight {
        Constant::Int8(_) if packing != Packing::Plain => padded_outputs(bias, packing),
        Constant::Int8(_) | Constant::Float(_) => 0,
    };
    let whole = |words: usize| words.checked_next_multiple_of(4).unwrap_or(usize::MAX);
    [whole(words), whole(scales), whole(padded_outputs(bias, packing))]
}

/// Scales and biases that a kernel reads, those of padding included.
fn padded_outputs(bias: &Tensor, packing: Packing) -> usize {
    match packing {
        Packing::Dense { outputs } => outputs.saturating_mul(4).max(bias.data().len()),
        Packing::Depthwise | Packing::Plain => bias.data().len().next_multiple_of(4),
    }
}

/// The three parts of a layer.
fn packed(layer: &Layer) -> [Vec<u32>; 3] {
    let (words, scales) = pack(&layer.weight, layer.packing);
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    let mut parts = [words, bits(&scales), bits(layer.bias.data())];
    let sizes = part_words(&layer.weight, &layer.bias, layer.packing);
    parts.iter_mut().zip(sizes).for_each(|(part, words)| part.resize(words, 0));
    parts
}

/// Outputs, inputs of one output, and taps.
fn sizes(weight: &Constant) -> [usize; 3] {
    let dims = weight.shape().dims();
    let at = |i: usize| dims.get(i).copied().unwrap_or(1);
    [at(0), at(1), dims.iter().skip(2).product()]
}

/// The packed words and the scales (none for floats).
fn pack(weight: &Constant, packing: Packing) -> (Vec<u32>, Vec<f32>) {
    let [outputs, inputs, taps] = sizes(weight);
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
    fn the_parts_of_a_layer_are_as_long_as_they_are_said_to_be() {
        let float = |dims: [usize; 4]| Constant::Float(Arc::new(Tensor::zeros(dims)));
        let int8 = |dims: [usize; 4]| {
            let len = dims.iter().product();
            Constant::Int8(Arc::new(Int8Tensor::new(dims, vec![0; len], vec![1.0; dims[0]]).unwrap()))
        };
        for outputs in [1, 4, 5, 8] {
            let bias = Tensor::zeros([outputs]);
            let dense = Packing::Dense { outputs: outputs.div_ceil(4).next_multiple_of(2) };
            let layers = [
                (float([outputs, 3, 3, 3]), dense),
                (int8([outputs, 3, 3, 3]), dense),
                (float([outputs, 1, 5, 5]), Packing::Depthwise),
                (int8([outputs, 1, 5, 5]), Packing::Depthwise),
                (float([outputs, 3, 3, 3]), Packing::Plain),
                (int8([outputs, 3, 3, 3]), Packing::Plain),
            ];
            for (weight, packing) in layers {
                let (words, scales) = pack(&weight, packing);
                let [weights, scale, _] = part_words(&weight, &bias, packing);
                assert_eq!(words.len().next_multiple_of(4), weights, "{packing:?}");
                assert!(scales.is_empty() == (scale == 0) && scales.len() <= scale, "{packing:?}");
            }
        }
    }

    #[test]
    fn weights_are_known_by_their_values() {
        let weight = |last: f32| Constant::Float(Arc::new(Tensor::new([2, 2], vec![1.0, 2.0, 3.0, last]).unwrap()));
        let bias = Tensor::zeros([2]);
        let of = |weight: &Constant, packing| content(weight, &bias, packing);
        assert_eq!(of(&weight(4.0), Packing::Plain), of(&weight(4.0), Packing::Plain));
        assert_ne!(of(&weight(4.0), Packing::Plain), of(&weight(5.0), Packing::Plain));
        assert_ne!(of(&weight(4.0), Packing::Plain), of(&weight(4.0), Packing::Depthwise));
        let other = Constant::Float(Arc::new(Tensor::new([4, 1], vec![1.0, 2.0, 3.0, 4.0]).unwrap()));
        assert_ne!(of(&weight(4.0), Packing::Plain), of(&other, Packing::Plain));
    }

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
