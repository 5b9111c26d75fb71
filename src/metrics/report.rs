//! Rows of figures, one an image and variant, and the aggregates that tables show: means with bootstrap intervals over
//! images, by object size, and paired differences between variants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bootstrap, Interval, LocalisationScores, ObjectSize, Paired, bootstrap_groups, paired};
use crate::error::Result;

/// One figure that a table shows: what it is called, what it means and which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// The name in rows.
    pub name: &'static str,
    /// The name shown to people.
    pub label: &'static str,
    /// What it is, in one sentence.
    pub sentence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Whether more (`true`) or less is better; `None` if neither.
    pub more_is_better: Option<bool>,
}

/// Every figure that rows may hold. All are shares from 0 to 1, and correlations from -1 to 1.
pub const MEASURES: &[Measure] = &[
    measure(
        "correct",
        "accuracy",
        "Whether the class with the highest score is the photo's own, among all classes.",
        "arXiv 1703.05175",
        Some(true),
    ),
    measure(
        "correct2",
        "2-way",
        "The chance that its own class wins against one other class drawn at random.",
        "arXiv 1703.05175",
        Some(true),
    ),
    measure(
        "correct5",
        "5-way",
        "The chance that its own class wins against four other classes drawn at random.",
        "arXiv 1703.05175",
        Some(true),
    ),
    measure(
        "iou",
        "IoU",
        "Overlap over union of the box around the largest region over the threshold and the nearest drawn box.",
        "CAM, arXiv 1512.04150",
        Some(true),
    ),
    measure(
        "corloc",
        "CorLoc",
        "Share of the photos whose IoU is at least 0.5.",
        "Deselaers et al., IJCV 2012",
        Some(true),
    ),
    measure(
        "energy",
        "energy in box",
        "Share of the map's positive part that lies in the boxes.",
        "energy-based pointing game, arXiv 1910.01279",
        Some(true),
    ),
    measure(
        "pointing",
        "peak in box",
        "Whether the map's peak lies in a box.",
        "pointing game, arXiv 1608.00507",
        Some(true),
    ),
    measure(
        "maskIou",
        "mask IoU",
        "Overlap over union of the pixels over the threshold and the drawn outline.",
        "PASCAL VOC segmentation",
        Some(true),
    ),
    measure(
        "maskEnergy",
        "energy in mask",
        "Share of the map's positive part that lies in the drawn outline.",
        "arXiv 1910.01279",
        Some(true),
    ),
    measure(
        "maskPointing",
        "peak in mask",
        "Whether the map's peak lies in the drawn outline.",
        "arXiv 1608.00507",
        Some(true),
    ),
    measure(
        "wrong",
        "wrong-class map",
        "Correlation of the map of the photo's own class with those of other classes: 1 means that the map ignores the class.",
        "famlens",
        Some(false),
    ),
    measure(
        "drop",
        "average drop",
        "How much of the confidence is lost when only what the map shows is left.",
        "Grad-CAM++, arXiv 1710.11063",
        Some(false),
    ),
    measure(
        "increase",
        "increase",
        "Share of the photos whose confidence grows when only what the map shows is left.",
        "Grad-CAM++, arXiv 1710.11063",
        Some(true),
    ),
    measure(
        "insertion",
        "insertion AUC",
        "Mean confidence while pixels appear, the most important first.",
        "RISE, arXiv 1806.07421",
        Some(true),
    ),
    measure(
        "deletion",
        "deletion AUC",
        "Mean confidence while pixels vanish, the most important first.",
        "RISE, arXiv 1806.07421",
        Some(false),
    ),
    measure(
        "tileEnergy",
        "energy in tile",
        "Share of the map's positive part in the tile of the class that is explained.",
        "famlens",
        Some(true),
    ),
    measure(
        "tilePeak",
        "peak in tile",
        "Whether the map's peak lies in the tile of the class that is explained.",
        "famlens",
        Some(true),
    ),
    measure(
        "tileAuc",
        "pixel AUC",
        "How often a pixel of the right tile has a greater value than one elsewhere; chance is 0.5.",
        "famlens",
        Some(true),
    ),
    measure(
        "rank",
        "rank correlation",
        "Spearman's correlation with the map of the trained network.",
        "sanity checks, arXiv 1810.03292",
        Some(false),
    ),
    measure(
        "pearson",
        "correlation",
        "Pearson's correlation with the map of the trained (or full-precision) network.",
        "arXiv 1810.03292",
        None,
    ),
];

