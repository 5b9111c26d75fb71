//! What is learned before a query is looked at: the mean, the head, the metric, and what stands for each class.

use std::sync::Arc;

use super::super::ExplainOptions;
use crate::error::{Error, Result};
use crate::fam::head::{Head, HeadChoice};
use crate::fam::{Form, Inverse, Metric, Samples, Similarity, Space};
use crate::tasks::few_shot::{Centre, References};

/// The pooled features of images that nobody has put into a class.
pub(in super::super) type Gallery = Vec<Arc<[f32]>>;

/// What the model and the user give.
#[derive(Default)]
pub(in super::super) struct Learned {
    /// The model's mean embedding at the layer.
    pub mean: Option<Vec<f32>>,
    /// The model's own head or that of a file, if it is asked for.
    pub head: Option<Head>,
    /// A given matrix for a learned similarity.
    pub matrix: Option<Inverse>,
}

/// The space classes are compared in, and what stands for each class.
pub(in super::super) struct Setup {
    pub space: Space,
    pub references: References,
}

/// Whether anything is learned from the images of the session.
pub(in super::super) fn needs_gallery(options: &ExplainOptions) -> bool {
    options.head == HeadChoice::Whitening
        || options.center == Centre::Gallery
        || matches!(options.similarity, Similarity::Bilinear | Similarity::Mahalanobis)
}

impl Setup {
    /// `supports` are pooled features, class by class; `gallery` those of all images that may be learned from, which include them.
    pub fn new(
        options: &ExplainOptions,
        supports: &[Vec<Arc<[f32]>>],
        gallery: &Gallery,
        learned: Learned,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let rows: Vec<Vec<&[f32]>> = supports.iter().map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
        let all: Vec<&[f32]> = rows.iter().flatten().copied().collect();
        let gallery: Vec<&[f32]> = gallery.iter().map(AsRef::as_ref).collect();
        let head = match options.head {
            // The model's own pooling brings its head along.
            HeadChoice::None => learned.head.unwrap_or_default(),
            HeadChoice::Whitening => Head::whitening(&Samples::new(&gallery)?, options.shrinkage)?,
            HeadChoice::Lda => Head::lda(&rows, options.shrinkage)?,
            HeadChoice::Model | HeadChoice::File => learned
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
                let mean = learned.mean.ok_or_else(|| missing_mean(options))?;
                let behind = head.forward(&mean)?;
                (Some(mean), Some(behind))
            }
            Centre::Supports => means(&head, &all)?,
            Centre::Gallery => means(&head, &gallery)?,
        };
        let (matrix, mean, centre) = match options.similarity {
            Similarity::Bilinear | Similarity::Mahalanobis => match learned.matrix {
                Some(given) => (Some(given), mean, centre),
                None => {
                    let embeddings = gallery.iter().map(|f| head.forward(f)).collect::<Result<Vec<_>>>()?;
                    let samples = Samples::new(&embeddings.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
                    notes.push(format!("The matrix of the similarity was learned from {} images.", samples.count()));
                    let own = means(&head, &gallery)?;
                    let (centre, mean) = if mean.is_some() { (centre, mean) } else { own };
                    (Some(samples.inverse(options.shrinkage)?), mean, centre)
                }
            },
            _ => (None, mean, centre),
        };
        let metric = Metric::new(options.similarity, mean, matrix, options.l2)?;
        let space = Space::new(head, metric, centre);
        let references = References::new(&space, &rows, options.decide)?;
        Ok(Self { space, references })
    }
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
