//! The transformation module: what lies between the pooled features and the embedding that is compared.

mod file;
mod layer;
mod learned;

pub use layer::{Activation, Layer};

use crate::choice::choice;
use crate::error::{Error, Result};

/// Where the transformation module comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum HeadChoice {
    /// There is none: the pooled features are compared.
    #[default]
    None,
    /// What the model's own network does with the pooled features, as far as it was recognised.
    Model,
    /// Read from a file of weights.
    File,
    /// Principal components scaled to unit variance, learned from the images of the session.
    Whitening,
    /// Linear discriminant analysis, learned from the support images and their classes.
    Lda,
}

choice!(HeadChoice, "head", {
    None: "none", "None",
        "The pooled features are compared as they are.",
        "arXiv 2307.05017", "";
    Model: "model", "The model's own",
        "What the network does after pooling: linear layers, normalisations and activations, as recognised in its file.",
        "arXiv 2307.05017 (transformation module)",
        "Weights are carried back through activations by gradient times input; what is lost is shown as residual.";
    File: "file", "From a file",
        "A projection head from a .safetensors file, such as those of SimCLR, MoCo and BYOL.",
        "arXiv 2002.05709 (SimCLR), 2003.04297 (MoCo v2), 2006.07733 (BYOL)",
        "Weights are carried back through activations by gradient times input; what is lost is shown as residual.",
        needs [Head];
    Whitening: "whitening", "Whitening (PCA)",
        "Directions in which your images vary a lot count less, so that rare differences count more.",
        "arXiv 1511.05879 (MAC); covariance with shrinkage (Ledoit and Wolf 2004)",
        "Learned from the images in the session; the more there are, the better.";
    Lda: "lda", "Discriminant analysis (LDA)",
        "Only the directions that tell your classes apart count.",
        "Fisher 1936, Rao 1948; covariance within classes with shrinkage",
        "Learned from the support images; needs two classes.", needs [Classes];
});

/// A transformation module: layers from pooled features to the embedding. Without layers it is the identity.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Head {
    layers: Vec<Layer>,
    centre: Option<Vec<f32>>,
    note: String,
}

impl Head {
    /// No transformation.
    pub fn none() -> Self {
        Self::default()
    }

    /// A head from its layers, first to last.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first layer that does not fit the one before it.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        let mut width: Option<usize> = None;
        for (i, layer) in layers.iter().enumerate() {
            layer.check().map_err(|reason| Error::argument("head", format!("layer {i} ({layer}): {reason}")))?;
            if let (Some(had), Some(wanted)) = (width, layer.inputs())
                && had != wanted
            {
                let reason = format!("layer {i} ({layer}) takes {wanted} values, and the one before it gives {had}");
                return Err(Error::argument("head", reason));
            }
            width = layer.outputs().or(width);
        }
        Ok(Self { layers, centre: None, note: String::new() })
    }

    /// Whether it is the identity.
    pub fn is_none(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether it is affine, so that contributions are carried back exactly.
    pub fn is_affine(&self) -> bool {
        self.layers.iter().all(|layer| !matches!(layer, Layer::Activation(_)))
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of pooled features that it takes; `None` if any.
    pub fn inputs(&self) -> Option<usize> {
        self.layers.iter().find_map(Layer::inputs)
    }

    /// The features that a learned head maps to zero.
    pub fn centre(&self) -> Option<&[f32]> {
        self.centre.as_deref()
    }

    /// What it is, for people: `"Linear 512 -> 128, ReLU, Linear 128 -> 64"`.
    pub fn describe(&self) -> String {
        match (self.layers.is_empty(), self.note.is_empty()) {
            (true, _) => "none".into(),
            (false, false) => self.note.clone(),
            (false, true) => self.layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// The embedding of pooled features.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number of features than it was made for.
    pub fn forward(&self, features: &[f32]) -> Result<Vec<f32>> {
        self.fits(features)?;
        Ok(self.layers.iter().fold(features.to_vec(), |x, layer| layer.forward(&x)))
    }

    /// `J' d`: a direction behind the head as a direction in front of it, with `J` the head's derivative at `features`.
    ///
    /// # Errors
    /// As [`Head::forward`], and for a direction of another length than its embedding.
    pub fn pull_back(&self, features: &[f32], direction: &[f32]) -> Result<Vec<f32>> {
        self.fits(features)?;
        let mut inputs = vec![features.to_vec()];
        for layer in &self.layers {
            let x = inputs.last().map_or(&[][..], Vec::as_slice);
            inputs.push(layer.forward(x));
        }
        let outputs = inputs.pop().unwrap_or_default();
        if outputs.len() != direction.len() {
            let reason = format!("a direction of {} values for embeddings of {}", direction.len(), outputs.len());
            return Err(Error::argument("head", reason));
        }
        Ok(self.layers.iter().zip(&inputs).rev().fold(direction.to_vec(), |d, (layer, x)| layer.pull_back(x, &d)))
    }

    fn fits(&self, features: &[f32]) -> Result<()> {
        match self.inputs() {
            Some(wanted) if wanted != features.len() => {
                let reason =
                    format!("it takes {wanted} features, and the target layer has {} channels", features.len());
                Err(Error::argument("head", reason))
            }
            _ => Ok(()),
        }
    }
}
