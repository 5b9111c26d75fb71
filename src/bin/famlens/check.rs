//! `famlens check`.

use famlens::session::{Class, EngineChoice, Session, SupportCheck};
use famlens::{Error, Result};
use pollster::block_on;

use crate::explain::{ClassArg, load_class};
use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::terminal::{self, say, shown};

#[derive(clap::Args)]
pub struct Args {
    /// A class and its support photos, NAME=DIR_OR_FILE[,FILE...]; repeat it for each class
    #[arg(long = "class", required = true, value_name = "NAME=PHOTOS")]
    classes: Vec<ClassArg>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// Print the check as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    method: OptionArgs,
}

pub fn run(args: Args) -> Result<()> {
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let classes: Vec<Class> = args.classes.iter().map(|c| load_class(&mut session, c)).collect::<Result<_>>()?;
    let options = args.method.options_among(&session, classes.len(), None);
    let check = block_on(session.check_supports(&classes, &options))?;
    if args.json {
        let text = serde_json::to_string(&check).map_err(|e| Error::argument("--json", e.to_string()))?;
        terminal::print_json(text);
        return Ok(());
    }
    print(&check);
    Ok(())
}

/// The confusion table, then what the others do not recognise.
fn print(check: &SupportCheck) {
    let names: Vec<_> = check.classes.iter().map(|name| shown(name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let head: String = names.iter().map(|name| format!("  {name:>width$}")).collect();
    say!("{:<width$}{head}", "");
    for (name, row) in names.iter().zip(&check.confusion) {
        let counts: String = row.iter().map(|count| format!("  {count:>width$}")).collect();
        say!("{name:<width$}{counts}");
    }
    if let Some(accuracy) = check.accuracy {
        say!("the other images recognise {:.1} % of the images ({})", accuracy * 100.0, check.score);
    }
    for image in &check.images {
        if let Some(decision) = image.decision.as_ref().filter(|d| d.class.is_none()) {
            say!("{}: {}. {}", shown(&image.name), shown(&decision.headline), shown(&decision.says));
        }
        match (image.predicted, image.margin) {
            (Some(predicted), Some(margin)) if predicted != image.class => {
                let [class, other] = [&check.classes[image.class], &check.classes[predicted]];
                say!("{} belongs to {class:?} but looks more like {other:?} (by {:.4})", shown(&image.name), -margin);
            }
            _ => {}
        }
    }
    check.notes.iter().for_each(|note| say!("note: {note}"));
}
