//! Unknown classes: classes are left out in turn, and the score of decisions has to tell their photos.

use std::collections::BTreeMap;

use famlens::fam::Form;
use famlens::metrics::{Answer, Bootstrap, Interval, OpenSet, open_set};
use famlens::session::{Class, ExplainOptions, ImageId, Session};
use famlens::{Error, Result};
use pollster::block_on;
use serde::Serialize;

use super::data::Data;
use super::report::percent;
use super::{Args, command};
use crate::files;
use crate::terminal::{self, say};

/// Classes beside those shown, at most, that give a photo of an unknown class to an episode.
const UNKNOWN: usize = 3;
/// Episodes of each row, unless the user says how many.
const EPISODES: usize = 200;

/// One row of the table.
#[derive(Serialize)]
struct Line {
    form: String,
    ways: usize,
    shots: usize,
    #[serde(flatten)]
    found: OpenSet,
}

/// Measures every form with one support a class and with as many as asked for.
pub fn run(args: &Args, data: &Data) -> Result<()> {
    let model = args.model.load()?;
    let mut session = block_on(Session::new(model, args.engine))?;
    let mut ids: BTreeMap<usize, ImageId> = BTreeMap::new();
    for (item, known) in data.items.iter().enumerate() {
        match files::photo(&known.path).and_then(|photo| session.add_image(&known.name, &photo)) {
            Ok(id) => drop(ids.insert(item, id)),
            Err(error) => terminal::complain(format_args!("skipped: {error}")),
        }
    }
    let mut shots = vec![1, args.shots];
    shots.dedup();
    let mut lines = Vec::new();
    for form in forms(args, &session)? {
        for &shots in &shots {
            for &ways in args.ways.iter().filter(|&&ways| ways > 1) {
                if let Some(found) = measure(&mut session, data, &ids, form, (ways, shots), args)? {
                    lines.push(Line { form: form.to_string(), ways, shots, found });
                }
            }
        }
    }
    if lines.is_empty() {
        let reason = "there are too few classes to leave one out; give more classes, fewer --ways or fewer --shots";
        return Err(Error::argument("--open-set", reason));
    }
    if args.json {
        let value = serde_json::json!({ "command": command(), "openSet": lines });
        terminal::print_json(value.to_string());
        return Ok(());
    }
    say!("{}", command());
    say!("Known against unknown classes, by the score that decisions use (evidence over its bound). Per cent; 95 %");
    say!(
        "intervals from a bootstrap over photos. The two columns to the right are what decisions do with their bound."
    );
    say!("");
    say!("form            ways  shots       area under ROC   rejected at 90 %   accepted knowns    rejected unknowns");
    for Line { form, ways, shots, found } in &lines {
        let cells = [&found.auroc, &found.rejected, &found.accepted_at_bound, &found.rejected_at_bound];
        let cells: String = cells.map(|interval: &Interval| format!("  {:>19}", percent(interval))).concat();
        say!("{form:<15} {ways:>4}  {shots:>5}{cells}");
    }
    Ok(())
}

/// The forms asked for; those that need what the model does not have are left out.
fn forms(args: &Args, session: &Session) -> Result<Vec<Form>> {
    let mut forms = Vec::new();
    for name in &args.forms {
        let form: Form = name.parse()?;
        let needs_mean = form == Form::Centred && session.model().manifest().mean_embedding.is_none();
        let needs_statistics = form.cells().is_some() && session.statistics().is_none();
        match needs_mean || needs_statistics {
            true => terminal::complain(format_args!("skipped: the model has no statistics for the form {form}")),
            false => forms.push(form),
        }
    }
    Ok(forms)
}

fn measure(
    session: &mut Session,
    data: &Data,
    ids: &BTreeMap<usize, ImageId>,
    form: Form,
    (ways, shots): (usize, usize),
    args: &Args,
) -> Result<Option<OpenSet>> {
    let count = args.open_set_episodes.unwrap_or(EPISODES);
    let mut drawn = None;
    // As many unknown classes as there are, up to three.
    for unknown in (1..=UNKNOWN).rev() {
        let size = (ways + unknown, shots, count);
        drawn = data.protocol.accuracy_episodes(size, |photo| ids.contains_key(&photo))?;
        if drawn.is_some() {
            break;
        }
    }
    let Some(episodes) = drawn else { return Ok(None) };
    let options = ExplainOptions { form, ..ExplainOptions::default() };
    let mut answers = Vec::new();
    for episode in episodes {
        let class = |at: usize| {
            let supports: Vec<ImageId> =
                episode.supports[at].iter().filter_map(|photo| ids.get(photo)).copied().collect();
            Class::new(data.classes[episode.classes[at]].as_str(), supports)
        };
        let classes: Vec<Class> = (0..ways).map(class).collect();
        for (at, &photo) in episode.queries.iter().enumerate() {
            let Some(&id) = ids.get(&photo) else { continue };
            let found = block_on(session.explain(id, &classes, &options))?;
            if let Some(score) = found.decision.as_ref().and_then(|decision| decision.acceptance()) {
                answers.push(Answer { photo, score, known: at < ways });
            }
        }
    }
    open_set(&answers, &Bootstrap { seed: args.seed, ..Bootstrap::default() })
}
