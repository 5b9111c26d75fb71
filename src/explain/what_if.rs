//! What if a part of the photo were covered? What the map predicts, and what happens.
//!
//! A map is taken at its word: the part of it that is covered is the part of the score that goes. With `m_i` the map's
//! value in cell `i`, `a_i` the covered part of that cell, `s` the score of the photo and `s_all` that of the photo
//! covered as a whole, the map predicts the change
//!
//! `-(sum_i a_i m_i / sum_i m_i) (s - s_all)`.
//!
//! So covering nothing predicts 0, covering everything predicts what is measured, and predictions for parts add up to
//! that for all of them. A map whose sum is not over 0 predicts nothing.

use serde::Serialize;

use super::{ExplainOptions, Finer, Given, Request};
use crate::backbone::{Backbone, CoverWith, ImageId};
use crate::error::Result;
use crate::fam::Grid;
use crate::image::Cover;
use crate::tasks::verdict::Verdict;

/// What covering a part does to one class's score.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Move {
    /// The class.
    pub name: String,
    /// The score of the photo as it is.
    pub before: f64,
    /// The score with the part covered.
    pub after: f64,
    /// `after - before`.
    pub measured: f64,
    /// What the map says that it would be; `None` if the map shows nothing.
    pub predicted: Option<f64>,
    /// The part of the map that is covered, 0 to 1 where no value is below 0.
    pub share: Option<f64>,
    /// Both in words.
    pub says: String,
}

/// What covering a part of a photo does.
#[derive(Clone, Debug, Serialize)]
pub struct WhatIf {
    /// Every class, in the order given.
    pub classes: Vec<Move>,
    /// The decision about the covered photo.
    pub decision: Option<Verdict>,
    /// What the scores are.
    pub score: String,
    /// The part of the photo that is covered, 0 to 1.
    pub covered: f64,
}

/// The scores of a photo that is covered as a whole: what a map's prediction is measured by.
pub(super) struct Whole {
    query: ImageId,
    with: CoverWith,
    supports: Vec<Vec<ImageId>>,
    options: ExplainOptions,
    scores: Vec<f64>,
}

/// Covers a part of the query and compares what the maps predict with what happens.
///
/// # Errors
/// As [`super::explain`]; [`crate::Error::Argument`] for another photo that is read in another shape.
pub(crate) async fn what_if(
    backbone: &mut Backbone,
    given: &mut Given,
    request: &Request<'_>,
    cover: &Cover,
    with: CoverWith,
) -> Result<WhatIf> {
    // Scores of single looks are compared, so a single look is explained.
    let options = ExplainOptions { finer: Finer::plain(), ..request.options.clone() };
    let request = Request { options: &options, ..*request };
    let before = super::explain(backbone, given, &request.unjudged()).await?;
    let after = covered(backbone, given, &request, cover, with).await?;
    let supports: Vec<_> = request.classes.iter().map(|class| class.supports.clone()).collect();
    let known = given.whole.take().filter(|known| {
        known.query == request.query && known.with == with && known.supports == supports && known.options == options
    });
    let whole = match known {
        Some(known) => known,
        None => {
            let everything = Cover::whole(backbone.image(request.query)?.geometry.photo_size())?;
            let found = covered(backbone, given, &request.unjudged(), &everything, with).await?;
            let scores = found.classes.iter().map(|class| class.similarity).collect();
            Whole { query: request.query, with, supports, options: options.clone(), scores }
        }
    };
    let mut classes = Vec::with_capacity(before.classes.len());
    for (k, (class, explained)) in before.classes.iter().zip(&before.maps).enumerate() {
        let map = &explained.map;
        let cells = cover.cells(&map.geometry, map.width, map.height);
        let share = covered_share(&Grid { width: map.width, height: map.height, data: map.data.clone() }, &cells);
        let (score, now) = (class.similarity, after.classes[k].similarity);
        let predicted = share.map(|share| -share * (score - whole.scores[k]));
        let (name, measured) = (class.name.clone(), now - score);
        let says = says(&name, predicted, measured);
        classes.push(Move { name, before: score, after: now, measured, predicted, share, says });
    }
    given.whole = Some(whole);
    let (width, height) = backbone.image(request.query)?.geometry.photo_size();
    let all = crate::image::Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
    Ok(WhatIf { classes, decision: after.decision, score: after.score, covered: cover.share(&all) })
}

/// The explanation of a photo with a part covered, which is not kept.
async fn covered(
    backbone: &mut Backbone,
    given: &mut Given,
    request: &Request<'_>,
    cover: &Cover,
    with: CoverWith,
) -> Result<super::Explanation> {
    let query = backbone.add_covered(request.query, cover, with)?;
    let found = super::explain(backbone, given, &Request { query, ..*request }).await;
    backbone.remove_image(query);
    found
}

/// The part of a map that is covered; `None` if its sum is not over 0.
fn covered_share(map: &Grid, covered: &[f64]) -> Option<f64> {
    let all: f64 = map.data.iter().map(|&m| f64::from(m)).sum();
    let part: f64 = map.data.iter().zip(covered).map(|(&m, a)| f64::from(m) * a).sum();
    (all > 0.0).then(|| part / all)
}

fn says(name: &str, predicted: Option<f64>, measured: f64) -> String {
    match predicted {
        Some(predicted) => format!("{name}: predicted {}, measured {}.", signed(predicted), signed(measured)),
        None => format!("{name}: measured {}. Its map shows nothing, so it predicts nothing.", signed(measured)),
    }
}

/// Three digits after the point, with a sign, and no sign for what is rounded to 0.
fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    if text.trim_start_matches(['+', '-']).parse() == Ok(0.0) { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_map_add_up() {
        let map = Grid { width: 2, height: 2, data: vec![1.0, 0.0, 3.0, 4.0] };
        assert_eq!(covered_share(&map, &[0.0; 4]), Some(0.0));
        assert_eq!(covered_share(&map, &[1.0; 4]), Some(1.0));
        let (a, b) = ([1.0, 0.5, 0.0, 0.25], [0.0, 0.5, 1.0, 0.75]);
        let parts = covered_share(&map, &a).zip(covered_share(&map, &b)).map(|(a, b)| a + b);
        assert!(parts.is_some_and(|sum| (sum - 1.0).abs() < 1e-12));
        assert_eq!(covered_share(&Grid { data: vec![0.0; 4], ..map }, &a), None);
    }

    #[test]
    fn changes_are_said_with_their_sign() {
        assert_eq!(says("Bird", Some(-0.0312), -0.0284), "Bird: predicted -0.031, measured -0.028.");
        assert_eq!(says("Bird", Some(-0.0001), 0.0004), "Bird: predicted 0, measured 0.");
        assert!(says("Fish", None, 0.002).starts_with("Fish: measured +0.002. Its map shows nothing"));
    }
}
