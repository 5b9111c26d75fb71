//! What the supports teach before a query is read: the mean, the head, the metric and the direction of each class.

use std::sync::Arc;

use super::place::given_head;
use super::{ExplainOptions, Given, Request};
use crate::backbone::Backbone;
use crate::error::{Error, Result};
use crate::fam::head::{Head, HeadChoice};
use crate::fam::{Form, Inverse, Metric, Pooling, Samples, Similarity, Space};
use crate::tasks::few_shot::{Centre, Decision, References};

/// Pooled features, one row an image.
pub(super) type Rows = Vec<Arc<[f32]>>;

/// What the model and the user give. The rest is learned from images.
#[derive(Default)]
pub(super) struct Supplied {
    /// The model's mean embedding at the layer.
    pub mean: Option<Vec<f32>>,
    /// The model's own head or that of a file, if it is asked for.
    pub head: Option<Head>,
    /// A given matrix for a learned similarity.
    pub matrix: Option<Inverse>,
}

/// The space classes are compared in, and what stands for each class.
pub(super) struct Setup {
    pub space: Space,
    pub references: References,
}

/// Whether anything is learned from images beside the supports.
pub(super) fn learns_from_images(options: &ExplainOptions) -> bool {
    options.head == HeadChoice::Whitening
        || options.center == Centre::Gallery
        || matches!(options.similarity, Similarity::Bilinear | Similarity::Mahalanobis)
}

impl Setup {
    /// `supports` are pooled features, class by class; `images` those of all images that may be learned from, which
    /// include them. `notes` says what was learned.
    ///
    /// # Errors
    /// [`Error::Argument`] for a choice that lacks what it needs.
    pub fn new(
        options: &ExplainOptions,
        supports: &[Vec<&[f32]>],
        images: &[&[f32]],
        supplied: Supplied,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let all: Vec<&[f32]> = supports.iter().flatten().copied().collect();
        let head = match options.head {
            // The model's own pooling brings its head along.
            HeadChoice::None => supplied.head.unwrap_or_default(),
            HeadChoice::Whitening => Head::whitening(&Samples::new(images)?, options.shrinkage)?,
            HeadChoice::Lda => Head::lda(supports, options.shrinkage)?,
            HeadChoice::Model | HeadChoice::File => supplied
                .head
                .ok_or_else(|| Error::argument("head", format!("there is no head from the {}", options.head)))?,
        };
        if !head.is_none() {
            notes.push(format!("Transformation module: {}.", head.describe()));
        }
        let centring = options.form == Form::Centred || options.similarity == Similarity::CentredCosine;
        // The mean of pooled features, and the mean of embeddings behind the head.
        let (centre, mean) = match options.center {
            Centre::None if !centring => (None, None),
            Centre::None | Centre::Model => {
                let mean = supplied.mean.ok_or_else(|| missing_mean(options))?;
                let behind = head.forward(&mean)?;
                (Some(mean), Some(behind))
            }
            Centre::Supports => means(&head, &all)?,
            Centre::Gallery => means(&head, images)?,
        };
        let (matrix, mean, centre) = match options.similarity {
            Similarity::Bilinear | Similarity::Mahalanobis => match supplied.matrix {
                Some(given) => (Some(given), mean, centre),
                None => {
                    let embeddings = images.iter().map(|f| head.forward(f)).collect::<Result<Vec<_>>>()?;
                    let samples = Samples::new(&embeddings.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
                    notes
                        .push(format!("famlens learned the matrix of the similarity from {} images.", samples.count()));
                    let learned = means(&head, images)?;
                    let (centre, mean) = if mean.is_some() { (centre, mean) } else { learned };
                    (Some(samples.inverse(options.shrinkage)?), mean, centre)
                }
            },
            _ => (None, mean, centre),
        };
        let metric = Metric::new(options.similarity, mean, matrix, options.l2)?;
        let space = Space::new(head, metric, centre);
        let references = References::new(&space, supports, options.decide)?;
        Ok(Self { space, references })
    }
}

/// Few-shot decisions over pooled features that are already there: what explanations decide by, without a map.
///
/// ```
/// use famlens::explain::{Classifier, ExplainOptions};
/// let classes: [Vec<&[f32]>; 2] = [vec![&[1.0, 0.0], &[3.0, 0.0]], vec![&[0.0, 1.0]]];
/// let classifier = Classifier::new(&ExplainOptions::default(), &classes, None)?;
/// assert_eq!(classifier.decide(&[0.1, 0.9])?.predicted, 1);
/// # Ok::<(), famlens::Error>(())
/// ```
pub struct Classifier {
    setup: Setup,
    channels: usize,
}

impl Classifier {
    /// From each class's supports, `classes.len()` rows of pooled features with `C` values each, and the model's mean
    /// embedding where the options subtract it. What is learned is learned from the supports.
    ///
    /// # Errors
    /// [`Error::Argument`] without classes, for a class without supports, rows of different lengths, or a choice that
    /// lacks what it needs, such as a head that only a file or the model has.
    pub fn new(options: &ExplainOptions, classes: &[Vec<&[f32]>], mean: Option<&[f32]>) -> Result<Self> {
        options.check()?;
        let all: Vec<&[f32]> = classes.iter().flatten().copied().collect();
        let channels = all.first().map_or(0, |features| features.len());
        if let Some(other) = all.iter().copied().chain(mean).find(|features| features.len() != channels) {
            let reason = format!("{channels} and {} channels cannot be compared", other.len());
            return Err(Error::argument("supports", reason));
        }
        let supplied = Supplied { mean: mean.map(<[f32]>::to_vec), ..Supplied::default() };
        Ok(Self { setup: Setup::new(options, classes, &all, supplied, &mut Vec::new())?, channels })
    }

