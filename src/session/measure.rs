//! Measuring what a session explains.

use super::{Benchmark, Class, EvaluateOptions, Evaluated, ExplainOptions, ImageId, Mosaic, Session, Subject, Variant};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::metrics::{Row, Tiles};

impl Session {
    fn evaluator(&mut self) -> Evaluator<'_> {
        Evaluator { backbone: &mut self.backbone, given: &mut self.given }
    }

    /// Explains an image under every variant and measures the maps against its boxes and mask. `setting` goes into the
    /// rows.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, ids: [famlens::session::ImageId; 3]) -> famlens::Result<()> {
    /// use famlens::image::Rect;
    /// use famlens::metrics::{Bootstrap, summarise};
    /// use famlens::session::{Class, EvaluateOptions, Subject};
    ///
    /// let classes = [Class::new("bird", [ids[1]]), Class::new("fish", [ids[2]])];
    /// let subject = Subject { image: ids[0], class: 0, boxes: vec![Rect::new(211.0, 43.0, 480.0, 389.0)], mask: None };
    /// let found = session.evaluate_image(&subject, &classes, "squash", &EvaluateOptions::default()).await?;
    /// let summary = summarise(&found.rows, &Bootstrap::default())?;
    /// println!("IoU {:.2}", summary.aggregates[0].values["iou"].mean);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an option outside its range; the errors of [`Session::explain`].
    pub async fn evaluate_image(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        setting: &str,
        options: &EvaluateOptions,
    ) -> Result<Evaluated> {
        self.evaluator().image(subject, classes, setting, options).await
    }

    /// Explains a mosaic for each class that it shows (`tiles[i]` is the class in tile `i`, an index into `classes`)
    /// and measures how much of each class's map lies in its own tile: one row a class and variant.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if tiles and grid do not fit; the errors of [`Session::explain`].
    pub async fn evaluate_mosaic(
        &mut self,
        image: ImageId,
        grid: Tiles,
        tiles: &[usize],
        classes: &[Class],
        setting: &str,
        variants: &[Variant],
    ) -> Result<Vec<Row>> {
        self.evaluator().mosaic_tiles(image, grid, tiles, classes, setting, variants).await
    }

    /// Compares the image's own-class maps with the values of other maps of it, one for each variant: those of a
    /// randomised network with the trained one's, or those of quantised weights with full precision's.
    ///
    /// # Errors
    /// The errors of [`Session::explain`].
    pub async fn compare_maps(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        setting: &str,
        variants: &[Variant],
        reference: &[Vec<f32>],
    ) -> Result<Vec<Row>> {
        self.evaluator().compare_maps(subject, classes, setting, variants, reference).await
    }

    /// Tiles one photo of each class, `side` x `side` (the smallest square that holds all classes if `None`; what is
    /// left over shows further photos of the first classes), and explains the mosaic for every class under each of the
    /// options. A photo that is a tile does not count as a support, unless it is the only one of its class.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for fewer than two classes, more than the tiles, or one without photos; those of
    /// [`Session::explain`].
    pub async fn mosaic(
        &mut self,
        classes: &[Class],
        side: Option<usize>,
        options: &[ExplainOptions],
    ) -> Result<Mosaic> {
        self.evaluator().mosaic(classes, side, options).await
    }

    /// Runs the model `runs` times (at most 1000) without FAM, with it and with discriminative FAM, in turn, on an
    /// image of the session.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown image; the engine's errors.
    pub async fn bench(&mut self, image: ImageId, runs: usize) -> Result<Benchmark> {
        self.evaluator().bench(image, runs).await
    }
}
