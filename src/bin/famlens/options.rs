//! What can be chosen about an explanation, as arguments; every command that explains takes them.

use std::path::PathBuf;

use famlens::fam::head::HeadChoice;
use famlens::fam::{Form, Fusion, Norm, PoolingChoice, Similarity};
use famlens::methods::{Method, MethodOptions};
use famlens::session::{Against, CatalogueInput, ExplainOptions, Finer, Look, Session, catalogue, catalogue_json};
use famlens::tasks::few_shot::{Centre, Decide};
use famlens::{Error, Result};

use crate::files;
use crate::terminal::{self, note, say};

/// Each argument is the option of that name in `famlens choices`.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Method (what each value is: famlens choices)")]
pub struct OptionArgs {
    /// How the weights of the channels are made: fam, centred, contrastive, cam, magnitude; or by cells: whitened,
    /// discriminative [default for explain and check: the one that tells classes apart best with this model; fam where
    /// another choice counts only there]
    #[arg(long)]
    pub form: Option<Form>,
    /// What ranks the classes: cosine, dot, euclidean, centred-cosine, pearson, bilinear, mahalanobis
    #[arg(long, default_value_t)]
    pub similarity: Similarity,
    /// How activation maps become an embedding: gap, gmp, gem, crow, model [default: as model.json says]
    #[arg(long)]
    pub pooling: Option<PoolingChoice>,
    /// Exponent of GeM pooling
    #[arg(long, default_value_t = 3.0)]
    pub gem_exponent: f32,
    /// The layer whose activation maps are explained; several, joined by commas, give one map [default: the model's]
    #[arg(long = "target", value_delimiter = ',', value_name = "LAYER")]
    pub targets: Vec<String>,
    /// How the maps of several layers become one: mean, product, max
    #[arg(long, default_value_t)]
    pub fusion: Fusion,
    /// What stands for a class: prototype, nearest, mean
    #[arg(long, default_value_t)]
    pub decide: Decide,
    /// What to subtract from embeddings: none, model, supports, gallery
    #[arg(long, default_value_t)]
    pub center: Centre,
    /// Scale every embedding to length 1 before averaging and comparing
    #[arg(long)]
    pub l2: bool,
    /// The transformation module: none, model, file, whitening, lda
    #[arg(long, default_value_t)]
    pub head: HeadChoice,
    /// The .safetensors file of a projection head, for --head file (which it implies)
    #[arg(long, value_name = "FILE")]
    pub head_file: Option<PathBuf>,
    /// A square, symmetric .npy file: the matrix of --similarity bilinear or mahalanobis [default: learned from the
    /// images]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// How far to shrink learned covariances towards independent channels, 0 to 1
    #[arg(long, default_value_t = 0.1)]
    pub shrinkage: f32,
    /// Subtract half of the supports' borders from a class (whitened, discriminative)
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub border_term: bool,
    /// Evidence that a cell must exceed, -1 to 1 (whitened, discriminative) [default: 0.1 and 0.05]
    #[arg(long, allow_negative_numbers = true)]
    pub offset: Option<f32>,
    /// How strictly each cell goes to the class with the most evidence (discriminative)
    #[arg(long, default_value_t = 20.0)]
    pub sharpness: f32,
    /// How far to shrink the covariance of cells towards independent channels, 0 to 1 (whitened, discriminative)
    #[arg(long, default_value_t = 0.75)]
    pub cell_shrinkage: f32,
    /// Leave out channels with negative weights
    #[arg(long)]
    pub weight_relu: bool,
    /// Scale the weights of the channels: none, minmax, sum, softmax
    #[arg(long, default_value_t)]
    pub weight_norm: Norm,
    /// Leave out negative values of the map
    #[arg(long)]
    pub map_relu: bool,
    /// Scale the values of the map: none, minmax, sum, softmax
    #[arg(long, default_value_t)]
    pub map_norm: Norm,
    /// Average the map with that of the mirror image (twice the passes)
    #[arg(long)]
    pub flip: bool,
    /// Look at N x N shifted images for a finer map (N * N times the passes, and the plain one)
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub shifts: usize,
    /// Whether to look again at the part of the photo around the box, with smaller cells: auto (where the box is small,
    /// under the class-specific forms), never, always
    #[arg(long, default_value_t)]
    pub look: Look,
    /// How to make the map: fam, or one of the methods that FAM is compared with (famlens choices method)
    #[arg(long, default_value_t)]
    pub method: Method,
    /// Explain outputs of the model's classifier, by label or index, in place of similarities; join several by commas
    #[arg(long = "logit", value_delimiter = ',', value_name = "LABEL")]
    pub logits: Vec<String>,
    /// The layer whose activation maps the other methods weigh [default: the target layer]
    #[arg(long)]
    pub layer: Option<String>,
    /// Start of the random numbers of rise and random
    #[arg(long, default_value_t = 1)]
    pub method_seed: u64,
    /// score-cam: how many channels to try, the most active first; 0 for all
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub channels: usize,
    /// rise: how many random masks
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub masks: usize,
    /// rise: cells along each side of the grid of its masks
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub grid: usize,
    /// rise: how likely a cell is to be kept, 0 to 1
    #[arg(long, default_value_t = 0.5, value_name = "P")]
    pub keep: f64,
    /// occlusion: side of the grey square, in pixels of the input
    #[arg(long, default_value_t = 48, value_name = "PIXELS")]
    pub window: usize,
    /// occlusion: how far the square moves, in pixels of the input
    #[arg(long, default_value_t = 16, value_name = "PIXELS")]
    pub stride: usize,
    /// Also look at the image at these scales, 0.5 to 2, joined by commas
    #[arg(long, value_delimiter = ',', value_name = "SCALE")]
    pub scales: Vec<f32>,
}

