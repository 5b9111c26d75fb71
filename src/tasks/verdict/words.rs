//! What is said about a decision: the same words on the page, in the module and on the command line.

use super::{Closeness, Unit, Verdict, Yardstick};

/// Fills in headline, sentence and figures.
pub(super) fn write(verdict: &mut Verdict, yardstick: &Yardstick) {
    verdict.headline = match (verdict.known, verdict.closeness) {
        (Some(false), _) if verdict.second.is_none() => format!("Not {}", verdict.first),
        (Some(false), _) => "None of these".to_owned(),
        (_, Some(Closeness::TooClose)) => "Too close to call".to_owned(),
        _ => verdict.first.clone(),
    };
    let mut says = sentence(verdict);
    if let (None, Some(why)) = (verdict.known, yardstick.why) {
        says.push_str(&format!(" Whether the photo is any of these is not known: {why}."));
    }
    verdict.says = says.trim_start().to_owned();
    verdict.numbers = numbers(verdict, yardstick);
}

fn sentence(verdict: &Verdict) -> String {
    let Verdict { known, closeness, first, second, .. } = verdict;
    match (known, second, closeness) {
        (Some(false), None, _) => format!("It is not like your photos of {first}."),
        (Some(false), Some(_), _) => format!("It is not like your photos of any class. {first} comes nearest."),
        (Some(true), None, _) => format!("It is like your photos of {first}."),
        (None, None, _) => String::new(),
        (_, Some(second), Some(Closeness::Clear)) => format!("Clear: {second} is far behind."),
        (_, Some(second), Some(Closeness::Close)) => format!("Close: {second} is not far behind."),
        (_, Some(second), Some(Closeness::TooClose)) => format!("{first} and {second} are nearly level."),
        (_, Some(second), None) => format!("{second} comes second."),
    }
}

fn numbers(verdict: &Verdict, yardstick: &Yardstick) -> String {
    let figure = |value: f64| match yardstick.unit {
        Unit::General if value.abs() < 9.95 => format!("{value:.1}"),
        Unit::General => format!("{value:.0}"),
        Unit::Between => format!("{:.0} %", 100.0 * value),
    };
    let mut sentences = Vec::new();
    if let (Some(evidence), Some(bound)) = (verdict.evidence, verdict.bound) {
        let (first, evidence, bound) = (&verdict.first, figure(evidence), figure(bound));
        sentences.push(match yardstick.unit {
            Unit::General => {
                format!("Evidence for {first}: {evidence} times that of photos in general. It takes {bound}.")
            }
            Unit::Between => {
                format!("It is {evidence} of the way from other classes' photos to those of {first}. It takes {bound}.")
            }
        });
    }
    if let (Some(margin), Some(clear), Some(second)) = (verdict.margin, verdict.clear, &verdict.second) {
        sentences.push(format!("Ahead of {second} by {}. From {} on that is clear.", figure(margin), figure(clear)));
    }
    if verdict.bound.is_some() {
        sentences.push(match yardstick.left_out {
            0 => "A second photo in each class would make this firmer.".to_owned(),
            n => format!("Learned from {n} of your photos, each compared with the others."),
        });
    }
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::Ranked;
    use super::*;

    fn verdict(classes: &[&str], evidence: f64, lead: f64, unit: Unit) -> Verdict {
        let names: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
        let second = (names.len() > 1).then_some(1);
        Verdict::new(Ranked { names: &names, first: 0, second, evidence, lead }, &Yardstick::learned(unit, &[], &[]))
    }

    #[test]
    fn words_come_first() {
        let said = |evidence: f64, lead: f64| {
            let verdict = verdict(&["Bird", "Fish"], evidence, lead, Unit::General);
            format!("{}. {}", verdict.headline, verdict.says)
        };
        assert_eq!(said(8.0, 5.0), "Bird. Clear: Fish is far behind.");
        assert_eq!(said(8.0, 0.7), "Bird. Close: Fish is not far behind.");
        assert_eq!(said(8.0, 0.1), "Too close to call. Bird and Fish are nearly level.");
        assert_eq!(said(0.3, 0.1), "None of these. It is not like your photos of any class. Bird comes nearest.");
    }

    #[test]
    fn one_class_is_a_yes_or_a_no() {
        let yes = verdict(&["Bird"], 3.0, f64::NAN, Unit::General);
        assert_eq!((yes.headline.as_str(), yes.says.as_str()), ("Bird", "It is like your photos of Bird."));
        let no = verdict(&["Bird"], 0.2, f64::NAN, Unit::General);
        assert_eq!((no.headline.as_str(), no.says.as_str()), ("Not Bird", "It is not like your photos of Bird."));
        assert_eq!(no.margin, None);
    }

    #[test]
    fn figures_have_their_unit() {
        let general = verdict(&["Bird", "Fish"], 12.34, 0.34, Unit::General).numbers;
        assert!(
            general.starts_with("Evidence for Bird: 12 times that of photos in general. It takes 2.0."),
            "{general}"
        );
        let between = verdict(&["Bird", "Fish"], 0.62, 0.34, Unit::Between).numbers;
        assert!(between.contains("62 % of the way") && between.contains("Ahead of Fish by 34 %."), "{between}");
    }
}
