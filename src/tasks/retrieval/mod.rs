//! Image retrieval: a gallery of embeddings, ranked by similarity to a query, with its near-duplicates.

mod like;
mod near;
mod store;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use like::Likeness;
pub use near::DuplicateSearch;
pub use store::array_checksum;
pub(crate) use store::read_npy;

/// What made the embeddings of a gallery. Embeddings of different origins cannot be compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name, for people.
    pub model: String,
    /// Hash of the model file's bytes.
    pub weights: String,
    /// How photos become the model's input.
    pub input: String,
    /// The target layer.
    pub target: String,
    /// How the target layer is pooled.
    pub pooling: String,
    /// Values of an embedding.
    pub channels: usize,
}

impl Origin {
    /// Refuses another origin.
    ///
    /// # Errors
    /// [`Error::Argument`] that names everything in which `other`, the origin that is wanted now, differs.
    pub fn check(&self, other: &Self) -> Result<()> {
        let same_model = self.model == other.model;
        let channels = [self, other].map(|origin| origin.channels.to_string());
        let parts = [
            ("model", &self.model, &other.model),
            ("weights", &self.weights, if same_model { &other.weights } else { &self.weights }),
            ("input", &self.input, &other.input),
            ("target layer", &self.target, &other.target),
            ("pooling", &self.pooling, &other.pooling),
            ("channels", &channels[0], &channels[1]),
        ];
        let differences = parts.into_iter().filter(|(_, made, now)| made != now);
        let differences: Vec<_> = differences.map(|(what, made, now)| format!("{what} {made} (now {now})")).collect();
        if differences.is_empty() {
            return Ok(());
        }
        let reason = format!("its embeddings were made with {}", differences.join(", "));
        Err(Error::argument("gallery", format!("{reason}; choose the same again, or index the images anew")))
    }

    /// One short text for all of it, to file embeddings under.
    pub fn key(&self) -> String {
        let Self { weights, input, target, pooling, channels, .. } = self;
        format!("{weights}|{input}|{target}|{pooling}|{channels}")
    }
}

/// An image of a gallery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Its name or path.
    pub name: String,
    /// Hash of the file's bytes (SHA-256 in hexadecimal), or anything else that identifies the content.
    pub content: String,
    /// [Difference hash](crate::image::difference_hash) of the picture.
    #[serde(with = "hex")]
    pub picture: u64,
    /// Width of the photo in pixels.
    pub width: u32,
    /// Height of the photo in pixels.
    pub height: u32,
}

/// The embeddings of many images, each with its item.
#[derive(Clone, PartialEq, Debug)]
pub struct Gallery {
    origin: Origin,
    items: Vec<Item>,
    /// One row an item, as the model gave it.
    embeddings: Vec<f32>,
    /// `1 / |g|` of each row, 0 for a zero row.
    inverse_norms: Vec<f32>,
    /// For each row and each block of channels, the length of the row from that block on, as a part of all of it.
    tails: Vec<f32>,
}

/// Channels of a block. After each one a comparison may find that the rest cannot matter any more.
const BLOCK: usize = 128;

/// An image found for a query.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Hit {
    /// Its place in the gallery.
    pub index: usize,
    /// Its score: the cosine similarity unless another score was asked for.
    pub similarity: f64,
}

/// When two images count as near-duplicates: their embeddings' cosine similarity reaches `cosine`, or it reaches
/// `confirmed` and the difference hashes of the pictures differ in at most `bits` bits, or the files are the same.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DuplicateRule {
    /// Cosine similarity that suffices alone.
    pub cosine: f32,
    /// Cosine similarity that suffices together with the hash.
    pub confirmed: f32,
    /// Most bits of 64 in which the hashes may differ.
    pub bits: u32,
}

impl Default for DuplicateRule {
    fn default() -> Self {
        Self { cosine: 0.95, confirmed: 0.85, bits: 8 }
    }
}

/// Two near-duplicates of a gallery.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Duplicate {
    /// The earlier one.
    pub first: usize,
    /// The later one.
    pub second: usize,
    /// Cosine similarity of the two.
    pub similarity: f32,
    /// Whether the files are the same, byte by byte.
    pub same: bool,
}