    /// Ranks the classes for a query's pooled features, `C` values.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number of values.
    pub fn decide(&self, features: &[f32]) -> Result<Decision> {
        if features.len() != self.channels {
            let reason = format!("it has {} channels, and the supports have {}", features.len(), self.channels);
            return Err(Error::argument("query", reason));
        }
        let Setup { space, references } = &self.setup;
        Ok(references.decide(space.metric(), &space.side(features)?).0)
    }

    /// Which score ranks the classes.
    pub fn score_name(&self) -> String {
        self.setup.space.metric().score_name()
    }
}

/// The supports' pooled features, and what is learned from them, layer by layer; and how many images were new.
///
/// # Errors
/// As [`Setup::new`]; the engine's errors.
pub(super) async fn learn(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    layers: &[String],
    pooling: Pooling,
    notes: &mut Vec<String>,
) -> Result<(Vec<Setup>, usize)> {
    let mut new_images = 0;
    let mut supports: Vec<Vec<Rows>> = vec![Vec::with_capacity(request.classes.len()); layers.len()];
    for class in request.classes {
        let mut rows: Vec<Rows> = vec![Vec::with_capacity(class.supports.len()); layers.len()];
        for &id in &class.supports {
            new_images += usize::from(!backbone.knows(id, layers)?);
            let features = backbone.features(id, layers, pooling).await?;
            rows.iter_mut().zip(features).for_each(|(row, features)| row.push(features));
        }
        supports.iter_mut().zip(rows).for_each(|(all, row)| all.push(row));
    }
    let mut setups = Vec::with_capacity(layers.len());
    for (layer, supports) in layers.iter().zip(&supports) {
        // The notes say once what is learned: for the layer that decides.
        let mut others = Vec::new();
        let notes = if setups.is_empty() { &mut *notes } else { &mut others };
        setups.push(setup(backbone, given, request, layer, pooling, supports, notes).await?);
    }
    Ok((setups, new_images))
}

/// What is learned for one layer from its supports' pooled features and, where the options ask for that, from other
/// images.
///
/// # Errors
/// As [`learn`].
pub(super) async fn setup(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    layer: &str,
    pooling: Pooling,
    supports: &[Rows],
    notes: &mut Vec<String>,
) -> Result<Setup> {
    let options = request.options;
    let learning_set = match learns_from_images(options) {
        true => backbone.known_features(&request.learning_set(backbone), layer, pooling).await?,
        false => Rows::default(),
    };
    let model = backbone.model();
    let mean = model.mean_embedding(layer).filter(|_| pooling == model.manifest().pooling());
    let supplied = Supplied {
        mean: mean.map(<[f32]>::to_vec),
        head: given_head(model, given, options, layer)?,
        matrix: given.matrix().cloned(),
    };
    let supports: Vec<Vec<&[f32]>> = supports.iter().map(|rows| slices(rows)).collect();
    Setup::new(options, &supports, &slices(&learning_set), supplied, notes)
}

fn slices(rows: &[Arc<[f32]>]) -> Vec<&[f32]> {
    rows.iter().map(AsRef::as_ref).collect()
}

/// The mean of features, and of what the head makes of each.
type Means = (Option<Vec<f32>>, Option<Vec<f32>>);

fn means(head: &Head, features: &[&[f32]]) -> Result<Means> {
    let behind = features.iter().map(|f| head.forward(f)).collect::<Result<Vec<_>>>()?;
    let behind: Vec<&[f32]> = behind.iter().map(Vec::as_slice).collect();
    Ok((Some(crate::fam::prototype(features)?), Some(crate::fam::prototype(&behind)?)))
}

fn missing_mean(options: &ExplainOptions) -> Error {
    let (argument, what) = match options.center {
        Centre::Model => ("center", "the model's mean"),
        _ if options.form == Form::Centred => ("form", "the centred form"),
        _ => ("similarity", "the centred cosine"),
    };
    Error::argument(
        argument,
        format!(
            "{what} needs a mean embedding, and model.json has none for this layer and pooling; subtract the mean of your images instead (center \"supports\" or \"gallery\")"
        ),
    )
}