impl OptionArgs {
    /// What the session needs before images are added: head and matrix from files, and photos for further scales.
    pub fn prepare(&self, session: &mut Session) -> Result<()> {
        if let Some(path) = &self.head_file {
            let described = session.load_head(&files::read(path)?, None)?;
            note!("head: {described}");
        }
        if let Some(path) = &self.matrix {
            if !matches!(self.similarity, Similarity::Bilinear | Similarity::Mahalanobis) {
                let reason = format!("--similarity {} has no matrix; choose bilinear or mahalanobis", self.similarity);
                return Err(Error::argument("--matrix", reason));
            }
            note!("matrix: {}", session.load_matrix(&files::read(path)?)?);
        }
        session.keep_photos(!self.scales.is_empty());
        Ok(())
    }

    /// The options of an explanation among so many classes, with the form that page and module begin with if none is named.
    pub fn options_among(&self, session: &Session, classes: usize, rival: Option<usize>) -> ExplainOptions {
        let mut options = self.options(rival);
        if self.form.is_none() {
            options.form = session.usual_form_with(classes, &options);
        }
        options
    }

    /// The options of an explanation; `rival` is the index of the class that the contrastive form is against.
    pub fn options(&self, rival: Option<usize>) -> ExplainOptions {
        ExplainOptions {
            form: self.form.unwrap_or_default(),
            similarity: self.similarity,
            pooling: self.pooling,
            gem_exponent: self.gem_exponent,
            rival,
            weight_norm: self.weight_norm,
            weight_relu: self.weight_relu,
            map_relu: self.map_relu,
            map_norm: self.map_norm,
            head: if self.head_file.is_some() { HeadChoice::File } else { self.head },
            shrinkage: self.shrinkage,
            targets: self.targets.clone(),
            fusion: self.fusion,
            finer: Finer { flip: self.flip, shifts: self.shifts, scales: self.scales.clone(), look: self.look },
            decide: self.decide,
            center: self.center,
            l2: self.l2,
            border_term: self.border_term,
            offset: self.offset,
            sharpness: self.sharpness,
            cell_shrinkage: self.cell_shrinkage,
            method: self.method,
            against: self.against(),
            layer: self.layer.clone(),
            method_options: MethodOptions {
                seed: self.method_seed,
                channels: self.channels,
                masks: self.masks,
                grid: self.grid,
                keep: self.keep,
                window: self.window,
                stride: self.stride,
            },
            // Named in `targets`. No `..Default::default()` here: an option without an argument must not compile.
            target: None,
        }
    }
}

impl OptionArgs {
    fn against(&self) -> Option<Against> {
        // Every text is a label or an index.
        let logit: Vec<_> = self.logits.iter().flat_map(|text| text.parse()).collect();
        (!logit.is_empty()).then_some(Against { logit })
    }
}

#[derive(clap::Args)]
pub struct ChoicesArgs {
    /// Only this option, such as form or similarity
    kind: Option<String>,
    /// Print the catalogue as JSON
    #[arg(long)]
    json: bool,
}

/// `famlens choices`.
pub fn choices(args: &ChoicesArgs) -> Result<()> {
    if args.json {
        terminal::print_json(catalogue_json());
        return Ok(());
    }
    let all = catalogue();
    let shown: Vec<_> = all.iter().filter(|e| args.kind.as_deref().is_none_or(|kind| e.kind == kind)).collect();
    if shown.is_empty() {
        let kinds: Vec<_> = all.iter().map(|e| e.kind).collect();
        let kind = args.kind.as_deref().unwrap_or_default();
        return Err(Error::argument("KIND", format!("{kind:?} is not one of {}", kinds.join(", "))));
    }
    for entry in shown {
        say!("{} (default {}): {}", entry.kind, entry.default, entry.sentence);
        match &entry.input {
            CatalogueInput::One { values } => {
                for value in values {
                    say!("  {:<15} {}", value.name, value.sentence);
                    if !value.note.is_empty() {
                        say!("  {:<15} {}", "", value.note);
                    }
                    say!("  {:<15} Source: {}", "", value.source);
                }
            }
            CatalogueInput::Number { min, max, .. } | CatalogueInput::Numbers { min, max } => {
                say!("  {min} to {max}");
            }
            _ => {}
        }
        say!();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    /// Help texts are the one place that names values by hand.
    #[test]
    fn help_texts_name_every_value() {
        let command = OptionArgs::augment_args(Command::new("famlens"));
        for entry in catalogue() {
            let CatalogueInput::One { values } = &entry.input else { continue };
            // `finer.look` is `--look`.
            let name = entry.kind.rsplit('.').next().unwrap_or_default();
            let long: String = name.chars().flat_map(hyphenated).collect();
            let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&long));
            let help = argument.and_then(|argument| argument.get_help()).map(ToString::to_string).unwrap_or_default();
            for value in values.iter().filter(|_| !help.contains("famlens choices")) {
                assert!(help.contains(value.name), "the help of --{long} does not name {}: {help:?}", value.name);
            }
        }
    }

    /// `weightNorm` as `weight-norm`, letter by letter.
    fn hyphenated(letter: char) -> Vec<char> {
        match letter.is_uppercase() {
            true => vec!['-', letter.to_ascii_lowercase()],
            false => vec![letter],
        }
    }
}