const fn measure(
    name: &'static str,
    label: &'static str,
    sentence: &'static str,
    source: &'static str,
    more_is_better: Option<bool>,
) -> Measure {
    Measure { name, label, sentence, source, more_is_better }
}

/// The figures of one image under one variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// Which table the row belongs to: `"localisation"`, `"faithfulness"`, `"mosaic 2x2"` and so on.
    pub table: String,
    /// What the model was given: input geometry, randomised layers.
    pub setting: String,
    /// What made the map: form, method, similarity, pooling; or a floor or control.
    pub variant: String,
    /// The image, by name.
    pub image: String,
    /// The class that is explained.
    pub class: String,
    /// The size of the object, where there are boxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ObjectSize>,
    /// The figures by their names in [`MEASURES`].
    pub values: BTreeMap<String, f64>,
}

impl Row {
    /// Adds a figure.
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Adds the figures of a map's localisation.
    pub fn with_scores(self, scores: &LocalisationScores) -> Self {
        let share = |hit: bool| f64::from(u8::from(hit));
        let row = self.with("iou", scores.iou).with("corloc", share(scores.corloc)).with("energy", scores.energy);
        let row = row.with("pointing", share(scores.pointing));
        match scores.mask {
            Some(m) => row.with("maskIou", m.iou).with("maskEnergy", m.energy).with("maskPointing", share(m.pointing)),
            None => row,
        }
    }
}

/// The means of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// As [`Row::table`].
    pub table: String,
    /// As [`Row::setting`].
    pub setting: String,
    /// As [`Row::variant`].
    pub variant: String,
    /// The size of the objects; all of them if `None`.
    pub size: Option<ObjectSize>,
    /// Mean and interval of each figure, over images.
    pub values: BTreeMap<String, Interval>,
}

/// A variant against the first one of its table and setting, on the same images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// As [`Row::table`].
    pub table: String,
    /// As [`Row::setting`].
    pub setting: String,
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub baseline: String,
    /// The variant less the baseline, for each figure.
    pub values: BTreeMap<String, Paired>,
}

/// What a set of rows comes to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// One for each table, setting and variant, in the order of the rows; those of each object size follow the whole.
    pub aggregates: Vec<Aggregate>,
    /// Every other variant against the first of its table and setting.
    pub differences: Vec<Difference>,
}

