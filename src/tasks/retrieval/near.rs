//! Groups of near-duplicates in a whole gallery. Ten thousand images make fifty million pairs, so the search first
//! bounds each pair by a few numbers of both rows, and compares hardly any in full.

use std::collections::HashMap;

use super::{DuplicateRule, Gallery, dot};

/// After how many coordinates a pair is bounded; most pairs end at the first.
const LEVELS: [usize; 3] = [16, 32, 64];
const COORDINATES: usize = LEVELS[LEVELS.len() - 1];
/// Images that are bounded at once, in vectors.
const LANES: usize = 8;
/// Rows from which the directions of the coordinates are learned, and rounds of learning.
const SAMPLE: usize = 256;
const ROUNDS: usize = 3;
/// What rounding may have taken from a bound, and from the squared length of what the coordinates leave of a row.
const MARGIN: f32 = 1e-4;
const SLACK: f32 = 1e-5;

/// A search for near-duplicates that goes through a gallery image by image, so that whoever runs it can stop it, tell
/// how far it is, and let other work in between.
///
/// Rows of length 1 are projected on orthonormal directions, the strongest of a sample (orthogonal iteration). By
/// Cauchy and Schwarz a cosine is at most the product of the projections plus the product of the lengths of what they
/// leave, whatever the directions are; so no near-duplicate is missed, and good directions only save time. Images that
/// are in one group already are not compared again.
///
/// ```
/// use famlens::tasks::retrieval::{DuplicateRule, DuplicateSearch, Gallery, Item, Origin};
/// let [model, weights, input, target, pooling] = ["net", "0", "224", "features", "gap"].map(String::from);
/// let mut gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels: 2 });
/// for (name, embedding) in [("a", [1.0, 0.0]), ("b", [0.1, 3.0]), ("a again", [2.0, 0.1])] {
///     let item = Item { name: name.into(), content: name.into(), picture: 0, width: 1, height: 1 };
///     gallery.push(item, &embedding)?;
/// }
/// let mut search = DuplicateSearch::new(&gallery, DuplicateRule::default());
/// while search.step(&gallery, 100) < gallery.len() {}
/// assert_eq!(search.groups(), [[0, 2]]);
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DuplicateSearch {
    rule: DuplicateRule,
    /// Orthonormal directions, one row each, at most [`COORDINATES`].
    directions: Vec<Vec<f32>>,
    /// The coordinates of the images so far, in blocks of [`LANES`] images: coordinate by coordinate, a value an image.
    blocks: Vec<[[f32; LANES]; COORDINATES]>,
    /// In the same blocks, for each level the length of what the coordinates up to it leave of a row.
    tails: Vec<[[f32; LANES]; LEVELS.len()]>,
    /// In the same blocks, the difference hashes.
    pictures: Vec<[u64; LANES]>,
    /// The first image of each content.
    contents: HashMap<String, usize>,
    /// For each image so far another one of its group that came before it, or itself.
    parents: Vec<usize>,
}

impl DuplicateSearch {
    /// A search in the gallery as it is now; it also sees images that are added while it runs, but none may be removed.
    pub fn new(gallery: &Gallery, rule: DuplicateRule) -> Self {
        Self {
            rule,
            directions: directions(gallery),
            blocks: Vec::new(),
            tails: Vec::new(),
            pictures: Vec::new(),
            contents: HashMap::new(),
            parents: Vec::new(),
        }
    }

    /// Compares the next `images` images with all before them, and gives how many have been looked at so far.
    pub fn step(&mut self, gallery: &Gallery, images: usize) -> usize {
        for image in self.parents.len()..self.parents.len().saturating_add(images).min(gallery.len()) {
            self.sketch(gallery, image);
            let content = &gallery.items()[image].content;
            match self.contents.get(content) {
                Some(&first) => self.join(first, image),
                None => drop(self.contents.insert(content.clone(), image)),
            }
            for block in 0..=image / LANES {
                let Some(needed) = self.bounded(block, image) else { continue };
                for (lane, needed) in needed.into_iter().enumerate() {
                    let other = block * LANES + lane;
                    if other < image
                        && needed < f32::INFINITY
                        && self.root(other) != self.root(image)
                        && gallery.similarity(other, image, needed).is_some_and(|s| s >= needed)
                    {
                        self.join(other, image);
                    }
                }
            }
        }
        self.parents.len()
    }

