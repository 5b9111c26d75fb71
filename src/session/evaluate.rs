//! Measuring explanations: one image under several variants, with the rows that tables are made from.
//!
//! Variants share the image's forward pass. Another form, similarity or pooling at the same target layer is a channel
//! mix of what the backbone has already.

use serde::{Deserialize, Serialize};

use super::{Class, ExplainOptions, Explanation, ImageId, Map, Request, Session};
use crate::error::{Error, Result};
use crate::explain;
use crate::image::Rect;
use crate::metrics::{
    Control, DEFAULT_THRESHOLD, Fill, Floor, Mask, ObjectSize, Perturbed, Row, Tiles, area_under, chance_to_win,
    confidence, correlation, drop_in_confidence, rank_correlation, score_map,
};
use crate::tensor::Tensor;

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

/// How faithfulness is measured; see [`crate::metrics::Perturbed`]. The score is the one that ranks the classes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Faithfulness {
    /// The divisor of scores before the softmax over classes; over 0.
    pub temperature: f64,
    /// What replaces pixels.
    pub fill: Fill,
    /// Steps of insertion and of deletion, 1 to 500; each costs two forward passes.
    pub steps: usize,
    /// Seed of the shuffled control and of the order among ties.
    pub seed: u64,
    /// Whether the uniform, shuffled and inverted controls of the first variant are measured as well.
    pub controls: bool,
}

impl Default for Faithfulness {
    /// Temperature 0.1, the mean colour, 16 steps, seed 1, with controls.
    fn default() -> Self {
        Self { temperature: 0.1, fill: Fill::Mean, steps: 16, seed: 1, controls: true }
    }
}

/// What is measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct EvaluateOptions {
    /// The variants, at least one; the first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// Share of the map's range from which a pixel counts as the object, 0 to 1.
    pub threshold: f32,
    /// Whether the floors of localisation are measured as well.
    pub floors: bool,
    /// How to measure faithfulness, which takes dozens of forward passes for each image; `None` leaves it out.
    pub faithfulness: Option<Faithfulness>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        let variants = vec![Variant { name: "fam".into(), options: ExplainOptions::default() }];
        Self { variants, threshold: DEFAULT_THRESHOLD, floors: true, faithfulness: None }
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

