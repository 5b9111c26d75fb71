//! The methods by name.

use serde::{Deserialize, Serialize};

use super::rise::RiseOptions;
use crate::choice::choice;

/// How a map is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Method {
    /// Feature activation maps, in the form that is chosen beside the method.
    #[default]
    Fam,
    /// The mean of all channels.
    Mean,
    /// Class activation maps.
    Cam,
    /// Grad-CAM.
    GradCam,
    /// Grad-CAM++.
    GradCamPlusPlus,
    /// LayerCAM.
    LayerCam,
    /// HiResCAM.
    HiResCam,
    /// XGrad-CAM.
    XGradCam,
    /// Eigen-CAM.
    EigenCam,
    /// Score-CAM.
    ScoreCam,
    /// Ablation-CAM.
    AblationCam,
    /// RISE.
    Rise,
    /// Occlusion.
    Occlusion,
    /// Random weights.
    Random,
}

/// What a method reads, beside the image's activation maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// Nothing more.
    Activations,
    /// The weights in which the score is linear.
    Direction,
    /// The gradient of the score.
    Gradient,
    /// The scores of changed activation maps: many passes of what comes after the layer.
    Tail,
    /// The scores of changed inputs: many passes of the whole model.
    Input,
}

impl Method {
    /// What it reads.
    pub fn reads(self) -> Reads {
        match self {
            Self::Mean | Self::EigenCam | Self::Random => Reads::Activations,
            Self::Fam | Self::Cam => Reads::Direction,
            Self::GradCam | Self::GradCamPlusPlus | Self::LayerCam | Self::HiResCam | Self::XGradCam => Reads::Gradient,
            Self::AblationCam => Reads::Tail,
            Self::ScoreCam | Self::Rise | Self::Occlusion => Reads::Input,
        }
    }

    /// Whether it reads the activation maps of a layer. RISE and occlusion read the scores of changed images alone.
    pub fn reads_maps(self) -> bool {
        !matches!(self, Self::Rise | Self::Occlusion)
    }

    /// Whether the map is the same for every class.
    pub fn ignores_class(self) -> bool {
        self.reads() == Reads::Activations
    }
}

choice!(Method, "method", {
    Fam: "fam", "FAM",
        "Weighs each channel by its share of the score; the form says how the share is counted.",
        "arXiv 2307.05017, equations 5 to 7", "";
    Mean: "mean", "Mean activation",
        "The mean of all channels: what every method should beat.",
        "control", "Knows nothing of the class.";
    Cam: "cam", "CAM",
        "Weighs each channel by the class's own weight for it.",
        "Zhou et al., arXiv 1512.04150, equation 2", "Needs a score that is linear in the pooled maps of the layer.";
    GradCam: "grad-cam", "Grad-CAM",
        "Weighs each channel by the mean gradient of the score.",
        "Selvaraju et al., arXiv 1610.02391, equations 1 and 2", "";
    GradCamPlusPlus: "grad-cam++", "Grad-CAM++",
        "Grad-CAM that counts the cells of positive gradient, so that several objects weigh alike.",
        "Chattopadhyay et al., arXiv 1710.11063, equation 19", "";
    LayerCam: "layer-cam", "LayerCAM",
        "Weighs each cell by its own positive gradient, which keeps the detail of early layers.",
        "Jiang et al., doi 10.1109/TIP.2021.3089943", "";
    HiResCam: "hires-cam", "HiResCAM",
        "Gradient times activation in each cell.",
        "Draelos and Carin, arXiv 2011.08891", "Sums to the score where the score is linear after the layer.";
    XGradCam: "xgrad-cam", "XGrad-CAM",
        "Grad-CAM with gradients averaged by how active each cell is.",
        "Fu et al., arXiv 2008.02312, equation 9", "";
    EigenCam: "eigen-cam", "Eigen-CAM",
        "The first principal component of the activations over the cells.",
        "Muhammad and Yeasin, arXiv 2008.00299", "Knows nothing of the class.";
    ScoreCam: "score-cam", "Score-CAM",
        "Weighs each channel by the score of the image seen through that channel's map.",
        "Wang et al., arXiv 1910.01279, algorithm 1", "Runs the model once for each channel tried.";
    AblationCam: "ablation-cam", "Ablation-CAM",
        "Weighs each channel by what the score loses without it.",
        "Desai and Ramaswamy, WACV 2020, equations 3 and 4", "Runs what comes after the layer once for each channel.";
    Rise: "rise", "RISE",
        "The mean of random masks, each weighed by the score of the image seen through it.",
        "Petsiuk et al., arXiv 1806.07421, equation 6", "Runs the model once for each mask.";
    Occlusion: "occlusion", "Occlusion",
        "How much of the score is lost when a grey square hides each place.",
        "Zeiler and Fergus, arXiv 1311.2901, section 4.2", "Runs the model once for each place.";
    Random: "random", "Random weights",
        "Each channel weighs as much as chance will have it.",
        "control", "The control of every comparison.";
});

/// What can be chosen about the methods.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct MethodOptions {
    /// Start of the random numbers of RISE and of random weights.
    pub seed: u64,
    /// Score-CAM: how many channels are tried, those of largest mean activation first; 0 for all. One pass each.
    pub channels: usize,
    /// RISE: how many masks. One pass each.
    pub masks: usize,
    /// RISE: cells along each side of the random grid.
    pub grid: usize,
    /// RISE: chance of a cell to be kept.
    pub keep: f64,
    /// Occlusion: side of the grey square, in pixels of the input.
    pub window: usize,
    /// Occlusion: distance between its places, in pixels of the input.
    pub stride: usize,
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self { seed: 1, channels: 64, masks: 500, grid: 7, keep: 0.5, window: 48, stride: 16 }
    }
}

impl MethodOptions {
    /// What RISE draws its masks from.
    pub fn rise(&self) -> RiseOptions {
        RiseOptions { masks: self.masks, grid: self.grid, keep: self.keep, seed: self.seed }
    }
}
