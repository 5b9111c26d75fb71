//! The backbone at work: a model, the engine that runs it, the images in play, and what the network gave for each.
//!
//! This room alone decides which engine runs and what happens when the GPU goes away. Everybody else runs an engine
//! through `Backbone::recovering`.

mod calibration;
mod cells;
mod covered;
mod engines;
mod features;
mod images;
mod tails;
mod values;

pub use calibration::Calibration;
pub use covered::CoverWith;
pub use engines::{EngineChoice, EngineKind, EngineReport};
pub use images::ImageId;

pub(crate) use tails::trace;
pub(crate) use values::Values;

use std::collections::HashMap;

use web_time::Instant;

use crate::engine::{Mix, Pooling, Program};
use crate::error::{Error, Result};
use crate::model::Model;
use engines::Engines;
use images::Image;
use tails::TailCache;

/// A model, its engines, and the images in play.
pub struct Backbone {
    model: Model,
    engines: Engines,
    images: HashMap<ImageId, Image>,
    next_id: u32,
    keep_photos: bool,
    tails: TailCache,
}

impl Backbone {
    /// A backbone without images.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if the GPU is asked for and there is none.
    pub async fn new(model: Model, choice: EngineChoice) -> Result<Self> {
        let (engines, images) = (Engines::new(choice).await?, HashMap::new());
        Ok(Self { model, engines, images, next_id: 1, keep_photos: false, tails: TailCache::default() })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The engine that runs now.
    pub fn engine(&self) -> EngineKind {
        self.engines.active()
    }

    /// A description of each engine, for people.
    pub fn engine_reports(&self) -> Vec<EngineReport> {
        self.engines.reports()
    }

    /// What the user should know about the engine, such as that the GPU was lost and the CPU took over.
    pub fn note(&self) -> Option<&str> {
        self.engines.note()
    }

    /// Chooses the engine. Images stay; the network runs on them again when they are next needed.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if the GPU is asked for and there is none; the backbone then goes on as before.
    pub async fn set_engine(&mut self, choice: EngineChoice) -> Result<()> {
        self.engines.choose(choice).await?;
        let active = self.engines.active();
        self.images.values_mut().for_each(|image| image.keep_what(|engine| engine == active));
        Ok(())
    }

    /// Measures both engines on an image, warm, and takes the faster one. If the GPU is missing or lost, the backbone
    /// takes the CPU; that is no error. Results stay with the engine that computed them.
    ///
    /// # Errors
    /// The CPU engine's errors, and [`Error::Argument`] for an unknown image.
    pub async fn calibrate(&mut self, id: ImageId) -> Result<EngineKind> {
        let image = self.images.get(&id).ok_or_else(|| images::unknown(id))?;
        self.engines.calibrate(&self.model, &image.input, image.geometry.input_size()).await
    }

    /// A function that loses the GPU when it is called, as a driver reset would.
    pub(crate) fn gpu_loss(&self) -> Option<Box<dyn Fn()>> {
        self.engines.gpu_loss()
    }

    /// Runs `work`. If the GPU is lost meanwhile, starts `work` over: on a rebuilt GPU the first time, on the CPU the
    /// second.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn recovering<T>(&mut self, work: impl AsyncFn(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            match work(self).await {
                Err(Error::GpuLost { reason }) if self.engines.active() == EngineKind::Gpu => {
                    self.engines.recover(&reason).await;
                    self.images.values_mut().for_each(|image| image.keep_what(|engine| engine != EngineKind::Gpu));
                }
                result => return result,
            }
        }
    }

    /// The program of the active engine for that input size and those layers, to be timed or asked for its shapes.
    ///
    /// # Errors
    /// Those of compiling.
    pub(crate) fn program(&mut self, size: (u32, u32), layers: &[String]) -> Result<&mut dyn Program> {
        self.engines.program(self.engines.active(), &self.model, size, layers)
    }
}

/// A mix that only pools.
pub(crate) fn pooling_alone(pooling: Pooling) -> Mix {
    Mix { pooling, ..Mix::default() }
}

/// Milliseconds since then.
pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
