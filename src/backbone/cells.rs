//! What the layers of the class-specific forms give for an image: pooled cells, and readouts of all cells.

use std::sync::Arc;

use super::images::CellFeatures;
use super::{Backbone, ImageId};
use crate::engine::{CellMaps, CellReadout, Pooled};
use crate::error::{Error, Result};
use crate::model::not_spatial;
use crate::tensor::{Shape, Tensor};

impl Backbone {
    /// Whether the network has been run on an image up to the layers of the class-specific forms.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub(crate) fn knows_cells(&self, id: ImageId) -> Result<bool> {
        Ok(self.image(id)?.cells.is_some())
    }

    /// A readout of an image's cells, in the same submission as the forward pass if the image is new there.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; the engine's errors.
    pub(crate) async fn cells(&mut self, id: ImageId, readout: &CellReadout) -> Result<CellMaps> {
        let image = self.image(id)?;
        let (size, layers) = (image.cell_geometry().input_size(), self.model.cell_look().layers);
        if let Some(known) = image.cells.clone() {
            let program = self.engines.program(known.engine, &self.model, size, &layers)?;
            return program.cells(&known.maps, readout).await;
        }
        let (engine, input) = (self.engines.active(), self.cell_tensor(id)?);
        let program = self.engines.program(engine, &self.model, size, &layers)?;
        let output = program.run_cells(&input, readout).await?;
        let pooled = output.cells.pooled.as_slice().into();
        self.image_mut(id)?.cells = Some(CellFeatures { engine, maps: output.features.into(), pooled });
        Ok(output.cells)
    }

    /// The pooled cells of an image, one [`Pooled`] a layer.
    ///
    /// # Errors
    /// As [`Backbone::cells`].
    pub(crate) async fn pooled_cells(&mut self, id: ImageId) -> Result<Arc<[Pooled]>> {
        if !self.knows_cells(id)? {
            self.cells(id, &CellReadout::default()).await?;
        }
        let known = self.image(id)?.cells.as_ref().map(|known| known.pooled.clone());
        let engine = self.engines.active().name();
        known.ok_or_else(|| Error::Engine { engine, reason: "it returned no cells".into() })
    }

    /// The first layer's activation maps in host memory and the pooled cells of all. What was not there before is not
    /// kept.
    ///
    /// # Errors
    /// As [`Backbone::cells`].
    pub(crate) async fn cell_activations(&mut self, id: ImageId) -> Result<(Tensor, Arc<[Pooled]>)> {
        let known = self.knows_cells(id)?;
        let pooled = self.pooled_cells(id).await?;
        let layers = self.model.cell_look().layers;
        let image = self.image(id)?;
        let size = image.cell_geometry().input_size();
        let first = image.cells.as_ref().and_then(|cells| Some((cells.engine, cells.maps.first()?.clone())));
        let (engine, first) = first.ok_or_else(|| not_spatial(&layers[0]))?;
        let block = self.engines.program(engine, &self.model, size, &layers)?.read(&first).await?;
        if !known {
            self.image_mut(id)?.cells = None;
        }
        Ok((block, pooled))
    }

    /// A readout of the cells of an input that is not kept.
    ///
    /// # Errors
    /// [`Error::Argument`] for an input that is no image; the engine's errors.
    pub(crate) async fn cells_of_input(&mut self, input: &Tensor, readout: &CellReadout) -> Result<CellMaps> {
        let [_, _, height, width] = *input.shape().dims() else {
            return Err(Error::argument("input", "the model's input is no image"));
        };
        let layers = self.model.cell_look().layers;
        let program = self.program((width as u32, height as u32), &layers)?;
        Ok(program.run_cells(input, readout).await?.cells)
    }

    /// Width and height of the grid of cells that an image's readout has.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; those of compiling.
    pub(crate) fn cell_grid(&mut self, id: ImageId) -> Result<(usize, usize)> {
        let (size, layers) = (self.image(id)?.cell_geometry().input_size(), self.model.cell_look().layers);
        let shape = self.program(size, &layers)?.target_shapes().first().and_then(Shape::chw);
        let (_, height, width) = shape.ok_or_else(|| not_spatial(&layers[0]))?;
        Ok((width, height))
    }
}