/// Aggregates rows. Several rows of one image and variant (one a class of a mosaic) count as one unit of the bootstrap.
///
/// ```
/// use famlens::metrics::{Bootstrap, Row, summarise};
///
/// let row = |variant: &str, image: &str, iou| {
///     Row { table: "localisation".into(), variant: variant.into(), image: image.into(), ..Row::default() }.with("iou", iou)
/// };
/// let rows = [row("fam", "a", 0.4), row("fam", "b", 0.6), row("cam", "a", 0.5), row("cam", "b", 0.8)];
/// let summary = summarise(&rows, &Bootstrap::default())?;
/// assert_eq!(summary.aggregates[0].values["iou"].mean, 0.5);
/// assert!((summary.differences[0].values["iou"].difference.mean - 0.15).abs() < 1e-12);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// As [`bootstrap_groups`].
pub fn summarise(rows: &[Row], options: &Bootstrap) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut tables: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        if !tables.contains(&(&row.table, &row.setting)) {
            tables.push((&row.table, &row.setting));
        }
    }
    for (table, setting) in tables {
        let here: Vec<&Row> = rows.iter().filter(|row| row.table == table && row.setting == setting).collect();
        let mut variants: Vec<&str> = Vec::new();
        here.iter().for_each(|row| {
            if !variants.contains(&row.variant.as_str()) {
                variants.push(&row.variant);
            }
        });
        let Some(&baseline) = variants.first() else { continue };
        let of = |variant: &str| here.iter().copied().filter(|row| row.variant == variant).collect::<Vec<_>>();
        let first = of(baseline);
        for &variant in &variants {
            let own = of(variant);
            for size in [None, Some(ObjectSize::Small), Some(ObjectSize::Medium), Some(ObjectSize::Large)] {
                let of_size: Vec<&Row> = own.iter().copied().filter(|row| size.is_none() || row.size == size).collect();
                let values = means(&of_size, options)?;
                // A size class that holds everything is the whole again.
                if !values.is_empty() && (size.is_none() || of_size.len() < own.len()) {
                    let (table, setting, variant) = (table.to_owned(), setting.to_owned(), variant.to_owned());
                    summary.aggregates.push(Aggregate { table, setting, variant, size, values });
                }
            }
            if variant != baseline {
                let (table, setting) = (table.to_owned(), setting.to_owned());
                let (variant, baseline, values) =
                    (variant.to_owned(), baseline.to_owned(), against(&own, &first, options)?);
                summary.differences.push(Difference { table, setting, variant, baseline, values });
            }
        }
    }
    Ok(summary)
}

/// The sum and number of one figure's values for each image.
fn by_image<'a>(rows: &[&'a Row], name: &str) -> BTreeMap<&'a str, (f64, usize)> {
    let mut images: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (image, value) in rows.iter().filter_map(|row| Some((row.image.as_str(), row.values.get(name)?))) {
        let entry = images.entry(image).or_default();
        (entry.0, entry.1) = (entry.0 + value, entry.1 + 1);
    }
    images
}

