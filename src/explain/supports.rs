//! The support set checked against itself: do the others recognise each image?

use serde::Serialize;

use super::place::Place;
use super::setup::{Rows, setup};
use super::{Class, ExplainOptions, Given, Request};
use crate::backbone::{Backbone, ImageId};
use crate::error::{Error, Result};

/// The leave-one-out check of a support set.
#[derive(Clone, Debug, Serialize)]
pub struct SupportCheck {
    /// The classes' names, in the order given.
    pub classes: Vec<String>,
    /// Row: the class an image was put in. Column: the class the others say it is. Images that could not be checked are
    /// left out.
    pub confusion: Vec<Vec<usize>>,
    /// Every support image, class by class.
    pub images: Vec<SupportResult>,
    /// Part of the checked images that the others put into their own class, 0 to 1; `None` if none could be checked.
    pub accuracy: Option<f64>,
    /// Which score ranks the classes.
    pub score: String,
    /// Plain sentences, such as that an image is the only one of its class.
    pub notes: Vec<String>,
}

/// One support image in the check.
#[derive(Clone, Debug, Serialize)]
pub struct SupportResult {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// Index of the class it was put in.
    pub class: usize,
    /// Index of the class that the others say it is; `None` if it is the only image of its class.
    pub predicted: Option<usize>,
    /// The score of every class, without this image; empty if it could not be checked.
    pub scores: Vec<f64>,
    /// Score of its own class less the best other one: negative where it is not recognised.
    pub margin: Option<f64>,
}

/// Takes each support image out in turn and lets the others decide about it: what is learned (means, heads, matrices)
/// is learned without it, too.
///
/// # Errors
/// [`Error::Argument`] for fewer than two classes; as [`super::explain`].
pub(crate) async fn check_supports(
    backbone: &mut Backbone,
    given: &Given,
    classes: &[Class],
    options: &ExplainOptions,
) -> Result<SupportCheck> {
    let layers = super::request::layers(backbone, classes, options)?;
    if classes.len() < 2 {
        return Err(Error::argument("classes", "checking needs at least two classes"));
    }
    let place = Place::new(backbone.model(), options, &layers[..1])?;
    backbone.recovering(async |b: &mut Backbone| check(b, given, classes, options, &place).await).await
}

async fn check(
    backbone: &mut Backbone,
    given: &Given,
    classes: &[Class],
    options: &ExplainOptions,
    place: &Place,
) -> Result<SupportCheck> {
    let Place { layers, pooling, .. } = place;
    let mut rows: Vec<Rows> = Vec::with_capacity(classes.len());
    for class in classes {
        let mut row = Rows::with_capacity(class.supports.len());
        for &id in &class.supports {
            row.extend(backbone.features(id, layers, *pooling).await?);
        }
        rows.push(row);
    }
    let mut check = SupportCheck {
        classes: classes.iter().map(|c| c.name.clone()).collect(),
        confusion: vec![vec![0; classes.len()]; classes.len()],
        images: Vec::new(),
        accuracy: None,
        score: String::new(),
        notes: Vec::new(),
    };
    for (k, class) in classes.iter().enumerate() {
        for (i, &image) in class.supports.iter().enumerate() {
            let name = backbone.image(image)?.name.clone();
            let mut result = SupportResult { image, name, class: k, predicted: None, scores: Vec::new(), margin: None };
            if class.supports.len() == 1 {
                check.notes.push(format!("{:?} has only one image, so nothing is left to check it with.", class.name));
            } else {
                let mut rest = rows.clone();
                rest[k].remove(i);
                let request = Request::new(image, classes, options);
                let setup = setup(backbone, given, &request, &layers[0], *pooling, &rest, &mut Vec::new()).await?;
                let side = setup.space.side(&rows[k][i])?;
                let (decision, _) = setup.references.decide(setup.space.metric(), &side);
                check.score = setup.space.metric().score_name();
                check.confusion[k][decision.predicted] += 1;
                let others = decision.scores.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, &s)| s);
                result.margin = Some(decision.scores[k] - others.fold(f64::NEG_INFINITY, f64::max));
                result.predicted = Some(decision.predicted);
                result.scores = decision.scores;
            }
            check.images.push(result);
        }
    }
    let right: usize = (0..classes.len()).map(|k| check.confusion[k][k]).sum();
    let all: usize = check.confusion.iter().flatten().sum();
    check.accuracy = (all > 0).then(|| right as f64 / all as f64);
    Ok(check)
}
