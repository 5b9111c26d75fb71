//! Few-shot accuracy over random episodes: supports are drawn anew each time, unlike in the explanations.

use std::collections::BTreeMap;

use famlens::Result;
use famlens::explain::{Classifier, ExplainOptions};
use famlens::fam::Form;
use famlens::metrics::{Aggregate, Bootstrap, bootstrap_groups};

use super::data::Data;

/// How the episodes are drawn.
pub struct Draws<'a> {
    pub ways: &'a [usize],
    pub shots: usize,
    pub count: usize,
}

/// One row of the table for each number of classes and each score, as far as enough classes have enough photos.
pub fn aggregates(
    data: &Data,
    embeddings: &[Option<&[f32]>],
    mean: Option<&[f32]>,
    draws: &Draws<'_>,
    setting: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<Aggregate>> {
    let mut aggregates = Vec::new();
    for &ways in draws.ways {
        for form in [Form::Faithful, Form::Centred] {
            // The model's mean is that of its own target layer.
            let mean = mean.filter(|mean| embeddings.iter().flatten().all(|f| f.len() == mean.len()));
            if form == Form::Centred && mean.is_none() {
                continue;
            }
            let Some(answers) = answers(data, embeddings, mean, draws, ways, form)? else { continue };
            if let Some(interval) = bootstrap_groups(&answers, bootstrap)? {
                aggregates.push(Aggregate {
                    table: "few-shot accuracy".into(),
                    setting: setting.to_owned(),
                    variant: format!("{ways}-way {}-shot, {}", draws.shots, form.score_name()),
                    size: None,
                    values: BTreeMap::from([("correct".to_owned(), interval)]),
                });
            }
        }
    }
    Ok(aggregates)
}

/// For each photo, how often it was given its own class and how often it was asked for; one query of each class an
/// episode.
fn answers(
    data: &Data,
    embeddings: &[Option<&[f32]>],
    mean: Option<&[f32]>,
    draws: &Draws<'_>,
    ways: usize,
    form: Form,
) -> Result<Option<Vec<(f64, usize)>>> {
    let size = (ways, draws.shots, draws.count);
    let episodes = data.protocol.accuracy_episodes(size, |photo| embeddings[photo].is_some())?;
    let Some(episodes) = episodes else { return Ok(None) };
    let options = ExplainOptions { form, ..ExplainOptions::default() };
    let mut answers = vec![(0.0, 0usize); data.items.len()];
    for episode in episodes {
        let embedded = |photos: &Vec<usize>| photos.iter().filter_map(|&photo| embeddings[photo]).collect::<Vec<_>>();
        let supports: Vec<_> = episode.supports.iter().map(embedded).collect();
        let classifier = Classifier::new(&options, &supports, mean)?;
        for (class, &query) in episode.queries.iter().enumerate() {
            let Some(f) = embeddings[query] else { continue };
            answers[query].0 += f64::from(u8::from(classifier.decide(f)?.predicted == class));
            answers[query].1 += 1;
        }
    }
    Ok(Some(answers))
}
