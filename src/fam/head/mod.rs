//! The transformation module: what lies between the pooled features and the embedding that is compared.

use crate::choice::choice;

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
        "Weights are carried back through activations by gradient times input; what is lost is shown as residual.";
    Whitening: "whitening", "Whitening (PCA)",
        "Directions in which your images vary a lot count less, so that rare differences count more.",
        "arXiv 1511.05879 (MAC); covariance with shrinkage (Ledoit and Wolf 2004)",
        "Learned from the images in the session; the more there are, the better.";
    Lda: "lda", "Discriminant analysis (LDA)",
        "Only the directions that tell your classes apart count.",
        "Fisher 1936, Rao 1948; covariance within classes with shrinkage",
        "Learned from the support images; needs two classes.";
});
