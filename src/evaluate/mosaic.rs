//! Mosaics of the user's own classes: how much of each class's map falls into its own tile.

use super::Evaluator;
use crate::backbone::ImageId;
use crate::error::{Error, Result};
use crate::explain::{self, Class, ExplainOptions, Explanation, Request};
use crate::image::{GeometryMode, Photo, mosaic};
use crate::metrics::Tiles;

/// Pixels of a tile's side.
const TILE: u32 = 320;
/// More tiles a side than this are smaller than a cell of most models.
const MOST_SIDE: usize = 4;

/// One tile of a mosaic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Tile {
    /// Index of the class whose photo it shows.
    pub class: usize,
    /// The photo.
    pub image: ImageId,
}

/// A mosaic and what each form's maps make of it.
#[derive(Clone, Debug)]
pub struct Mosaic {
    /// The mosaic as an image of the session: remove it when it is no longer needed.
    pub image: ImageId,
    /// Its pixels.
    pub photo: Photo,
    /// Tiles a side.
    pub side: usize,
    /// The tiles, row by row.
    pub tiles: Vec<Tile>,
    /// By chance, what part of a class's energy lies in its own tiles.
    pub chance: Vec<f64>,
    /// For each of the options asked for, the maps and what they say.
    pub forms: Vec<MosaicForm>,
    /// Plain sentences about the mosaic.
    pub notes: Vec<String>,
}

/// How specific one form's maps are on a mosaic.
#[derive(Clone, Debug)]
pub struct MosaicForm {
    /// The mosaic explained for every class.
    pub explanation: Explanation,
    /// For each class, the share of its map's energy (positive part) in each tile; `None` if nothing in the map is
    /// positive.
    pub energy: Vec<Option<Vec<f64>>>,
    /// For each class, the share in its own tiles.
    pub own: Vec<Option<f64>>,
    /// For each class, whether its map's peak lies in one of its own tiles.
    pub hits: Vec<bool>,
    /// For each class, the probability that a pixel of its first own tile has a greater value than one elsewhere, 0.5
    /// by chance.
    pub auc: Vec<f64>,
}

impl Evaluator<'_> {
    /// As [`crate::session::Session::mosaic`].
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two classes, more than the tiles, or one without photos; those of an
    /// explanation.
    pub async fn mosaic(
        &mut self,
        classes: &[Class],
        side: Option<usize>,
        options: &[ExplainOptions],
    ) -> Result<Mosaic> {
        let least = (2..=MOST_SIDE).find(|side| side * side >= classes.len()).unwrap_or(MOST_SIDE);
        let side = side.unwrap_or(least);
        if classes.len() < 2 || !(2..=MOST_SIDE).contains(&side) || classes.len() > side * side {
            let reason =
                format!("{} classes do not fit {side} x {side} tiles; 2 to 16 do, on 2 x 2 to 4 x 4", classes.len());
            return Err(Error::argument("mosaic", reason));
        }
        let mut tiles = Vec::with_capacity(side * side);
        for t in 0..side * side {
            let (class, round) = (t % classes.len(), t / classes.len());
            let supports = &classes[class].supports;
            let image = supports.iter().rev().cycle().nth(round).copied();
            let name = &classes[class].name;
            let image = image.ok_or_else(|| Error::argument("classes", format!("class {name:?} has no images")))?;
            tiles.push(Tile { class, image });
        }
        let mut notes = Vec::new();
        let rest = |(k, class): (usize, &Class)| {
            let shown = |id: &ImageId| tiles.iter().any(|tile| tile.class == k && tile.image == *id);
            let others: Vec<ImageId> = class.supports.iter().filter(|id| !shown(id)).copied().collect();
            if others.is_empty() {
                notes.push(format!(
                    "{:?} has no photo beside those on the mosaic, so it is compared with these.",
                    class.name
                ));
                return class.clone();
            }
            Class::new(class.name.clone(), others)
        };
        let supports: Vec<Class> = classes.iter().enumerate().map(rest).collect();
        let photos = tiles.iter().map(|tile| self.backbone.kept_pixels(tile.image)).collect::<Result<Vec<_>>>()?;
        let tile = self.backbone.model().manifest().input.size.with_longer(TILE);
        let photo = mosaic(&photos.iter().collect::<Vec<_>>(), side, tile, GeometryMode::Squash)?;
        let image = self.backbone.add_image("mosaic", &photo)?;
        let own = |k: usize| tiles.iter().enumerate().filter(move |(_, tile)| tile.class == k).map(|(t, _)| t);
        let chance = (0..classes.len()).map(|k| own(k).count() as f64 / tiles.len() as f64).collect();
        let mut forms = Vec::with_capacity(options.len());
        for options in options {
            let explanation =
                match explain::explain(self.backbone, self.given, &Request::new(image, &supports, options).unjudged())
                    .await
                {
                    Ok(explanation) => explanation,
                    Err(error) => {
                        self.backbone.remove_image(image);
                        return Err(error);
                    }
                };
            let mut form = MosaicForm { energy: vec![], own: vec![], hits: vec![], auc: vec![], explanation };
            for (k, explained) in form.explanation.maps.iter().enumerate() {
                let scores = Tiles::square(side).measure(&explained.map.view()?)?;
                form.own.push(scores.energy.as_ref().map(|energy| own(k).map(|t| energy[t]).sum()));
                form.hits.push(scores.peak.is_some_and(|peak| tiles[peak].class == k));
                form.auc.push(own(k).next().map_or(0.5, |t| scores.auc[t]));
                form.energy.push(scores.energy);
            }
            forms.push(form);
        }
        Ok(Mosaic { image, photo, side, tiles, chance, forms, notes })
    }
}
