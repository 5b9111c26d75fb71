//! What an explanation looks like as text and as JSON.

use std::fmt::Write;

use famlens::Result;
use famlens::session::{ClassScore, Explanation};
use serde_json::json;

use crate::terminal::shown;

/// `{"classes", "predicted", "form", "score", "notes", "map", "box", "peak", "timings", "engine"}`; box and peak in
/// pixels of the photo.
pub fn explanation_json(explanation: &Explanation, shown: usize) -> Result<String> {
    let explained = &explanation.maps[shown];
    let localisation = explained.localisation.as_ref();
    let value = json!({
        "classes": explanation.classes,
        "decision": explanation.decision,
        "predicted": explanation.classes[explanation.predicted].name,
        "explained": explanation.classes[shown].name,
        "form": explanation.form.name(),
        "score": explanation.score,
        "notes": explanation.notes,
        "scale": explanation.scale,
        "says": explained.says,
        "map": { "width": explained.map.width, "height": explained.map.height, "data": explained.map.data },
        "box": localisation.map(|l| [l.bounds.x0, l.bounds.y0, l.bounds.x1, l.bounds.y1]),
        "peak": localisation.map(|l| l.peak),
        "threshold": localisation.map(|l| l.level),
        "passes": explanation.passes,
        "looked": explanation.looked,
        "timings": explanation.timings,
        "engine": explanation.engine,
    });
    Ok(value.to_string())
}

/// The ranking with bars, the best class first.
pub fn explanation_text(explanation: &Explanation, explained: usize) -> String {
    let mut order: Vec<usize> = (0..explanation.classes.len()).collect();
    order.sort_by(|&a, &b| explanation.classes[b].similarity.total_cmp(&explanation.classes[a].similarity));
    let width = explanation.classes.iter().map(|c| shown(&c.name).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(decision) = &explanation.decision {
        let _ = writeln!(text, "{}. {}", shown(&decision.headline), shown(&decision.says));
    }
    for k in order {
        let class = &explanation.classes[k];
        let bar =
            explanation.decision.as_ref().and_then(|decision| *decision.bars.get(k)?).map_or_else(String::new, bar);
        let _ = writeln!(text, "{:<width$}  {:>7.4}  {bar}", shown(&class.name), class.similarity);
    }
    if let Some(decision) = explanation.decision.as_ref().filter(|decision| !decision.numbers.is_empty()) {
        let _ = writeln!(text, "{}", shown(&decision.numbers));
    }
    let name = &explanation.classes[explained].name;
    match explanation.maps[explained].localisation.as_ref() {
        Some(localisation) => {
            let ([x, y], b) = (localisation.peak, localisation.bounds);
            let corners = format!("({:.0}, {:.0}) to ({:.0}, {:.0})", b.x0, b.y0, b.x1, b.y1);
            let _ = writeln!(text, "map of {name:?}: peak at ({x:.0}, {y:.0}), box {corners}");
        }
        None => {
            let _ = match &explanation.maps[explained].says {
                Some(says) => writeln!(text, "{}", shown(says)),
                None => writeln!(text, "map of {name:?}: the same everywhere, so it points at nothing"),
            };
        }
    }
    let t = &explanation.timings;
    let _ = writeln!(
        text,
        "score: {}; form: {}; {} in {:.0} ms",
        explanation.score, explanation.form, explanation.engine, t.total
    );
    if explanation.passes > 1 {
        let _ = writeln!(
            text,
            "made of {} forward passes of the query; the further ones took {:.0} ms",
            explanation.passes, t.finer
        );
    }
    if let Some(outside) = outside(&explanation.classes[explained]) {
        let _ = writeln!(text, "{outside}");
    }
    for note in &explanation.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// A bar of 40 signs for a range within 0 and 1.
fn bar([from, to]: [f64; 2]) -> String {
    let [from, to] = [from, to].map(|part| (part.clamp(0.0, 1.0) * 40.0).round() as usize);
    format!("{}{}", " ".repeat(from), "#".repeat(to.saturating_sub(from)))
}

/// What of a similarity no channel carries, where that is anything.
pub fn outside(class: &ClassScore) -> Option<String> {
    let (constant, residual) = (class.constant, class.residual);
    let any = constant.abs() > 1e-6 || residual.abs() > 1e-4;
    any.then(|| format!("outside of all channels: constant {constant:.4}, residual {residual:.4}"))
}
