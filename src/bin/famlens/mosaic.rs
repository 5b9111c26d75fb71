//! `famlens mosaic`.

use std::path::PathBuf;

use famlens::Result;
use famlens::fam::Form;
use famlens::image::encode_png;
use famlens::overlay::{self, Style};
use famlens::session::{Class, EngineChoice, ExplainOptions, Mosaic, Session};
use pollster::block_on;

use crate::explain::{ClassArg, file_stem, load_class};
use crate::files;
use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::terminal::{self, note, say, shown, shown_path};

#[derive(clap::Args)]
pub struct Args {
    /// A class and its photos, NAME=DIR_OR_FILE[,FILE...]; the last photo of each is its tile
    #[arg(long = "class", required = true, value_name = "NAME=PHOTOS")]
    classes: Vec<ClassArg>,
    /// Forms to compare, joined by commas
    #[arg(long, value_delimiter = ',', default_values = ["fam", "whitened", "discriminative"])]
    forms: Vec<Form>,
    /// Tiles a side, 2 to 4 [default: the fewest that hold every class]
    #[arg(long)]
    side: Option<usize>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Folder for the mosaic and the overlay of every class and form, as PNG
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    method: OptionArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let classes: Vec<Class> = args.classes.iter().map(|c| load_class(&mut session, c)).collect::<Result<_>>()?;
    let options = args.method.options(None);
    let options: Vec<_> = args.forms.iter().map(|&form| ExplainOptions { form, ..options.clone() }).collect();
    let mosaic = block_on(session.mosaic(&classes, args.side, &options))?;
    if let Some(folder) = &args.out {
        files::create_folder(folder)?;
        files::write(&folder.join("mosaic.png"), &encode_png(&mosaic.photo)?)?;
        for form in &mosaic.forms {
            for (class, explained) in form.explanation.classes.iter().zip(&form.explanation.maps) {
                let picture = overlay::compose(&mosaic.photo, &explained.map.view()?, &Style::default())?;
                let name = format!("mosaic.{}.{}.png", file_stem(&class.name), form.explanation.form);
                files::write(&folder.join(name), &encode_png(&picture)?)?;
            }
        }
        note!("wrote the mosaic and its overlays to {}", shown_path(folder));
    }
    match args.json {
        true => terminal::print_json(json(&mosaic)),
        false => print(&mosaic),
    }
    Ok(())
}

fn json(mosaic: &Mosaic) -> serde_json::Value {
    let form = |form: &famlens::session::MosaicForm| {
        serde_json::json!({
            "form": form.explanation.form, "score": form.explanation.score, "energy": form.energy, "own": form.own,
            "hits": form.hits, "auc": form.auc, "notes": form.explanation.notes,
        })
    };
    serde_json::json!({
        "side": mosaic.side, "tiles": mosaic.tiles, "chance": mosaic.chance, "notes": mosaic.notes,
        "forms": mosaic.forms.iter().map(form).collect::<Vec<_>>(),
    })
}

fn print(mosaic: &Mosaic) {
    say!("share of each class's map in its own tiles, in % (chance in brackets); * where the peak lies there");
    let classes = mosaic.forms.first().map_or(&[][..], |form| &form.explanation.classes);
    let width = classes.iter().map(|c| shown(&c.name).chars().count()).max().unwrap_or(0);
    for form in &mosaic.forms {
        say!("{} (ranks by {})", form.explanation.form, form.explanation.score);
        for (k, class) in classes.iter().enumerate() {
            let own = form.own[k].map_or("zero map".into(), |own| format!("{:>5.1}", own * 100.0));
            let (hit, chance) = (if form.hits[k] { "*" } else { " " }, mosaic.chance[k] * 100.0);
            say!("  {:<width$} {own} {hit} ({chance:.0})", shown(&class.name));
        }
        let own: Vec<f64> = form.own.iter().map(|own| own.unwrap_or(0.0)).collect();
        say!("  {:<width$} {:>5.1}", "mean", own.iter().sum::<f64>() / own.len().max(1) as f64 * 100.0);
    }
    mosaic.notes.iter().for_each(|note| say!("{note}"));
}
