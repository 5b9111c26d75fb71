//! Measuring explanations: one image under several variants, with the rows that tables are made from.
//!
//! Variants share the image's forward pass. Another form, similarity or pooling at the same target layer is a channel
//! mix of what the backbone has already.

use serde::{Deserialize, Serialize};

use super::{Evaluator, Faithfulness, supports};
use crate::backbone::ImageId;
use crate::error::{Error, Result};
use crate::explain::{self, Class, ExplainOptions, Explanation, Map, Request};
use crate::image::Rect;
use crate::metrics::{
    Floor, Mask, ObjectSize, Row, Threshold, Tiles, chance_to_win, correlation, rank_correlation, score_map,
};

/// One way to explain, under the name that tables show.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The name in rows.
    pub name: String,
    /// What is chosen.
    #[serde(default)]
    pub options: ExplainOptions,
}

/// What is measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct EvaluateOptions {
    /// The variants, at least one; the first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// What counts as the object; each variant's own default ([`ExplainOptions::threshold`]) if `None`.
    pub threshold: Option<Threshold>,
    /// Whether the floors of localisation are measured as well.
    pub floors: bool,
    /// How to measure faithfulness, which takes dozens of forward passes for each image; `None` leaves it out.
    pub faithfulness: Option<Faithfulness>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        let variants = vec![Variant { name: "fam".into(), options: ExplainOptions::default() }];
        Self { variants, threshold: None, floors: true, faithfulness: None }
    }
}

/// One image to measure: what it shows, and where.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The image, in the session.
    pub image: ImageId,
    /// The index of its own class among the classes of the episode.
    pub class: usize,
    /// The boxes around objects of that class, in photo pixels; none if only the decision is measured.
    pub boxes: Vec<Rect>,
    /// The object's pixels, where they are known.
    pub mask: Option<Mask>,
}

/// The results for one image.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// Rows for the tables `localisation` (or `decision`, without boxes) and `faithfulness`.
    pub rows: Vec<Row>,
    /// The own class's map under each variant, in their order.
    pub maps: Vec<Map>,
}

