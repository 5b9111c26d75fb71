//! Few-shot accuracy over random episodes: supports are drawn anew each time, unlike in the explanations.

use std::collections::BTreeMap;

use famlens::Result;
use famlens::explain::{Classifier, ExplainOptions};
use famlens::fam::Form;
use famlens::metrics::{Aggregate, Bootstrap, bootstrap_groups};

use super::data::Data;

pub struct Episodes<'a> {
    pub ways: &'a [usize],
    pub shots: usize,
    pub count: usize,
    pub seed: u64,
}

/// One row of the table for each number of classes and each score, as far as enough classes have enough photos.
pub fn aggregates(
    data: &Data,
    embeddings: &[Option<&[f32]>],
    mean: Option<&[f32]>,
    episodes: &Episodes<'_>,
    setting: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<Aggregate>> {
    let mut found = Vec::new();
    for &ways in episodes.ways {
        for form in [Form::Faithful, Form::Centred] {
            // The model's mean is that of its own target layer.
            let mean = mean.filter(|mean| embeddings.iter().flatten().all(|f| f.len() == mean.len()));
            if form == Form::Centred && mean.is_none() {
                continue;
            }
            let Some(answers) = answers(data, embeddings, mean, episodes, ways, form)? else { continue };
            if let Some(interval) = bootstrap_groups(&answers, bootstrap)? {
                found.push(Aggregate {
                    table: "few-shot accuracy".into(),
                    setting: setting.to_owned(),
                    variant: format!("{ways}-way {}-shot, {}", episodes.shots, form.score_name()),
                    size: None,
                    values: BTreeMap::from([("correct".to_owned(), interval)]),
                });
            }
        }
    }
    Ok(found)
}

/// For each photo, how often it was given its own class and how often it was asked for; one query of each class an episode.
fn answers(
    data: &Data,
    embeddings: &[Option<&[f32]>],
    mean: Option<&[f32]>,
    episodes: &Episodes<'_>,
    ways: usize,
    form: Form,
) -> Result<Option<Vec<(f64, usize)>>> {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); data.classes.len()];
    let known = data.items.iter().enumerate().filter(|(at, _)| embeddings[*at].is_some());
    known.for_each(|(at, item)| groups[item.class].push(at));
    let mut able: Vec<&Vec<usize>> = groups.iter().filter(|photos| photos.len() > episodes.shots).collect();
    if able.len() < ways {
        return Ok(None);
    }
    let options = ExplainOptions { form, ..ExplainOptions::default() };
    let mut random = fastrand::Rng::with_seed(episodes.seed);
    let mut answers = vec![(0.0, 0usize); data.items.len()];
    for _ in 0..episodes.count {
        random.shuffle(&mut able);
        let (mut queries, mut supports) = (Vec::with_capacity(ways), Vec::with_capacity(ways));
        for class in &able[..ways] {
            let mut members = (*class).clone();
            random.shuffle(&mut members);
            queries.push(members[0]);
            supports.push(members[1..=episodes.shots].iter().filter_map(|&at| embeddings[at]).collect::<Vec<_>>());
        }
        let classifier = Classifier::new(&options, &supports, mean)?;
        for (class, &query) in queries.iter().enumerate() {
            let Some(f) = embeddings[query] else { continue };
            answers[query].0 += f64::from(u8::from(classifier.decide(f)?.predicted == class));
            answers[query].1 += 1;
        }
    }
    Ok(Some(answers))
}
