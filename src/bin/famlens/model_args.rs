//! Which model a command runs, and what is said about its input on the command line.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Once;

use famlens::image::{Channels, GeometryMode, InputSize, Normalization, Triple};
use famlens::session::{Manifest, Model};
use famlens::{Error, Result};

use crate::files;
use crate::terminal::note;

/// Assumptions are told once, although a model may be loaded again.
static TOLD: Once = Once::new();

/// Each argument is the field of that name in model.json, and goes before it.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Model (docs/models.md)")]
pub struct ModelArgs {
    /// Folder with model.json and its ONNX file, or an .onnx file with or without a model.json beside it [default: the
    /// built-in EfficientNet-Lite0]
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub input: InputArgs,
}

/// How photos become the model's input.
#[derive(clap::Args, Clone, Default)]
pub struct InputArgs {
    /// Size of the input in pixels: one side, as 224, or HEIGHTxWIDTH, as 256x128
    #[arg(long)]
    pub size: Option<InputSize>,
    /// Subtracted from each channel, 0 to 255: one number, or three joined by commas
    #[arg(long, value_name = "NUMBERS", requires = "std", allow_hyphen_values = true)]
    pub mean: Option<Triple>,
    /// What the difference is divided by: one number, or three joined by commas
    #[arg(long, value_name = "NUMBERS", requires = "mean")]
    pub std: Option<Triple>,
    /// What the channels of the input hold: rgb, bgr, grey, rgba
    #[arg(long, value_name = "CHANNELS")]
    pub input_channels: Option<Channels>,
    /// How photos of other proportions are fitted: squash, crop, letterbox, aspect
    #[arg(long)]
    pub geometry: Option<GeometryMode>,
    /// Scale a photo's shorter side to so many pixels before its centre is cut out (implies --geometry crop)
    #[arg(long, value_name = "PIXELS")]
    pub resize_to: Option<u32>,
    /// Colour around a photo in a letterbox, 0 to 255: one number, or three joined by commas
    #[arg(long, value_name = "NUMBERS")]
    pub letterbox_fill: Option<Triple>,
    /// Of a file with several images, the input whose layers are the model
    #[arg(long, value_name = "NAME")]
    pub input_name: Option<String>,
}

impl ModelArgs {
    /// The model, with the statistics that its description names.
    pub fn load(&self) -> Result<Model> {
        let model = self.load_alone()?;
        let file = model.manifest().class_specific.as_ref().and_then(|spec| spec.statistics.clone());
        // Statistics are those of one way of feeding a model.
        match (&self.model, file) {
            _ if self.input.says() => Ok(model),
            (None, _) => model.with_statistics(files::MODEL_STATISTICS),
            (Some(path), Some(file)) => model.with_statistics(&files::read(&files::beside(folder_of(path), &file)?)?),
            (Some(_), None) => Ok(model),
        }
    }

    /// The same without its statistics.
    pub fn load_alone(&self) -> Result<Model> {
        let (manifest, onnx) = self.files()?;
        let model = Model::of(manifest, &onnx)?;
        TOLD.call_once(|| model.assumptions().iter().for_each(|said| note!("note: {said}")));
        Ok(model)
    }

    /// The description with what is said on the command line, and the bytes of the ONNX file.
    pub fn files(&self) -> Result<(Manifest, Cow<'static, [u8]>)> {
        let (mut manifest, onnx) = match &self.model {
            None => (Manifest::parse(files::MODEL_JSON)?, Cow::Borrowed(files::MODEL_ONNX)),
            Some(path) => {
                let (manifest, onnx) = described(path)?;
                (manifest, Cow::Owned(onnx))
            }
        };
        self.input.put_into(&mut manifest)?;
        Ok((manifest, onnx))
    }
}

impl InputArgs {
    /// Whether anything is said.
    fn says(&self) -> bool {
        let Self { size, mean, std: _, input_channels, geometry, resize_to, letterbox_fill, input_name } = self;
        size.is_some()
            || mean.is_some()
            || input_channels.is_some()
            || geometry.is_some()
            || resize_to.is_some()
            || letterbox_fill.is_some()
            || input_name.is_some()
    }

    /// Changes a description by what is said.
    pub fn put_into(&self, manifest: &mut Manifest) -> Result<()> {
        let input = &mut manifest.input;
        if let Some(size) = self.size {
            input.size = size;
            input.stride = input.stride.min(size.shorter() as usize);
        }
        if let (Some(mean), Some(std)) = (self.mean, self.std) {
            input.normalization = Some(Normalization { mean: mean.0, std: std.0 });
        }
        input.channels = self.input_channels.or(input.channels);
        if let Some(geometry) = self.geometry {
            input.geometry = geometry;
            if geometry != GeometryMode::Crop {
                input.resize = None;
            }
        }
        if let Some(resize) = self.resize_to {
            if self.geometry.is_some_and(|geometry| geometry != GeometryMode::Crop) {
                return Err(Error::argument("--resize-to", "it goes with --geometry crop"));
            }
            (input.geometry, input.resize) = (GeometryMode::Crop, Some(resize));
        }
        input.fill = self.letterbox_fill.map(|fill| fill.0).or(input.fill);
        input.name = self.input_name.clone().or(input.name.take());
        if self.says() {
            // They were made with another input.
            manifest.mean_embedding = None;
            if let Some(spec) = &mut manifest.class_specific {
                spec.statistics = None;
            }
        }
        manifest.check()
    }
}

/// The description and the ONNX file at a path: a folder, an ONNX file, or a model.json.
pub fn described(path: &Path) -> Result<(Manifest, Vec<u8>)> {
    let is_description = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    if path.is_dir() || is_description {
        let (folder, card) = match is_description {
            true => (folder_of(path), path.to_owned()),
            false => (path, path.join("model.json")),
        };
        if !card.exists()
            && let Some(only) = only_onnx(folder)
        {
            return described(&only);
        }
        let manifest = Manifest::parse(&files::read_text(&card)?)?;
        let onnx = files::read_onnx(&files::beside(folder, &manifest.file)?)?;
        return Ok((manifest, onnx));
    }
    let onnx = files::read_onnx(path)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let card = path.with_file_name("model.json");
    let mut manifest = match card.exists() {
        true => Manifest::parse(&files::read_text(&card)?)?,
        false => Manifest::of_file(&name),
    };
    // The file that was named counts, also where the description beside it is that of another form of it.
    manifest.file = name;
    Ok((manifest, onnx))
}

/// The one ONNX file of a folder.
fn only_onnx(folder: &Path) -> Option<PathBuf> {
    let listing = files::with_endings(folder, &["onnx"]).ok()?;
    let mut files = listing.files.into_iter().filter(|path| path.parent() == Some(folder));
    let first = files.next()?;
    files.next().is_none().then_some(first)
}

/// The folder that a path is, or that it lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(Path::new("")),
    }
}