impl Session {
    /// Explains an image under every variant and measures the maps against its boxes and mask. `setting` goes into the
    /// rows.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, ids: [famlens::session::ImageId; 3]) -> famlens::Result<()> {
    /// use famlens::image::Rect;
    /// use famlens::metrics::{Bootstrap, summarise};
    /// use famlens::session::{Class, EvaluateOptions, Subject};
    ///
    /// let classes = [Class::new("bird", [ids[1]]), Class::new("fish", [ids[2]])];
    /// let subject = Subject { image: ids[0], class: 0, boxes: vec![Rect::new(211.0, 43.0, 480.0, 389.0)], mask: None };
    /// let found = session.evaluate_image(&subject, &classes, "squash", &EvaluateOptions::default()).await?;
    /// let summary = summarise(&found.rows, &Bootstrap::default())?;
    /// println!("IoU {:.2}", summary.aggregates[0].values["iou"].mean);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for an option outside its range; the errors of [`Session::explain`].
    pub async fn evaluate_image(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        setting: &str,
        options: &EvaluateOptions,
    ) -> Result<Evaluated> {
        let class = classes
            .get(subject.class)
            .ok_or_else(|| Error::argument("class", format!("there is no class {}", subject.class)))?;
        let (image, photo) = (self.image_name(subject.image)?.to_owned(), self.geometry(subject.image)?.photo_size());
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
                let scores = score_map(&map.view()?, &subject.boxes, subject.mask.as_ref(), options.threshold)?;
                own = own.with_scores(&scores);
            }
            found.rows.push(own);
            found.maps.push(map);
        }
        if options.floors && !subject.boxes.is_empty() {
            for floor in Floor::ALL {
                let scores = floor.score(photo, &subject.boxes, subject.mask.as_ref(), options.threshold)?;
                found.rows.push(row(table, floor.name()).with_scores(&scores));
            }
        }
        if let Some(faithfulness) = &options.faithfulness {
            self.faithfulness(subject, classes, options, faithfulness, &row, &mut found).await?;
        }
        Ok(found)
    }

    /// Explains a mosaic for each class that it shows (`tiles[i]` is the class in tile `i`, an index into `classes`)
    /// and measures how much of each class's map lies in its own tile: one row a class and variant.
    ///
    /// # Errors
    /// [`Error::Argument`] if tiles and grid do not fit; the errors of [`Session::explain`].
    pub async fn evaluate_mosaic(
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
        let name = self.image_name(image)?.to_owned();
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

    /// Compares the image's own-class maps with the values of other maps of it, one for each variant: those of a
    /// randomised network with the trained one's, or those of quantised weights with full precision's.
    ///
    /// # Errors
    /// The errors of [`Session::explain`].
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
                image: self.image_name(subject.image)?.to_owned(),
                class: classes[subject.class].name.clone(),
                ..Row::default()
            };
            let (rank, pearson) = (rank_correlation(&map.data, reference), correlation(&map.data, reference));
            rows.push(row.with("rank", rank.unwrap_or(0.0)).with("pearson", pearson.unwrap_or(0.0)));
        }
        Ok(rows)
    }

    /// [`Session::explain`], learning from the classes' supports alone: a figure must not depend on which other photos
    /// happened to be embedded before.
    async fn explain_among(
        &mut self,
        image: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
    ) -> Result<Explanation> {
        let supports = supports(classes);
        self.explain_request(&Request::new(image, classes, options).learning_from(&supports)).await
    }

    async fn faithfulness(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        options: &EvaluateOptions,
        how: &Faithfulness,
        row: &impl Fn(&str, &str) -> Row,
        found: &mut Evaluated,
    ) -> Result<()> {
        if !(1..=500).contains(&how.steps) {
            return Err(Error::argument("steps", format!("{} is not within 1 and 500", how.steps)));
        }
        let input = self.backbone.image(subject.image)?.input.clone();
        let perturbed = Perturbed::new(&input, how.fill)?;
        let mut plans: Vec<(String, &ExplainOptions, Map)> = Vec::new();
        for (variant, map) in options.variants.iter().zip(&found.maps) {
            plans.push((variant.name.clone(), &variant.options, map.clone()));
        }
        if let (true, Some((_, first, map))) = (how.controls, plans.first().cloned()) {
            for control in Control::ALL {
                let data = control.apply(&map.data, how.seed);
                plans.push((control.name().to_owned(), first, Map { data, ..map.clone() }));
            }
        }
        for (name, choices, map) in plans {
            let full = self.confidence_of(subject, None, classes, choices, how).await?;
            let masked = perturbed.masked(&map.data, map.width, map.height)?;
            let kept = self.confidence_of(subject, Some(masked), classes, choices, how).await?;
            let order = perturbed.order(&map.data, map.width, map.height, how.seed)?;
            let mut areas = [0.0; 2];
            for (area, insert) in areas.iter_mut().zip([true, false]) {
                let mut curve = Vec::with_capacity(how.steps + 1);
                for step in 0..=how.steps {
                    let input = perturbed.step(&order, step as f64 / how.steps as f64, insert);
                    curve.push(self.confidence_of(subject, Some(input), classes, choices, how).await?);
                }
                *area = area_under(&curve);
            }
            let own = row("faithfulness", &name).with("drop", drop_in_confidence(full, kept));
            let own = own.with("increase", f64::from(u8::from(kept > full)));
            found.rows.push(own.with("insertion", areas[0]).with("deletion", areas[1]));
        }
        Ok(())
    }

    /// The confidence in the subject's class, with another input in its place if there is one.
    async fn confidence_of(
        &mut self,
        subject: &Subject,
        input: Option<Tensor>,
        classes: &[Class],
        choices: &ExplainOptions,
        how: &Faithfulness,
    ) -> Result<f64> {
        let image = match input {
            Some(input) => self.backbone.add_changed(subject.image, input)?,
            None => subject.image,
        };
        // Only the score is asked for, and every method ranks by the same one; the cheapest answers soonest.
        let (method, method_options) = Default::default();
        let finer = Default::default();
        let choices = ExplainOptions { method, layer: None, method_options, finer, ..choices.clone() };
        let supports = supports(classes);
        let request = Request::new(image, classes, &choices).learning_from(&supports);
        let scored = explain::scores(&mut self.backbone, &mut self.given, &request).await;
        if image != subject.image {
            self.remove_image(image);
        }
        confidence(&scored?, subject.class, how.temperature)
    }
}

/// All the classes' supports.
fn supports(classes: &[Class]) -> Vec<ImageId> {
    classes.iter().flat_map(|class| class.supports.iter().copied()).collect()
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
