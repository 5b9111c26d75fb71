//! Whether anything in a gallery is like a query at all.
//!
//! The gallery's own mean is subtracted from embeddings, so that what all its images have in common does not count. The
//! cosines between its images then lie around a middle `m`; those below it are of images that have nothing to do with
//! each other, and `s`, the root mean square of how far they are below, is how far chance strays. A hit is like the query
//! if its cosine reaches `m + 4 s`. How the 4 was chosen stands in docs/results.md.

use serde::Serialize;

use super::{Gallery, Hit};
use crate::fam::centred_cosine;
use crate::tasks::verdict::median;

/// From how many images on a gallery says what chance gives.
const FEWEST: usize = 12;
/// How many images are compared with each other.
const MOST: usize = 150;
/// How many times the spread of unrelated images is no chance any more.
const SPREADS: f64 = 4.0;

/// Whether the best hit is like the query.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Likeness {
    /// Whether it is; `None` if the gallery is too small to tell.
    pub like: Option<bool>,
    /// The greatest cosine of a hit, with the gallery's mean subtracted.
    pub reached: Option<f64>,
    /// What it takes.
    pub bound: Option<f64>,
    /// In words.
    pub says: String,
}

impl Gallery {
    /// Whether any of these hits is like the query, or only the least unlike. The query itself does not count.
    ///
    /// ```
    /// use famlens::tasks::retrieval::{Gallery, Origin};
    /// let [model, weights, input, target, pooling] = ["net", "0", "224", "features", "gap"].map(String::from);
    /// let gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels: 2 });
    /// assert_eq!(gallery.likeness(&[1.0, 0.0], &[]).like, None); // nobody knows
    /// ```
    pub fn likeness(&self, query: &[f32], hits: &[Hit]) -> Likeness {
        if self.len() < FEWEST || query.len() != self.origin().channels {
            let says = format!("With fewer than {FEWEST} photos it is not known whether any is like the query.");
            return Likeness { like: None, reached: None, bound: None, says };
        }
        let mut mean = vec![0f64; query.len()];
        self.rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v)));
        let mean: Vec<f32> = mean.iter().map(|m| (m / self.len() as f64) as f32).collect();
        let count = self.len().min(MOST);
        let sample: Vec<&[f32]> = (0..count).filter_map(|n| self.embedding(n * self.len() / count)).collect();
        let mut pairs = Vec::with_capacity(count * count / 2);
        for (i, a) in sample.iter().enumerate() {
            pairs.extend(sample[..i].iter().map(|b| centred_cosine(a, b, &mean)));
        }
        let middle = median(&pairs).unwrap_or(0.0);
        let below: Vec<f64> = pairs.iter().filter(|&&c| c < middle).map(|c| (middle - c).powi(2)).collect();
        let spread = (below.iter().sum::<f64>() / below.len().max(1) as f64).sqrt();
        let bound = middle + SPREADS * spread;
        // A hit that is the query itself says nothing about the others.
        let others = hits.iter().filter(|hit| hit.similarity < 0.9999);
        let cosines = others.filter_map(|hit| self.embedding(hit.index)).map(|g| centred_cosine(query, g, &mean));
        let reached = cosines.fold(f64::NEG_INFINITY, f64::max);
        let like = reached >= bound;
        let says = match like {
            true => "The first photos are like the query.",
            false => "Nothing here is like the query. These are the least unlike.",
        };
        let reached = reached.is_finite().then_some(reached);
        Likeness { like: Some(like), reached, bound: Some(bound), says: says.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Item, Origin};
    use super::*;
    use crate::random::Rng;

    #[test]
    fn what_is_unlike_is_told() {
        let [model, weights, input, target, pooling] = ["net", "0", "224", "features", "gap"].map(String::from);
        let channels = 64;
        let mut gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels });
        let mut random = Rng::with_seed(5);
        let mut draw = || (0..channels).map(|_| random.f32()).collect::<Vec<f32>>();
        let first = draw();
        for n in 0..40 {
            let item = Item { name: n.to_string(), content: n.to_string(), picture: 0, width: 1, height: 1 };
            let row = if n == 0 { first.clone() } else { draw() };
            gallery.push(item, &row).expect("it fits");
        }
        let said = |query: &[f32]| {
            let hits = gallery.rank(query, 5).expect("it ranks");
            gallery.likeness(query, &hits)
        };
        let near: Vec<f32> = first.iter().zip(draw()).map(|(v, noise)| 0.8 * v + 0.2 * noise).collect();
        assert_eq!(said(&near).like, Some(true));
        let found = said(&draw());
        assert_eq!(found.like, Some(false), "{found:?}");
        assert!(found.says.starts_with("Nothing here is like the query."));
    }
}
