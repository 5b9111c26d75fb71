//! `famlens what-if`.

use std::path::PathBuf;
use std::str::FromStr;

use famlens::image::{Cover, Rect};
use famlens::session::{Class, CoverWith, EngineChoice, Session, WhatIf};
use famlens::{Error, Result};
use pollster::block_on;

use crate::explain::{ClassArg, load_class};
use crate::files;
use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::terminal::{self, say, shown};

#[derive(clap::Args)]
pub struct Args {
    /// The photo of which a part is covered
    #[arg(long)]
    query: PathBuf,
    /// A class and its support photos, NAME=DIR_OR_FILE[,FILE...]; repeat it for each class
    #[arg(long = "class", required = true, value_name = "NAME=PHOTOS")]
    classes: Vec<ClassArg>,
    /// What is covered, in pixels of the photo; repeat it for more
    #[arg(long = "box", required = true, value_name = "X0,Y0,X1,Y1")]
    boxes: Vec<BoxArg>,
    /// What it is covered with: grey, blur, or a photo that is laid over it
    #[arg(long, default_value = "grey", value_name = "grey|blur|PHOTO")]
    with: String,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    method: OptionArgs,
}

#[derive(Clone, Copy)]
struct BoxArg(Rect);

impl FromStr for BoxArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|number| number.trim().parse::<f64>()).collect();
        match numbers.ok().and_then(|numbers| <[f64; 4]>::try_from(numbers).ok()) {
            Some(corners) => Ok(Self(corners.into())),
            None => Err("expected four numbers X0,Y0,X1,Y1, such as 40,20,120,90".into()),
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let photo = files::photo(&args.query)?;
    let query = session.add_image(&args.query.display().to_string(), &photo)?;
    let with = match args.with.as_str() {
        "grey" | "gray" => CoverWith::Grey,
        "blur" => CoverWith::Blur,
        path => CoverWith::Photo(session.add_image(path, &files::photo(path.as_ref())?)?),
    };
    let boxes: Vec<Rect> = args.boxes.iter().map(|given| given.0).collect();
    let cover = Cover::boxes(photo.size(), &boxes)?;
    let classes: Vec<Class> = args.classes.iter().map(|c| load_class(&mut session, c)).collect::<Result<_>>()?;
    let options = args.method.options_among(&session, classes.len(), None);
    let found = block_on(session.what_if(query, &classes, &options, &cover, with))?;
    if args.json {
        let text = serde_json::to_string(&found).map_err(|e| Error::argument("--json", e.to_string()))?;
        terminal::print_json(text);
        return Ok(());
    }
    print(&found);
    Ok(())
}

fn print(found: &WhatIf) {
    say!("{:.0} % of the photo covered ({})", 100.0 * found.covered, found.score);
    found.classes.iter().for_each(|class| say!("{}", shown(&class.says)));
    if let Some(decision) = &found.decision {
        say!("The covered photo: {}. {}", shown(&decision.headline), shown(&decision.says));
    }
}
