//! `famlens statistics`.

use std::path::PathBuf;

use famlens::fam::Accumulator;
use famlens::session::{EngineChoice, Session};
use famlens::{Error, Result};
use pollster::block_on;

use crate::files;
use crate::model_args::ModelArgs;
use crate::terminal::{self, say, shown_path};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of photos, with the folders below it; about a hundred photos of all kinds of things are enough
    #[arg(long)]
    images: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// The statistics file to write; name it in model.json under "class_specific": {"statistics": FILE}
    #[arg(long)]
    out: PathBuf,
    /// A name for the photos, for people [default: the folder's name]
    #[arg(long)]
    source: Option<String>,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
}

pub fn run(args: &Args) -> Result<()> {
    let photos = files::photos_in(&args.images)?.or_tell();
    if photos.is_empty() {
        return Err(Error::argument("--images", format!("{} holds no photos", args.images.display())));
    }
    let mut session = block_on(Session::new(args.model.load_alone()?, args.engine))?;
    let mut sums = Accumulator::new();
    let bar = files::progress(photos.len(), "photos");
    for path in &photos {
        let counted = files::photo(path).and_then(|photo| {
            let id = session.add_image(&path.display().to_string(), &photo)?;
            let counted = block_on(session.count_cells(id, &mut sums));
            session.remove_image(id);
            counted
        });
        if let Err(error) = counted {
            terminal::skipped(&bar, error);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let source = args.source.clone().unwrap_or_else(|| args.images.display().to_string());
    let statistics = session.finish_statistics(&sums, &source)?;
    let bytes = statistics.to_bytes()?;
    files::write(&args.out, &bytes)?;
    let origin = statistics.origin();
    say!(
        "{}: {} bytes, {} cells of {} images at {} ({} channels, input {} x {})",
        shown_path(&args.out),
        bytes.len(),
        origin.cells,
        origin.images,
        origin.layer,
        origin.channels,
        origin.width,
        origin.height
    );
    if origin.images < 100 {
        say!("statistics from about a hundred images are steady; these come from {}", origin.images);
    }
    Ok(())
}
