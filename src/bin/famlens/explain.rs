//! `famlens explain`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use famlens::image::{Photo, encode_png};
use famlens::overlay::{self, Style};
use famlens::session::{Class, EngineChoice, Explanation, Session};
use famlens::{Error, Result};
use pollster::block_on;

use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::output;
use crate::terminal::{self, note, shown, shown_path};
use crate::{engine, files};

#[derive(clap::Args)]
pub struct Args {
    /// The photo to explain
    #[arg(long)]
    query: PathBuf,
    /// A class and its support photos, NAME=DIR_OR_FILE[,FILE...]; repeat it for each class
    #[arg(long = "class", value_name = "NAME=PHOTOS", required_unless_present = "logits")]
    classes: Vec<ClassArg>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// The class whose map is shown [default: the predicted one]
    #[arg(long = "for", value_name = "NAME")]
    class: Option<String>,
    /// Folder for the overlay (PNG) and the raw map (NumPy) of every class
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the colours of the pictures run from and to: one scale for all classes, or each map's own
    #[arg(long, value_enum, default_value_t = MapScale::All)]
    scale: MapScale,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
    /// The class that the contrastive form is against [default: all others]
    #[arg(long, value_name = "NAME")]
    rival: Option<String>,
    #[command(flatten)]
    method: OptionArgs,
}

/// Whether the pictures of all classes share a scale.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MapScale {
    All,
    Each,
}

#[derive(Clone)]
pub struct ClassArg {
    pub name: String,
    photos: Vec<PathBuf>,
}

impl FromStr for ClassArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, photos)) if !name.is_empty() && !photos.is_empty() => {
                Ok(Self { name: name.to_owned(), photos: photos.split(',').map(PathBuf::from).collect() })
            }
            _ => Err("expected NAME=DIR_OR_FILE[,FILE...], such as cat=photos/cats".into()),
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    let mut stems: Vec<String> = args.classes.iter().map(|c| file_stem(&c.name)).collect();
    stems.sort();
    if let Some(pair) = stems.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("two classes would both be written as {:?}; give them other names", pair[0]);
        return Err(Error::argument("--class", reason));
    }
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let photo = files::photo(&args.query)?;
    let query = session.add_image(&args.query.display().to_string(), &photo)?;
    let classes: Vec<Class> = args.classes.iter().map(|c| load_class(&mut session, c)).collect::<Result<_>>()?;
    let supports: usize = classes.iter().map(|class| class.supports.len()).sum();
    engine::settle(&mut session, args.engine, query, 1 + supports)?;
    let class_named = |argument: &str, name: &String| {
        classes.iter().position(|c| c.name == *name).ok_or_else(|| {
            let names: Vec<_> = classes.iter().map(|c| c.name.as_str()).collect();
            Error::argument(argument, format!("{name:?} is not one of the classes: {}", names.join(", ")))
        })
    };
    let rival = args.rival.as_ref().map(|name| class_named("--rival", name)).transpose()?;
    let options = args.method.options_among(&session, classes.len(), rival);
    let explanation = block_on(session.explain(query, &classes, &options))?;
    let named = |name: &String| {
        explanation.classes.iter().position(|c| c.name == *name).ok_or_else(|| {
            let names: Vec<_> = explanation.classes.iter().map(|c| c.name.as_str()).collect();
            Error::argument("--for", format!("{name:?} is not one of the classes: {}", names.join(", ")))
        })
    };
    let explained = args.class.as_ref().map(named).transpose()?;
    let explained = explained.unwrap_or(explanation.predicted);
    if let Some(folder) = &args.out {
        save(folder, &args.query, &photo, &explanation, args.scale)?;
    }
    if args.json {
        terminal::print_json(output::explanation_json(&explanation, explained)?);
    } else {
        terminal::print(output::explanation_text(&explanation, explained));
    }
    Ok(())
}

/// Adds a class's photos. One that was named must be readable; unreadable ones found in a folder are skipped by name.
pub fn load_class(session: &mut Session, class: &ClassArg) -> Result<Class> {
    let mut supports = Vec::new();
    for path in &class.photos {
        if !path.is_dir() {
            supports.push(session.add_image(&path.display().to_string(), &files::photo(path)?)?);
            continue;
        }
        for file in files::photos_in(path)?.or_tell() {
            match files::photo(&file).and_then(|photo| session.add_image(&file.display().to_string(), &photo)) {
                Ok(id) => supports.push(id),
                Err(error) => terminal::complain(format_args!("skipped: {error}")),
            }
        }
    }
    Ok(Class::new(class.name.clone(), supports))
}

/// A class's name as part of a file name.
pub fn file_stem(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}

fn save(folder: &Path, query: &Path, photo: &Photo, explanation: &Explanation, scale: MapScale) -> Result<()> {
    files::create_folder(folder)?;
    let stem = query.file_stem().map_or_else(|| "query".into(), |s| s.to_string_lossy().into_owned());
    for (class, explained) in explanation.classes.iter().zip(&explanation.maps) {
        let base = folder.join(format!("{stem}.{}.{}", file_stem(&class.name), explanation.form));
        let map = &explained.map;
        files::write_npy(&base.with_added_extension("npy"), &[map.height as u64, map.width as u64], &map.data)?;
        let view = match scale {
            MapScale::All => map.view()?.on_scale(explanation.scale.low, explanation.scale.high),
            MapScale::Each => map.view()?,
        };
        let picture = overlay::compose(photo, &view, &Style::default())?;
        files::write(&base.with_added_extension("png"), &encode_png(&picture)?)?;
        let says = explained.says.as_ref().map_or_else(String::new, |says| format!(": {}", shown(says)));
        note!("wrote {}.png and .npy{says}", shown_path(&base));
    }
    Ok(())
}
