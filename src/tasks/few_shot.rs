//! N-way K-shot classification by prototypes (prototypical networks, arXiv 1703.05175).

use crate::choice::choice;
use crate::error::{Error, Result};
use crate::fam::{Direction, Metric, Side, Space, prototype};

/// What stands for a class in a comparison.
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
        "arXiv 1911.04623 (SimpleShot), CL2N", "Needs a model whose model.json has a mean embedding.", needs [Mean];
    Supports: "supports", "Your classes' mean",
        "What your support images have in common is subtracted first.",
        "arXiv 1911.04623 (SimpleShot), CL2N, with the supports as the base set", "";
    Gallery: "gallery", "Your images' mean",
        "What all images opened so far have in common is subtracted first.",
        "arXiv 1911.04623 (SimpleShot), CL2N, with the session's images as the base set", "";
});

/// The directions of the classes in a space: one for each class under [`Decide::Prototype`], otherwise one for each
/// support.
#[derive(Clone, Debug)]
pub struct References {
    rows: Vec<Vec<Direction>>,
    decide: Decide,
}

impl References {
    /// From the pooled features of each class's supports.
    ///
    /// # Errors
    /// [`Error::Argument`] without classes, for a class without supports, or features that do not fit the space.
    ///
    /// ```
    /// use famlens::fam::{Metric, Similarity, Space, head::Head};
    /// use famlens::tasks::few_shot::{Decide, References};
    /// let space = Space::new(Head::none(), Metric::new(Similarity::Cosine, None, None, false)?, None);
    /// let classes: [Vec<&[f32]>; 2] = [vec![&[1.0, 0.0], &[0.0, 1.0]], vec![&[1.0, 1.0]]];
    /// let side = space.side(&[1.0, 0.0])?;
    /// let nearest = References::new(&space, &classes, Decide::Nearest)?;
    /// assert_eq!(nearest.decide(space.metric(), &side).0.predicted, 0);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn new(space: &Space, classes: &[Vec<&[f32]>], decide: Decide) -> Result<Self> {
        if classes.is_empty() {
            return Err(Error::argument("classes", "at least one class with one image is needed"));
        }
        let row = |supports: &Vec<&[f32]>| -> Result<Vec<Direction>> {
            let prepared = supports.iter().map(|f| space.prepare(f)).collect::<Result<Vec<_>>>()?;
            let metric = space.metric();
            match decide {
                Decide::Prototype => {
                    let rows: Vec<&[f32]> = prepared.iter().map(Vec::as_slice).collect();
                    Ok(vec![metric.direction(&prototype(&rows)?)])
                }
                _ if prepared.is_empty() => Err(Error::argument("supports", "a class needs at least one image")),
                _ => Ok(prepared.iter().map(|g| metric.direction(g)).collect()),
            }
        };
        Ok(Self { rows: classes.iter().map(row).collect::<Result<_>>()?, decide })
    }

    /// Ranks the classes for a query, and gives the direction that each was compared by.
    pub fn decide(&self, metric: &Metric, side: &Side) -> (Decision, Vec<Direction>) {
        let best = |row: &Vec<Direction>| {
            let scores: Vec<f64> = row.iter().map(|d| metric.compare(side, d)).collect();
            row[first_largest(&scores)].clone()
        };
        let directions: Vec<Direction> = match self.decide {
            Decide::Nearest => self.rows.iter().map(best).collect(),
            // A similarity is linear in the direction, so the mean of similarities (and of maps) is that of directions.
            Decide::Prototype | Decide::MeanOfSupports => self.rows.iter().map(|row| mean(row)).collect(),
        };
        let scores: Vec<f64> = directions.iter().map(|d| metric.compare(side, d)).collect();
        let predicted = first_largest(&scores);
        (Decision { scores, predicted }, directions)
    }

    /// The score of one class alone; NaN if there is no such class.
    pub fn score(&self, metric: &Metric, side: &Side, class: usize) -> f64 {
        let Some(row) = self.rows.get(class) else { return f64::NAN };
        let scores = row.iter().map(|d| metric.compare(side, d));
        match self.decide {
            Decide::Nearest => scores.fold(f64::NEG_INFINITY, f64::max),
            Decide::Prototype | Decide::MeanOfSupports => scores.sum::<f64>() / row.len() as f64,
        }
    }

    /// The directions, where they do not depend on the query; `None` for the nearest support.
    pub fn fixed(&self) -> Option<Vec<Direction>> {
        (self.decide != Decide::Nearest).then(|| self.rows.iter().map(|row| mean(row)).collect())
    }
}

fn mean(row: &[Direction]) -> Direction {
    if let [single] = row {
        return single.clone();
    }
    let average = |value: &dyn Fn(&Direction) -> f64| row.iter().map(value).sum::<f64>() / row.len().max(1) as f64;
    let size = row.first().map_or(0, |d| d.values.len());
    let values = (0..size).map(|c| average(&|d| f64::from(d.values[c])) as f32).collect();
    Direction { values, constant: average(&|d| d.constant) }
}

/// Index of the largest score; the first of equals.
fn first_largest(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, k| if scores[k] > scores[best] { k } else { best })
}

/// How the classes rank for one query.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// One score per class, in the order of the classes.
    pub scores: Vec<f64>,
    /// Index of the class with the highest score; the first of equals.
    pub predicted: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;
    use crate::fam::{Similarity, head::Head};

    /// Class 0 has one support on the query and two far away; class 1 three that are all near.
    const CLASSES: [[[f32; 2]; 3]; 2] = [[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [[1.0, 0.5], [1.0, 0.5], [1.0, 0.5]]];

    #[test]
    fn each_rule_decides_as_it_says() -> Result<()> {
        let space = Space::new(Head::none(), Metric::new(Similarity::Cosine, None, None, false)?, None);
        let classes: Vec<Vec<&[f32]>> = CLASSES.iter().map(|c| c.iter().map(|g| g.as_slice()).collect()).collect();
        let side = space.side(&[1.0, 0.0])?;
        let near = 1.0 / 1.25f64.sqrt();
        let expected = [
            (Decide::Prototype, 1.0 / 5f64.sqrt(), 1),
            (Decide::Nearest, 1.0, 0),
            (Decide::MeanOfSupports, 1.0 / 3.0, 1),
        ];
        assert_eq!(expected.len(), Decide::ALL.len());
        for (rule, score, predicted) in expected {
            let references = References::new(&space, &classes, rule)?;
            let (decision, directions) = references.decide(space.metric(), &side);
            assert!((decision.scores[0] - score).abs() < 1e-6, "{rule}: {}", decision.scores[0]);
            assert!((decision.scores[1] - near).abs() < 1e-6, "{rule}");
            assert_eq!(decision.predicted, predicted, "{rule}");
            assert_eq!(directions.len(), 2);
            assert_eq!(references.fixed().is_none(), rule == Decide::Nearest);
        }
        Ok(())
    }
}
