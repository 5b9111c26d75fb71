//! What a user gives beside images and choices: a transformation module, a matrix, statistics.

use std::sync::Arc;

use super::ExplainOptions;
use super::verdict::{Taught, TaughtBy};
use super::what_if::Whole;
use crate::error::{Error, Result};
use crate::fam::head::{Activation, Head};
use crate::fam::{Inverse, Rule, Specific, Statistics};
use crate::model::Model;
use crate::tasks::retrieval::read_npy;

/// What a user gives beside images and choices.
#[derive(Default)]
pub struct Given {
    head: Option<Head>,
    matrix: Option<Inverse>,
    statistics: Option<Arc<Statistics>>,
    /// The whitening of the statistics, which takes a while: made once for a shrinkage.
    specific: Option<Specific>,
    /// What supports said of each other, for the classes asked about last.
    taught: Vec<(TaughtBy, Arc<Taught>)>,
    /// The scores of the photo asked about last, covered as a whole.
    pub(super) whole: Option<Whole>,
}

/// How many sets of classes it is kept for.
const MOST_TAUGHT: usize = 8;

impl Given {
    /// Takes a transformation module for [`HeadChoice::File`](crate::fam::head::HeadChoice::File) from a `.safetensors`
    /// file, and says what it is, such as `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`. `activation` stands for the
    /// layers without weights; what the file's metadata names, or ReLU, if `None`.
    ///
    /// # Errors
    /// As [`Head::from_safetensors`]; the head before stays.
    pub fn load_head(&mut self, bytes: &[u8], activation: Option<Activation>) -> Result<String> {
        let head = Head::from_safetensors(bytes, activation)?;
        let text = head.describe();
        self.head = Some(head);
        self.forget_taught();
        Ok(text)
    }

    /// Forgets the head that was loaded; the choice of one from a file is an error until another one is.
    pub fn forget_head(&mut self) {
        self.head = None;
        self.forget_taught();
    }

    /// The head that was loaded.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Gives the matrix of the bilinear and Mahalanobis similarities, row-major, `size * size` values; `None` to learn
    /// it from the images again.
    ///
    /// # Errors
    /// As [`Inverse::given`].
    pub fn set_matrix(&mut self, matrix: Option<(usize, &[f32])>) -> Result<()> {
        self.matrix = matrix.map(|(size, values)| Inverse::given(size, values)).transpose()?;
        self.forget_taught();
        Ok(())
    }

    /// Takes the matrix of the bilinear and Mahalanobis similarities from a NumPy file (`.npy`, float32 or float64,
    /// square), and says what it is: `"1280 x 1280"`.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is no such file; as [`Inverse::given`]. The matrix before stays.
    pub fn load_matrix(&mut self, bytes: &[u8]) -> Result<String> {
        let wrong = |reason: String| Error::argument("matrix file", reason);
        let (rows, columns, values) =
            read_npy(bytes).map_err(|reason| wrong(format!("it cannot be read as .npy: {reason}")))?;
        if rows != columns {
            return Err(wrong(format!("it holds {rows} x {columns} values, and the matrix has to be square")));
        }
        self.set_matrix(Some((rows, &values)))?;
        Ok(format!("{rows} x {columns}"))
    }

    /// The matrix that was given.
    pub(super) fn matrix(&self) -> Option<&Inverse> {
        self.matrix.as_ref()
    }

    /// The statistics that the class-specific forms use: those given, or the model's.
    pub fn statistics<'a>(&'a self, model: &'a Model) -> Option<&'a Statistics> {
        self.statistics.as_deref().or(model.statistics())
    }

    /// Replaces the statistics that came with the model, such as by those of the user's own images; `None` goes back to
    /// the model's.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are of another layer or input size than this model's class-specific forms.
    pub fn set_statistics(&mut self, model: &Model, statistics: Option<Statistics>) -> Result<()> {
        if let Some(statistics) = &statistics {
            model.check_statistics(statistics)?;
        }
        (self.statistics, self.specific) = (statistics.map(Arc::new), None);
        self.forget_taught();
        Ok(())
    }

    /// The whitening for these options.
    ///
    /// # Errors
    /// [`Error::Argument`] for an option out of range, or without statistics.
    pub(crate) fn specific(&mut self, model: &Model, options: &ExplainOptions) -> Result<Specific> {
        let rule = Rule {
            border: if options.border_term { Rule::BORDER } else { 0.0 },
            shrinkage: options.cell_shrinkage.into(),
            offset: options.offset,
            sharpness: options.sharpness,
        };
        rule.check()?;
        let specific = match self.specific.take().filter(|known| known.rule().shrinkage == rule.shrinkage) {
            Some(known) => known.with_rule(rule)?,
            None => {
                let reason = "this form needs statistics of unlabelled images, and the model came without; make them \
                              with `famlens statistics`, or from your own images with `lens.adaptStatistics`";
                let statistics = self.statistics(model).ok_or_else(|| Error::argument("form", reason))?;
                Specific::new(statistics, rule)?
            }
        };
        Ok(self.specific.insert(specific).clone())
    }

    /// What was learned under other statistics or another head does not hold any more.
    fn forget_taught(&mut self) {
        self.taught.clear();
        self.whole = None;
    }

    /// What supports said of each other, if these were asked before.
    pub(super) fn taught(&self, by: &TaughtBy) -> Option<Arc<Taught>> {
        self.taught.iter().find(|(known, _)| known == by).map(|(_, taught)| taught.clone())
    }

    /// Keeps what supports said of each other.
    pub(super) fn keep_taught(&mut self, by: TaughtBy, taught: Arc<Taught>) {
        if self.taught.len() >= MOST_TAUGHT {
            self.taught.remove(0);
        }
        self.taught.push((by, taught));
    }
}
