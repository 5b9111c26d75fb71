//! The tables of `famlens specificity`.

use std::collections::BTreeMap;

use famlens::Result;
use famlens::metrics::{Bootstrap, Interval, Paired, bootstrap, paired};

use crate::terminal::{self, say};

use super::forms::{CLAIM, PLAIN};
use super::{Score, Scores, THRESHOLDS};

/// The mean over each photo's episodes, by photo.
fn by_photo<'a>(values: impl Iterator<Item = (usize, f64)> + 'a) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (photo, value) in values {
        let sum = sums.entry(photo).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    sums.into_iter().map(|(photo, (sum, n))| (photo, sum / n as f64)).collect()
}

fn interval(values: &BTreeMap<usize, f64>) -> Result<Option<Interval>> {
    bootstrap(&values.values().copied().collect::<Vec<_>>(), &Bootstrap::default())
}

fn of(scores: &[Score], value: fn(&Score) -> f64) -> BTreeMap<usize, f64> {
    by_photo(scores.iter().map(|s| (s.photo, value(s))))
}

/// IoU at the threshold that is best on the other half of the photos (every other photo, in the order of their paths).
fn iou_two_fold(scores: &[Score]) -> BTreeMap<usize, f64> {
    let photos: Vec<usize> = of(scores, |_| 0.0).into_keys().collect();
    let half = |photo: usize| photos.iter().position(|&p| p == photo).unwrap_or(0) % 2;
    let mean = |fold: usize, t: usize| {
        by_photo(scores.iter().filter(|s| half(s.photo) == fold).map(|s| (s.photo, s.iou[t]))).values().sum::<f64>()
    };
    let best = |fold: usize| {
        (0..THRESHOLDS.len()).max_by(|&a, &b| mean(1 - fold, a).total_cmp(&mean(1 - fold, b))).unwrap_or(0)
    };
    let chosen = [best(0), best(1)];
    by_photo(scores.iter().map(|s| (s.photo, s.iou[chosen[half(s.photo)]])))
}

fn percent(interval: Option<Interval>) -> String {
    interval.map_or("-".into(), |i| format!("{:.1} [{:.1}, {:.1}]", i.mean * 100.0, i.low * 100.0, i.high * 100.0))
}

fn difference(a: &BTreeMap<usize, f64>, b: &BTreeMap<usize, f64>, times: f64) -> Result<Option<Paired>> {
    let (a, b): (Vec<f64>, Vec<f64>) = a.iter().filter_map(|(photo, &a)| b.get(photo).map(|&b| (a, b * times))).unzip();
    paired(&a, &b, &Bootstrap::default())
}

/// The measures of one row.
fn measures(s: &Scores) -> Result<Vec<(&'static str, Option<Interval>)>> {
    let all = |scores: &[Score], value: fn(&Score) -> f64| interval(&of(scores, value));
    let alike = by_photo(s.boxes.iter().filter_map(|b| b.correlation.map(|r| (b.photo, r))));
    Ok(vec![
        ("mosaic energy %", all(&s.mosaics, |m| m.energy)?),
        ("mosaic argmax %", all(&s.mosaics, |m| m.hit)?),
        ("mosaic AUC %", all(&s.mosaics, |m| m.auc)?),
        ("right-wrong r x 100", interval(&alike)?),
        ("IoU %", interval(&iou_two_fold(&s.boxes))?),
        ("EPG %", all(&s.boxes, |b| b.energy)?),
        ("pointing %", all(&s.boxes, |b| b.hit)?),
        ("accuracy %", interval(&by_photo(s.accuracy.iter().copied()))?),
    ])
}

pub fn print(all: &[Scores], json: bool) -> Result<()> {
    if json {
        let row = |s: &Scores| {
            let measures: serde_json::Map<String, serde_json::Value> =
                measures(s)?.into_iter().map(|(name, i)| (name.to_owned(), serde_json::json!(i))).collect();
            Ok(
                serde_json::json!({ "form": s.way.name, "options": s.way.options, "shots": s.shots, "ways": s.ways, "measures": measures }),
            )
        };
        terminal::print_json(serde_json::json!(all.iter().map(row).collect::<Result<Vec<_>>>()?));
        return Ok(());
    }
    let mut shots: Vec<usize> = all.iter().map(|s| s.shots).collect();
    shots.dedup();
    shots.sort_unstable();
    shots.dedup();
    for shots in shots {
        let rows: Vec<&Scores> = all.iter().filter(|s| s.shots == shots).collect();
        let Some(first) = rows.first() else { continue };
        say!(
            "\nK = {shots}: {} (mosaic, class) pairs, {} boxed episodes, {} queries of {}-way episodes; 95 % intervals over photos\n",
            first.mosaics.len(),
            first.boxes.len(),
            first.accuracy.len(),
            first.ways
        );
        let names: Vec<&str> = measures(first)?.into_iter().map(|(name, _)| name).collect();
        say!("| form | {} |", names.join(" | "));
        say!("|---|{}", "---|".repeat(names.len()));
        for row in &rows {
            let cells: Vec<String> = measures(row)?.into_iter().map(|(_, i)| percent(i)).collect();
            say!("| {} | {} |", row.way.name, cells.join(" | "));
        }
        let find = |name: &str| rows.iter().find(|s| s.way.name == name);
        if let (Some(plain), Some(claim)) = (find(PLAIN), find(CLAIM)) {
            let energy = |s: &Scores| of(&s.mosaics, |m| m.energy);
            let twice = difference(&energy(claim), &energy(plain), 2.0)?;
            let iou = difference(&iou_two_fold(&claim.boxes), &iou_two_fold(&plain.boxes), 1.0)?;
            let points = |paired: Option<Paired>| percent(paired.map(|p| p.difference));
            say!("\n{CLAIM} against {PLAIN}, paired over photos, in points:");
            say!("energy in the right cell less twice plain FAM's: {}", points(twice));
            say!("IoU less plain FAM's: {}", points(iou));
        }
    }
    Ok(())
}