    /// The cosines that the images of a block need to be near-duplicates of an image, infinity for those that are
    /// bounded below that; nothing if all of them are.
    #[inline]
    fn bounded(&self, block: usize, image: usize) -> Option<[f32; LANES]> {
        let (block_of_image, lane) = (image / LANES, image % LANES);
        let (coordinates, tails) = (&self.blocks[block], &self.tails[block]);
        let mut needed = [self.rule.confirmed.min(self.rule.cosine); LANES];
        let mut products = [0f32; LANES];
        let mut from = 0;
        for (level, to) in LEVELS.into_iter().enumerate() {
            for (x, values) in self.blocks[block_of_image][from..to].iter().zip(&coordinates[from..to]) {
                let x = x[lane];
                products.iter_mut().zip(values).for_each(|(p, v)| *p += x * v);
            }
            from = to;
            let tail = self.tails[block_of_image][level][lane];
            let mut some = false;
            for ((needed, product), t) in needed.iter_mut().zip(&products).zip(&tails[level]) {
                let within = product + tail * t + MARGIN >= *needed;
                *needed = if within { *needed } else { f32::INFINITY };
                some |= within;
            }
            if !some {
                return None;
            }
            if level == 0 {
                // Only now, for counting bits takes as long as a level.
                for (needed, picture) in needed.iter_mut().zip(&self.pictures[block]) {
                    *needed = needed.max(self.rule.needed(self.pictures[block_of_image][lane], *picture));
                }
            }
        }
        Some(needed)
    }

    /// The groups found so far, of two or more images each, in ascending order, by their first member.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.parents.len()];
        (0..self.parents.len()).for_each(|i| members[self.root(i)].push(i));
        members.retain(|group| group.len() > 1);
        members
    }

    /// Adds the coordinates of an image.
    fn sketch(&mut self, gallery: &Gallery, image: usize) {
        let (block, lane) = (image / LANES, image % LANES);
        if lane == 0 {
            self.blocks.push([[0.0; LANES]; COORDINATES]);
            self.tails.push([[0.0; LANES]; LEVELS.len()]);
            self.pictures.push([0; LANES]);
        }
        let row = gallery.embedding(image).unwrap_or_default();
        let scale = gallery.inverse_norms[image];
        for (place, direction) in self.blocks[block].iter_mut().zip(&self.directions) {
            place[lane] = scale * dot(direction, row);
        }
        let mut left = if scale > 0.0 { 1.0 } else { 0.0 };
        for (k, place) in self.blocks[block].iter().enumerate() {
            left -= place[lane] * place[lane];
            if let Some(level) = LEVELS.iter().position(|&to| to == k + 1) {
                self.tails[block][level][lane] = (left.max(0.0) + SLACK).sqrt();
            }
        }
        self.pictures[block][lane] = gallery.items()[image].picture;
        self.parents.push(image);
    }

    fn root(&self, mut image: usize) -> usize {
        while self.parents[image] != image {
            image = self.parents[image];
        }
        image
    }

    fn join(&mut self, first: usize, second: usize) {
        let (a, b) = (self.root(first), self.root(second));
        self.parents[a.max(b)] = a.min(b);
        // The way to the root stays short.
        self.parents[second] = a.min(b);
        self.parents[first] = a.min(b);
    }
}

/// Orthonormal directions in which rows of the gallery are long, the strongest first.
fn directions(gallery: &Gallery) -> Vec<Vec<f32>> {
    let step = gallery.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<Vec<f32>> = (0..gallery.len())
        .step_by(step)
        .filter_map(|i| Some(gallery.embedding(i)?.iter().map(|v| v * gallery.inverse_norms[i]).collect()))
        .collect();
    let mut basis = orthonormal(sample.iter().step_by(sample.len().div_ceil(COORDINATES).max(1)).cloned());
    for _ in 0..ROUNDS {
        basis = orthonormal(basis.into_iter().map(|direction| {
            let mut next = vec![0f32; direction.len()];
            for row in &sample {
                let along = dot(row, &direction);
                next.iter_mut().zip(row).for_each(|(n, x)| *n += along * x);
            }
            next
        }));
    }
    basis
}

/// Gram and Schmidt's, twice for rounding; what depends on the rows before is left out.
fn orthonormal(rows: impl Iterator<Item = Vec<f32>>) -> Vec<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for mut row in rows {
        let before = crate::fam::norm(&row);
        for _ in 0..2 {
            for other in &basis {
                let along = dot(other, &row);
                row.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
            }
        }
        let length = crate::fam::norm(&row);
        if length > 1e-4 * before && basis.len() < COORDINATES {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            basis.push(row);
        }
    }
    basis
}