/// What a hit is a near-duplicate of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "of", content = "rank")]
pub enum Mark {
    /// Of the query, whose file it is, byte by byte.
    SameFile,
    /// Of the query.
    Query,
    /// Of a hit before it, by its place among the hits.
    Hit(usize),
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SameFile => f.write_str("the same file as the query"),
            Self::Query => f.write_str("near-duplicate of the query"),
            Self::Hit(rank) => write!(f, "near-duplicate of {}", rank + 1),
        }
    }
}

impl Gallery {
    /// An empty gallery.
    pub fn new(origin: Origin) -> Self {
        Self { origin, items: Vec::new(), embeddings: Vec::new(), inverse_norms: Vec::new(), tails: Vec::new() }
    }

    /// What made its embeddings.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its images, in the order they were added.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no images.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The embedding of an image, as the model gave it.
    pub fn embedding(&self, index: usize) -> Option<&[f32]> {
        let start = index.checked_mul(self.origin.channels)?;
        self.embeddings.get(start..start + self.origin.channels).filter(|_| index < self.len())
    }

    /// Adds an image and gives its place.
    ///
    /// # Errors
    /// [`Error::Argument`] if the embedding has another length or a value that is not finite.
    pub fn push(&mut self, item: Item, embedding: &[f32]) -> Result<usize> {
        if embedding.len() != self.origin.channels {
            let reason = format!("{} values do not fit a gallery of {}", embedding.len(), self.origin.channels);
            return Err(Error::argument("embedding", format!("{}: {reason}", item.name)));
        }
        if embedding.iter().any(|v| !v.is_finite()) {
            return Err(Error::argument("embedding", format!("{}: a value is not a finite number", item.name)));
        }
        self.items.push(item);
        self.embeddings.extend_from_slice(embedding);
        let inverse = inverse_norm(embedding);
        self.inverse_norms.push(inverse);
        let starts = (0..embedding.len()).step_by(BLOCK);
        self.tails.extend(starts.map(|start| crate::fam::norm(&embedding[start..]) as f32 * inverse));
        Ok(self.len() - 1)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no image at that place.
    pub fn rename(&mut self, index: usize, name: impl Into<String>) -> Result<()> {
        let count = self.len();
        let missing = || Error::argument("index", format!("there is no image {index} among {count}"));
        self.items.get_mut(index).ok_or_else(missing)?.name = name.into();
        Ok(())
    }

    /// Keeps the images for which `keep` says so and closes the gaps.
    pub fn retain(&mut self, mut keep: impl FnMut(&Item) -> bool) {
        let mut kept = Self::new(self.origin.clone());
        for (index, item) in std::mem::take(&mut self.items).into_iter().enumerate() {
            if keep(&item) {
                let start = index * self.origin.channels;
                kept.embeddings.extend_from_slice(&self.embeddings[start..start + self.origin.channels]);
                kept.inverse_norms.push(self.inverse_norms[index]);
                kept.tails.extend_from_slice(self.tails_of(index));
                kept.items.push(item);
            }
        }
        *self = kept;
    }

    /// The `top` images most similar to a query embedding by cosine, the best first; of equals the earlier.
    ///
    /// ```
    /// use famlens::tasks::retrieval::{Gallery, Item, Origin};
    /// let [model, weights, input, target, pooling] = ["net", "0", "224", "features", "gap"].map(String::from);
    /// let mut gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels: 2 });
    /// for (name, embedding) in [("a", [1.0, 0.0]), ("b", [3.0, 3.0]), ("c", [0.0, 9.0])] {
    ///     let item = Item { name: name.into(), content: name.into(), picture: 0, width: 1, height: 1 };
    ///     gallery.push(item, &embedding)?;
    /// }
    /// let hits = gallery.rank(&[1.0, 2.0], 2)?;
    /// assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the query has another number of channels.
    pub fn rank(&self, query: &[f32], top: usize) -> Result<Vec<Hit>> {
        if query.len() != self.origin.channels {
            let reason = format!("has {} channels, and the gallery {}", query.len(), self.origin.channels);
            return Err(Error::argument("query", reason));
        }
        let length = inverse_norm(query);
        let scores = self.rows().zip(&self.inverse_norms);
        Ok(best(scores.map(|(row, inverse)| f64::from(dot(query, row) * inverse * length)), top))
    }

    /// The `top` images by any score of an embedding, the highest first; of equals the earlier.
    pub fn rank_by(&self, top: usize, score: impl Fn(&[f32]) -> f64) -> Vec<Hit> {
        best(self.rows().map(score), top)
    }

    /// Whether two images of the gallery are near-duplicates.
    pub fn duplicate(&self, first: usize, second: usize, rule: &DuplicateRule) -> Option<Duplicate> {
        let (first, second) = (first.min(second), first.max(second));
        let (a, b) = (self.items.get(first)?, self.items.get(second)?);
        let same = a.content == b.content;
        let needed = if same { f32::NEG_INFINITY } else { rule.needed(a.picture, b.picture) };
        let similarity = self.similarity(first, second, needed)?;
        (same || similarity >= needed).then_some(Duplicate { first, second, similarity, same })
    }

    /// The cosine similarity of two images, or nothing once it is certain to stay below `needed`: the rest of both rows
    /// adds at most the product of their lengths (Cauchy and Schwarz). Most pairs end after the first block.
    fn similarity(&self, first: usize, second: usize, needed: f32) -> Option<f32> {
        let (a, b) = (self.embedding(first)?, self.embedding(second)?);
        let scale = self.inverse_norms[first] * self.inverse_norms[second];
        let tails = self.tails_of(first).iter().zip(self.tails_of(second));
        let mut sum = 0.0;
        for ((a, b), (tail_a, tail_b)) in a.chunks(BLOCK).zip(b.chunks(BLOCK)).zip(tails) {
            // The margin is for what rounding may have taken.
            if sum * scale + tail_a * tail_b + 1e-4 < needed {
                return None;
            }
            sum += dot(a, b);
        }
        Some(sum * scale)
    }

    fn tails_of(&self, index: usize) -> &[f32] {
        let blocks = self.origin.channels.div_ceil(BLOCK);
        &self.tails[index * blocks..(index + 1) * blocks]
    }

    /// What each hit is a near-duplicate of, if it is one: the query `query`, or a hit before it.
    pub fn marks(&self, query: &Item, hits: &[Hit], rule: &DuplicateRule) -> Vec<Option<Mark>> {
        let mark = |(rank, hit): (usize, &Hit)| {
            let item = self.items.get(hit.index)?;
            if item.content == query.content {
                return Some(Mark::SameFile);
            }
            if rule.holds(hit.similarity as f32, query, item) {
                return Some(Mark::Query);
            }
            let near = |other: &Hit| self.duplicate(other.index, hit.index, rule).is_some();
            hits[..rank].iter().position(near).map(Mark::Hit)
        };
        hits.iter().enumerate().map(mark).collect()
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.embeddings.chunks_exact(self.origin.channels.max(1))
    }
}

impl DuplicateRule {
    /// Whether images of that cosine similarity are near-duplicates.
    pub fn holds(&self, similarity: f32, a: &Item, b: &Item) -> bool {
        a.content == b.content || similarity >= self.needed(a.picture, b.picture)
    }

