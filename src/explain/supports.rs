//! The support set checked against itself: do the others recognise each image?

use serde::Serialize;

use super::verdict::{LeftOut, Taught, teach, verdict};
use super::{Class, ExplainOptions, Given};
use crate::backbone::{Backbone, ImageId};
use crate::error::{Error, Result};
use crate::tasks::verdict::Verdict;

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
    /// The decision of the others with how sure it is; `None` if it could not be checked.
    pub decision: Option<Verdict>,
}

/// Takes each support image out in turn and lets the others decide about it: what is learned (means, heads, matrices)
/// is learned without it, too, and it has no part in the bounds that it is judged by.
///
/// # Errors
/// [`Error::Argument`] for fewer than two classes; as [`super::explain`].
pub(crate) async fn check_supports(
    backbone: &mut Backbone,
    given: &mut Given,
    classes: &[Class],
    options: &ExplainOptions,
) -> Result<SupportCheck> {
    super::request::layers(backbone, classes, options)?;
    if classes.len() < 2 {
        return Err(Error::argument("classes", "checking needs at least two classes"));
    }
    let taught = teach(backbone, given, classes, options, usize::MAX).await?;
    let names: Vec<String> = classes.iter().map(|c| c.name.clone()).collect();
    let mut check = SupportCheck {
        confusion: vec![vec![0; classes.len()]; classes.len()],
        images: Vec::new(),
        accuracy: None,
        score: taught.score.clone(),
        notes: Vec::new(),
        classes: names,
    };
    for (k, class) in classes.iter().enumerate() {
        if class.supports.len() == 1 {
            check.notes.push(format!("{:?} has only one image, so nothing is left to check it with.", class.name));
        }
        for (i, &image) in class.supports.iter().enumerate() {
            let name = backbone.image(image)?.name.clone();
            let at = taught.left_out.iter().position(|one| one.class == k && one.at == i);
            let mut result = SupportResult {
                image,
                name,
                class: k,
                predicted: None,
                scores: Vec::new(),
                margin: None,
                decision: None,
            };
            if let Some(at) = at {
                judged(&mut result, &taught, at, &check.classes, options);
                check.confusion[k][taught.left_out[at].predicted] += 1;
            }
            check.images.push(result);
        }
    }
    let right: usize = (0..classes.len()).map(|k| check.confusion[k][k]).sum();
    let all: usize = check.confusion.iter().flatten().sum();
    check.accuracy = (all > 0).then(|| right as f64 / all as f64);
    Ok(check)
}

/// What the others make of the support at that place among those that were left out.
fn judged(result: &mut SupportResult, taught: &Taught, at: usize, names: &[String], options: &ExplainOptions) {
    let LeftOut { class, scores, raw, predicted, .. } = &taught.left_out[at];
    let others = scores.iter().enumerate().filter(|(j, _)| j != class).map(|(_, &s)| s);
    result.margin = Some(scores[*class] - others.fold(f64::NEG_INFINITY, f64::max));
    result.predicted = Some(*predicted);
    result.scores.clone_from(scores);
    result.decision = Some(verdict(names, taught, scores, raw, *predicted, &taught.yardstick(options, Some(at))));
}
