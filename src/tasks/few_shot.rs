//! N-way K-shot classification by prototypes (prototypical networks, arXiv 1703.05175).

use crate::choice::choice;
use crate::error::{Error, Result};
use crate::fam::{Form, prototype};

/// What a class is compared by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Decide {
    /// The mean of its supports' embeddings.
    #[default]
    Prototype,
    /// The support that is most similar to the query.
    Nearest,
    /// Every support; similarities and maps are averaged.
    MeanOfSupports,
}

choice!(Decide, "decide", {
    Prototype: "prototype", "Prototype",
        "A class is the average of its images.",
        "arXiv 1703.05175, equation 1", "";
    Nearest: "nearest", "Nearest image",
        "A class is as similar as its most similar image, and the map explains that pair.",
        "arXiv 1606.04080 (matching networks); nearest neighbour", "";
    MeanOfSupports: "mean", "Mean of the images' maps",
        "The query is compared with each image of the class; similarities and maps are averaged.",
        "arXiv 2307.05017", "";
});

/// What is subtracted from embeddings before they are compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Centre {
    /// Nothing.
    #[default]
    None,
    /// The model's mean embedding of unlabelled images.
    Model,
    /// The mean of the support images in play.
    Supports,
    /// The mean of every image of the session that has been embedded.
    Gallery,
}

choice!(Centre, "center", {
    None: "none", "Nothing",
        "Embeddings are compared as they are.",
        "arXiv 1703.05175", "";
    Model: "model", "The model's mean",
        "What many unlabelled images have in common is subtracted first.",
        "arXiv 1911.04623 (SimpleShot), CL2N", "Needs a model whose model.json has a mean embedding.";
    Supports: "supports", "Your classes' mean",
        "What your support images have in common is subtracted first.",
        "arXiv 1911.04623 (SimpleShot), CL2N, with the supports as the base set", "";
    Gallery: "gallery", "Your images' mean",
        "What all images opened so far have in common is subtracted first.",
        "arXiv 1911.04623 (SimpleShot), CL2N, with the session's images as the base set", "";
});

/// The classes of an episode, each reduced to its prototype.
#[derive(Clone, PartialEq, Debug)]
pub struct Episode {
    /// One prototype per class, `N` rows of `C` values: the mean of the class's support embeddings.
    pub prototypes: Vec<Vec<f32>>,
}

/// How an episode's classes rank for one query.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// One score per class, in the order of the classes.
    pub scores: Vec<f64>,
    /// Index of the class with the highest score; the first of equals.
    pub predicted: usize,
}

impl Episode {
    /// Reduces each class's support embeddings to its prototype.
    ///
    /// # Errors
    /// [`Error::Argument`] without classes, for a class without supports, or if embeddings differ in length.
    ///
    /// ```
    /// use famlens::{fam::Form, tasks::few_shot::Episode};
    /// let episode = Episode::new(&[vec![&[1.0, 0.0][..], &[3.0, 0.0]], vec![&[0.0, 1.0]]])?;
    /// let decision = episode.decide(Form::Faithful, &[0.1, 0.9], None)?;
    /// assert_eq!(decision.predicted, 1);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn new(classes: &[Vec<&[f32]>]) -> Result<Self> {
        if classes.is_empty() {
            return Err(Error::argument("classes", "at least one class with one image is needed"));
        }
        let prototypes: Vec<_> = classes.iter().map(|supports| prototype(supports)).collect::<Result<_>>()?;
        if prototypes.iter().any(|g| g.len() != prototypes[0].len()) {
            return Err(Error::argument("classes", "the embeddings of the classes differ in length"));
        }
        Ok(Self { prototypes })
    }

    /// Ranks the classes for a query embedding `f` by the score of `form`; `mean` as in [`Form::mix`].
    ///
    /// # Errors
    /// As [`Form::score`].
    pub fn decide(&self, form: Form, f: &[f32], mean: Option<&[f32]>) -> Result<Decision> {
        let scores: Vec<f64> = self.prototypes.iter().map(|g| form.score(f, g, mean)).collect::<Result<_>>()?;
        let better = |best: usize, k: usize| if scores[k] > scores[best] { k } else { best };
        let predicted = (0..scores.len()).fold(0, better);
        Ok(Decision { scores, predicted })
    }
}
