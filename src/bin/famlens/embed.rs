//! `famlens embed`.

use std::path::PathBuf;

use famlens::Result;
use famlens::session::{EngineChoice, Session};
use indicatif::ProgressBar;
use pollster::block_on;

use crate::model_args::ModelArgs;
use crate::terminal::{note, say, shown_path};
use crate::{engine, files};

#[derive(clap::Args)]
pub struct Args {
    /// Photos, or folders of photos
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The NumPy file to write: one row for each photo, in the order printed
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
}

pub fn run(args: Args) -> Result<()> {
    let photos = files::photos_among(&args.images)?.or_tell();
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    let bar = ProgressBar::new(photos.len() as u64);
    let (mut values, mut rows) = (Vec::new(), 0);
    for path in &photos {
        let id = session.add_image(&path.display().to_string(), &files::photo(path)?)?;
        if rows == 0 {
            engine::settle(&mut session, args.engine, id, photos.len())?;
        }
        values.extend_from_slice(&block_on(session.embed(id))?.values);
        session.remove_image(id);
        rows += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let channels = values.len() / rows.max(1);
    files::write_npy(&args.out, &[rows as u64, channels as u64], &values)?;
    photos.iter().for_each(|path| say!("{}", shown_path(path)));
    note!("{rows} embeddings of {channels} channels written to {} ({})", shown_path(&args.out), session.engine());
    Ok(())
}
