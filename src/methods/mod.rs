//! The methods that people compare FAM with: class activation maps and black-box baselines, one small file each.
//!
//! All explain the same numbers, an [`Objective`]: similarities to class prototypes, or logits of a classifier. Three
//! kinds:
//! - maps from the activations of one layer alone ([`mean`], [`eigen_cam`], [`random`]);
//! - maps from the activations and the gradient of the score ([`cam`], [`grad_cam`], [`grad_cam_plus_plus`],
//!   [`layer_cam`], [`hires_cam`], [`xgrad_cam`]): one forward and one backward pass, see [`Method::from_activations`];
//! - maps from many passes over changed inputs ([`score_cam`], [`rise`], [`occlusion`]) or changed activations
//!   ([`ablation_cam`]), through a [`Scorer`], see [`Method::by_passes`].
//!
//! Maps are raw; whether a method rectifies its map (sets negative values to 0) is as published.

pub mod ablation_cam;
pub mod cam;
pub mod eigen_cam;
mod fam;
pub mod grad_cam;
pub mod grad_cam_plus_plus;
pub mod hires_cam;
pub mod layer_cam;
mod maps;
pub mod masks;
pub mod mean;
mod method;
mod objective;
pub mod occlusion;
pub mod pooling;
pub mod random;
pub mod rise;
pub mod score_cam;
#[cfg(test)]
mod tests;
pub mod xgrad_cam;

pub use maps::{Maps, MethodMap};
pub use method::{Method, MethodOptions, Reads};
pub use objective::Objective;
pub use random::SplitMix;

use crate::engine::LocalFuture;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Runs the model for a method. The session supplies it, counts the passes and can cancel the method.
pub trait Scorer {
    /// How many scores every pass gives.
    fn classes(&self) -> usize;

    /// The scores of an input image, `[1, C, H, W]`: one forward pass.
    fn score<'a>(&'a mut self, input: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>>;

    /// The scores if the layer's activation maps were these: only what comes after the layer runs.
    fn score_maps<'a>(&'a mut self, maps: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>>;

    /// The method calls this after each pass: `done` of `total`. An error, such as [`Error::Cancelled`], ends the
    /// method.
    fn report(&mut self, done: usize, total: usize) -> LocalFuture<'_, Result<()>>;
}

/// What one forward and one backward pass give, for every class: what all methods of the CAM family read.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The activation maps of the layer.
    pub maps: Maps<'a>,
    /// For each class the gradient of its score with respect to the maps, `C x H x W`. May be empty for methods that
    /// read none.
    pub gradients: &'a [Vec<f32>],
    /// For each class the weights that CAM and FAM take, one a channel. Empty where the score is not linear in the
    /// pooled maps.
    pub directions: &'a [Vec<f32>],
    /// How many classes there are.
    pub classes: usize,
}

impl Method {
    /// The maps of every class, for a method that needs no further passes.
    ///
    /// # Errors
    /// [`Error::Argument`] if the method needs what `evidence` has not, or needs passes.
    ///
    /// ```
    /// use famlens::methods::{Evidence, Maps, Method};
    /// use famlens::tensor::Tensor;
    /// let layer = Tensor::new([1, 2, 1, 2], vec![1.0, 3.0, 5.0, 5.0])?;
    /// let gradients = [vec![1.0, 1.0, -1.0, 0.0]];
    /// let evidence = Evidence { maps: Maps::new(&layer)?, gradients: &gradients, directions: &[], classes: 1 };
    /// let map = Method::GradCam.from_activations(&evidence, 1)?;
    /// assert_eq!(map[0].weights, [1.0, -0.5]);
    /// assert_eq!(map[0].data, [0.0, 0.5]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn from_activations(self, evidence: &Evidence, seed: u64) -> Result<Vec<MethodMap>> {
        (0..evidence.classes).map(|class| self.map_of(evidence, class, seed)).collect()
    }

    fn map_of(self, evidence: &Evidence, class: usize, seed: u64) -> Result<MethodMap> {
        let maps = &evidence.maps;
        let gradient = || match evidence.gradients.get(class) {
            Some(g) if g.len() == maps.data().len() => Ok(g.as_slice()),
            _ => Err(Error::argument("method", format!("{self} needs the gradient of class {class}"))),
        };
        let direction = || match evidence.directions.get(class) {
            Some(d) if d.len() == maps.channels() => Ok(d.as_slice()),
            _ => Err(Error::argument(
                "method",
                format!(
                    "{self} needs a score that is linear in the pooled activation maps of the layer, and this one is not; \
                     use grad-cam, or the layer that is pooled"
                ),
            )),
        };
        let weighed = |weights: Vec<f32>| maps.map(maps.weighed(&weights), weights);
        let celled = |data: Vec<f32>| maps.map(data, Vec::new());
        Ok(match self {
            Self::Fam => weighed(fam::weights(maps, direction()?)),
            Self::Mean => weighed(mean::weights(maps)),
            Self::Cam => weighed(direction()?.to_vec()),
            Self::GradCam => weighed(grad_cam::weights(maps, gradient()?)).rectified(),
            Self::GradCamPlusPlus => weighed(grad_cam_plus_plus::weights(maps, gradient()?)).rectified(),
            Self::LayerCam => celled(layer_cam::map(maps, gradient()?)).rectified(),
            Self::HiResCam => celled(hires_cam::map(maps, gradient()?)),
            Self::XGradCam => weighed(xgrad_cam::weights(maps, gradient()?)).rectified(),
            Self::EigenCam => celled(eigen_cam::map(maps)),
            Self::Random => weighed(random::weights(maps, seed)),
            Self::ScoreCam | Self::AblationCam | Self::Rise | Self::Occlusion => {
                return Err(Error::argument("method", format!("{self} needs passes of the model")));
            }
        })
    }

    /// The maps of every class, for a method that runs the model many times: on the image's `input`, or on what comes
    /// after the `layer`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the method needs no passes or an option is outside its range; those of the scorer.
    pub async fn by_passes(
        self,
        scorer: &mut dyn Scorer,
        input: &Tensor,
        layer: &Tensor,
        options: &MethodOptions,
    ) -> Result<Vec<MethodMap>> {
        match self {
            Self::ScoreCam => score_cam::maps(scorer, input, &Maps::new(layer)?, options.channels).await,
            Self::AblationCam => ablation_cam::maps(scorer, layer).await,
            Self::Rise => rise::maps(scorer, input, options.rise()).await,
            Self::Occlusion => occlusion::maps(scorer, input, options.window, options.stride).await,
            _ => Err(Error::argument("method", format!("{self} is made from one forward pass"))),
        }
    }
}