fn names<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut names: Vec<&str> = rows.iter().flat_map(|row| row.values.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn means(rows: &[&Row], options: &Bootstrap) -> Result<BTreeMap<String, Interval>> {
    let mut values = BTreeMap::new();
    for name in names(rows) {
        let groups: Vec<(f64, usize)> = by_image(rows, name).into_values().collect();
        if let Some(interval) = bootstrap_groups(&groups, options)? {
            values.insert(name.to_owned(), interval);
        }
    }
    Ok(values)
}

fn against(own: &[&Row], first: &[&Row], options: &Bootstrap) -> Result<BTreeMap<String, Paired>> {
    let mut values = BTreeMap::new();
    for name in names(own) {
        let (own, first) = (by_image(own, name), by_image(first, name));
        let mean = |(sum, count): (f64, usize)| sum / count.max(1) as f64;
        let pairs = own.iter().filter_map(|(image, &a)| Some((mean(a), mean(*first.get(image)?))));
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
        if let Some(found) = paired(&a, &b, options)? {
            values.insert(name.to_owned(), found);
        }
    }
    Ok(values)
}

/// The chance that a score beats those of `ways - 1` others drawn at random without replacement: C(below, ways - 1) /
/// C(all, ways - 1), where `below` of `all` others are lower. `None` with fewer others than that.
///
/// One explanation against all classes thus gives the accuracy of every N-way episode with the same supports, exactly
/// and without drawing episodes, as long as a class's score does not depend on which other classes there are.
///
/// ```
/// use famlens::metrics::chance_to_win;
/// assert_eq!(chance_to_win(&[0.9, 0.5, 0.95], 0, 2), Some(0.5));
/// assert_eq!(chance_to_win(&[0.9, 0.5, 0.95], 0, 3), Some(0.0));
/// assert_eq!(chance_to_win(&[0.9, 0.5], 0, 5), None);
/// ```
pub fn chance_to_win(scores: &[f64], own: usize, ways: usize) -> Option<f64> {
    let mine = *scores.get(own)?;
    let (all, drawn) = (scores.len() - 1, ways.checked_sub(1)?);
    let below = scores.iter().enumerate().filter(|(k, score)| *k != own && **score < mine).count();
    (all >= drawn).then(|| (0..drawn).map(|i| below.saturating_sub(i) as f64 / (all - i) as f64).product())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(table: &str, variant: &str, image: &str, size: Option<ObjectSize>) -> Row {
        let (table, variant, image) = (table.into(), variant.into(), image.into());
        Row { table, variant, image, size, ..Row::default() }
    }

    #[test]
    fn sizes_are_apart_and_images_are_units() {
        let rows = [
            row("l", "fam", "a", Some(ObjectSize::Small)).with("iou", 0.2),
            row("l", "fam", "b", Some(ObjectSize::Large)).with("iou", 0.8),
            // Two rows of one mosaic.
            row("m", "fam", "x", None).with("tileEnergy", 0.5),
            row("m", "fam", "x", None).with("tileEnergy", 0.7),
        ];
        let found = summarise(&rows, &Bootstrap::default()).unwrap();
        let of =
            |table: &str, size| found.aggregates.iter().find(|a| a.table == table && a.size == size).map(|a| &a.values);
        assert_eq!(of("l", None).unwrap()["iou"].mean, 0.5);
        assert_eq!(of("l", Some(ObjectSize::Small)).unwrap()["iou"].mean, 0.2);
        assert!(of("l", Some(ObjectSize::Medium)).is_none());
        let mosaic = of("m", None).unwrap()["tileEnergy"];
        assert!((mosaic.mean - 0.6).abs() < 1e-12);
        assert_eq!((mosaic.n, mosaic.low, mosaic.high), (1, mosaic.mean, mosaic.mean));
        assert!(found.differences.is_empty());
    }

    #[test]
    fn differences_are_on_images_that_both_have() {
        let rows = [
            row("l", "fam", "a", None).with("iou", 0.5),
            row("l", "fam", "b", None).with("iou", 0.5),
            row("l", "cam", "b", None).with("iou", 0.7),
            row("l", "cam", "c", None).with("iou", 0.0),
        ];
        let found = summarise(&rows, &Bootstrap::default()).unwrap();
        let difference = found.differences[0].values["iou"];
        assert!((difference.difference.mean - 0.2).abs() < 1e-12);
        assert_eq!((difference.difference.n, difference.wins), (1, 1));
        assert_eq!((found.differences[0].variant.as_str(), found.differences[0].baseline.as_str()), ("cam", "fam"));
    }

    /// Against counting every choice of others.
    #[test]
    fn the_chance_to_win_is_the_share_of_episodes() {
        let scores = [0.5, 0.1, 0.7, 0.3, 0.4, 0.5];
        // Below 0.5: three of five others (an equal one does not count).
        let pairs = (1..6).flat_map(|i| (i + 1..6).map(move |j| [i, j]));
        let (mut won, mut all) = (0, 0);
        for pair in pairs {
            all += 1;
            won += usize::from(pair.iter().all(|&k| scores[k] < scores[0]));
        }
        assert_eq!(chance_to_win(&scores, 0, 3), Some(f64::from(won as u32) / f64::from(all as u32)));
        assert_eq!(chance_to_win(&scores, 2, 6), Some(1.0));
        assert_eq!(chance_to_win(&scores, 1, 2), Some(0.0));
        assert_eq!(chance_to_win(&scores, 9, 2), None);
    }

    #[test]
    fn every_figure_is_described_once() {
        for (i, m) in MEASURES.iter().enumerate() {
            assert!(m.sentence.ends_with('.') && !m.source.is_empty(), "{}", m.name);
            assert!(MEASURES[..i].iter().all(|other| other.name != m.name));
        }
    }
}
