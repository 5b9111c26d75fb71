//! The methods by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rise::RiseOptions;
use crate::error::{Error, Result};

/// How a map is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    #[serde(rename = "grad-cam++")]
    GradCamPlusPlus,
    /// LayerCAM.
    LayerCam,
    /// HiResCAM.
    #[serde(rename = "hires-cam")]
    HiResCam,
    /// XGrad-CAM.
    #[serde(rename = "xgrad-cam")]
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
    /// Every method.
    pub const ALL: [Self; 14] = [
        Self::Fam,
        Self::Mean,
        Self::Cam,
        Self::GradCam,
        Self::GradCamPlusPlus,
        Self::LayerCam,
        Self::HiResCam,
        Self::XGradCam,
        Self::EigenCam,
        Self::ScoreCam,
        Self::AblationCam,
        Self::Rise,
        Self::Occlusion,
        Self::Random,
    ];

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

    /// Whether the map is the same for every class.
    pub fn ignores_class(self) -> bool {
        self.reads() == Reads::Activations
    }

    /// The name used on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fam => "fam",
            Self::Mean => "mean",
            Self::Cam => "cam",
            Self::GradCam => "grad-cam",
            Self::GradCamPlusPlus => "grad-cam++",
            Self::LayerCam => "layer-cam",
            Self::HiResCam => "hires-cam",
            Self::XGradCam => "xgrad-cam",
            Self::EigenCam => "eigen-cam",
            Self::ScoreCam => "score-cam",
            Self::AblationCam => "ablation-cam",
            Self::Rise => "rise",
            Self::Occlusion => "occlusion",
            Self::Random => "random",
        }
    }

    /// The name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fam => "FAM",
            Self::Mean => "Mean activation",
            Self::Cam => "CAM",
            Self::GradCam => "Grad-CAM",
            Self::GradCamPlusPlus => "Grad-CAM++",
            Self::LayerCam => "LayerCAM",
            Self::HiResCam => "HiResCAM",
            Self::XGradCam => "XGrad-CAM",
            Self::EigenCam => "Eigen-CAM",
            Self::ScoreCam => "Score-CAM",
            Self::AblationCam => "Ablation-CAM",
            Self::Rise => "RISE",
            Self::Occlusion => "Occlusion",
            Self::Random => "Random weights",
        }
    }

    /// One sentence on what it does.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Fam => "Weighs each channel by its share of the score; the form says how the share is counted.",
            Self::Mean => "The mean of all channels: knows nothing of the class, so every method should beat it.",
            Self::Cam => "Weighs each channel by the class's weight for it.",
            Self::GradCam => "Weighs each channel by the mean gradient of the score.",
            Self::GradCamPlusPlus => {
                "Grad-CAM that counts the cells of positive gradient, so several objects weigh alike."
            }
            Self::LayerCam => "Weighs each cell by its own positive gradient; keeps the detail of early layers.",
            Self::HiResCam => "Gradient times activation in each cell; sums to the score where the score is linear.",
            Self::XGradCam => "Grad-CAM with gradients averaged by how active each cell is.",
            Self::EigenCam => "The first principal component of the activations; knows nothing of the class.",
            Self::ScoreCam => {
                "Weighs each channel by the score of the image seen through it; a forward pass a channel."
            }
            Self::AblationCam => "Weighs each channel by what the score loses without it.",
            Self::Rise => "The mean of random masks, weighed by the score of the image seen through each.",
            Self::Occlusion => "How much of the score is lost when a grey square hides each place.",
            Self::Random => "Random channel weights: the control.",
        }
    }

    /// Where it is published.
    pub fn source(self) -> &'static str {
        match self {
            Self::Fam => "Liao et al., arXiv 2307.05017",
            Self::Mean | Self::Random => "a control",
            Self::Cam => "Zhou et al., arXiv 1512.04150",
            Self::GradCam => "Selvaraju et al., arXiv 1610.02391",
            Self::GradCamPlusPlus => "Chattopadhyay et al., arXiv 1710.11063",
            Self::LayerCam => "Jiang et al., doi 10.1109/TIP.2021.3089943",
            Self::HiResCam => "Draelos and Carin, arXiv 2011.08891",
            Self::XGradCam => "Fu et al., arXiv 2008.02312",
            Self::EigenCam => "Muhammad and Yeasin, arXiv 2008.00299",
            Self::ScoreCam => "Wang et al., arXiv 1910.01279",
            Self::AblationCam => "Desai and Ramaswamy, WACV 2020",
            Self::Rise => "Petsiuk et al., arXiv 1806.07421",
            Self::Occlusion => "Zeiler and Fergus, arXiv 1311.2901",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::argument("method", format!("{name:?} is not one of {names}"))
        })
    }
}

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