impl Evaluator<'_> {
    /// As [`crate::session::Session::evaluate_image`].
    ///
    /// # Errors
    /// [`Error::Argument`] for an option outside its range; the errors of an explanation.
    pub async fn image(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        setting: &str,
        options: &EvaluateOptions,
    ) -> Result<Evaluated> {
        let class = classes
            .get(subject.class)
            .ok_or_else(|| Error::argument("class", format!("there is no class {}", subject.class)))?;
        let known = self.backbone.image(subject.image)?;
        let (image, photo) = (known.name.clone(), known.geometry.photo_size());
        let size = (!subject.boxes.is_empty()).then(|| ObjectSize::of(photo, &subject.boxes));
        let table = if subject.boxes.is_empty() { "decision" } else { "localisation" };
        let row = |table: &str, variant: &str| {
            let (table, setting, variant) = (table.to_owned(), setting.to_owned(), variant.to_owned());
            Row {
                table,
                setting,
                variant,
                image: image.clone(),
                class: class.name.clone(),
                size,
                values: Default::default(),
            }
        };
        let mut found = Evaluated::default();
        for variant in &options.variants {
            let explanation = self.explain_among(subject.image, classes, &variant.options).await?;
            let map = own_map(&explanation, subject.class)?.clone();
            let mut own = decision(row(table, &variant.name), &explanation, subject.class);
            if !subject.boxes.is_empty() {
                let threshold = options.threshold.unwrap_or_else(|| variant.options.threshold());
                let scores = score_map(&map.view()?, &subject.boxes, subject.mask.as_ref(), threshold)?;
                own = own.with_scores(&scores);
            }
            found.rows.push(own);
            found.maps.push(map);
        }
        if options.floors && !subject.boxes.is_empty() {
            for floor in Floor::ALL {
                let scores =
                    floor.score(photo, &subject.boxes, subject.mask.as_ref(), options.threshold.unwrap_or_default())?;
                found.rows.push(row(table, floor.name()).with_scores(&scores));
            }
        }
        if let Some(faithfulness) = &options.faithfulness {
            self.faithfulness(subject, classes, options, faithfulness, &row, &mut found).await?;
        }
        Ok(found)
    }

    /// As [`crate::session::Session::evaluate_mosaic`].
    ///
    /// # Errors
    /// [`Error::Argument`] if tiles and grid do not fit; the errors of an explanation.
    pub async fn mosaic_tiles(
        &mut self,
        image: ImageId,
        grid: Tiles,
        tiles: &[usize],
        classes: &[Class],
        setting: &str,
        variants: &[Variant],
    ) -> Result<Vec<Row>> {
        if tiles.len() != grid.count() || tiles.iter().any(|&class| class >= classes.len()) {
            let reason = format!(
                "{} classes in tiles do not fit {} tiles of {} classes",
                tiles.len(),
                grid.count(),
                classes.len()
            );
            return Err(Error::argument("tiles", reason));
        }
        let name = self.backbone.image(image)?.name.clone();
        let mut rows = Vec::new();
        for variant in variants {
            let explanation = self.explain_among(image, classes, &variant.options).await?;
            for (tile, &class) in tiles.iter().enumerate() {
                let map = own_map(&explanation, class)?;
                let scores = grid.measure(&map.view()?)?;
                let mut row = Row {
                    table: format!("mosaic {}x{}", grid.columns, grid.rows),
                    setting: setting.to_owned(),
                    variant: variant.name.clone(),
                    image: name.clone(),
                    class: classes[class].name.clone(),
                    ..Row::default()
                };
                row = row.with("tileEnergy", scores.energy.map_or(grid.chance(), |shares| shares[tile]));
                // A map that is the same everywhere has its peak in every tile.
                row = row.with("tilePeak", scores.peak.map_or(grid.chance(), |at| f64::from(u8::from(at == tile))));
                row = row.with("tileAuc", scores.auc[tile]);
                let others = tiles.iter().filter(|other| **other != class);
                rows.push(wrong_class(row, &explanation, class, others.copied()));
            }
        }
        Ok(rows)
    }

    /// As [`crate::session::Session::compare_maps`].
    ///
    /// # Errors
    /// The errors of an explanation.
    pub async fn compare_maps(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        setting: &str,
        variants: &[Variant],
        reference: &[Vec<f32>],
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (variant, reference) in variants.iter().zip(reference) {
            let explanation = self.explain_among(subject.image, classes, &variant.options).await?;
            let map = own_map(&explanation, subject.class)?;
            // A constant map has no order: it shares nothing with the other one.
            let row = Row {
                table: "comparison".into(),
                setting: setting.to_owned(),
                variant: variant.name.clone(),
                image: self.backbone.image(subject.image)?.name.clone(),
                class: classes[subject.class].name.clone(),
                ..Row::default()
            };
            let (rank, pearson) = (rank_correlation(&map.data, reference), correlation(&map.data, reference));
            rows.push(row.with("rank", rank.unwrap_or(0.0)).with("pearson", pearson.unwrap_or(0.0)));
        }
        Ok(rows)
    }

    /// An explanation that learns from the classes' supports alone: a figure must not depend on which other photos
    /// happened to be embedded before.
    async fn explain_among(
        &mut self,
        image: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
    ) -> Result<Explanation> {
        let supports = supports(classes);
        let request = Request::new(image, classes, options).learning_from(&supports).unjudged();
        explain::explain(self.backbone, self.given, &request).await
    }
}

fn own_map(explanation: &Explanation, class: usize) -> Result<&Map> {
    let map = explanation.maps.get(class).map(|explained| &explained.map);
    map.ok_or_else(|| Error::argument("class", format!("the explanation has no map of class {class}")))
}

/// Whether the decision is right, and whether the map depends on the class.
fn decision(row: Row, explanation: &Explanation, own: usize) -> Row {
    let scores: Vec<f64> = explanation.classes.iter().map(|class| class.similarity).collect();
    let mut row = row.with("correct", f64::from(u8::from(explanation.predicted == own)));
    for (name, ways) in [("correct2", 2), ("correct5", 5)] {
        if let Some(chance) = chance_to_win(&scores, own, ways) {
            row = row.with(name, chance);
        }
    }
    wrong_class(row, explanation, own, (0..scores.len()).filter(|&k| k != own))
}

/// Adds the mean correlation of the class's map with those of other classes.
fn wrong_class(row: Row, explanation: &Explanation, own: usize, others: impl Iterator<Item = usize>) -> Row {
    let map = |k: usize| explanation.maps.get(k).map(|explained| explained.map.data.as_slice());
    let found: Vec<f64> = others.filter_map(|k| correlation(map(own)?, map(k)?)).collect();
    match found.is_empty() {
        true => row,
        false => row.with("wrong", found.iter().sum::<f64>() / found.len() as f64),
    }
}