    /// The cosine similarity from which two images of different content, with these difference hashes, are
    /// near-duplicates.
    fn needed(&self, a: u64, b: u64) -> f32 {
        let confirmed = (a ^ b).count_ones() <= self.bits;
        if confirmed { self.confirmed.min(self.cosine) } else { self.cosine }
    }
}

fn best(scores: impl Iterator<Item = f64>, top: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = scores.enumerate().map(|(index, similarity)| Hit { index, similarity }).collect();
    let order = |a: &Hit, b: &Hit| b.similarity.total_cmp(&a.similarity).then(a.index.cmp(&b.index));
    if top < hits.len() {
        hits.select_nth_unstable_by(top, order);
        hits.truncate(top);
    }
    hits.sort_unstable_by(order);
    hits
}

/// Dot product in single precision, in sixteen strands that a compiler turns into vectors: ranking by the hundred
/// million products leaves no time for more digits, and its error is far below what tells images apart.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut strands = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((s, x), y) in strands.iter_mut().zip(a).zip(b) {
            *s += x * y;
        }
    }
    strands.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum::<f32>()
}

fn inverse_norm(row: &[f32]) -> f32 {
    let length = crate::fam::norm(row);
    if length > 0.0 { (1.0 / length) as f32 } else { 0.0 }
}

/// 64-bit hashes as text: JSON numbers lose digits in JavaScript.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
