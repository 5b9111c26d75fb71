use super::*;
use crate::fam::cosine;

pub(super) fn origin(channels: usize) -> Origin {
    let [model, weights, input, target, pooling] = ["net", "00ff", "224 squash", "features", "gap"].map(String::from);
    Origin { model, weights, input, target, pooling, channels }
}

pub(super) fn item(name: &str, picture: u64) -> Item {
    Item { name: name.into(), content: format!("content of {name}"), picture, width: 640, height: 480 }
}

pub(super) fn random(rows: usize, channels: usize) -> Gallery {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut gallery = Gallery::new(origin(channels));
    for row in 0..rows {
        let embedding: Vec<f32> = (0..channels).map(|_| rng.f32()).collect();
        gallery.push(item(&format!("{row}.jpg"), rng.u64(..)), &embedding).unwrap();
    }
    gallery
}

#[test]
fn ranks_as_sorting_all_cosines_does() {
    let gallery = random(200, 37);
    let query: Vec<f32> = (0..37).map(|c| (c as f32).sin().abs()).collect();
    let mut all: Vec<(usize, f64)> = (0..200).map(|i| (i, cosine(&query, gallery.embedding(i).unwrap()))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    for top in [0, 1, 7, 200, 1000] {
        let hits = gallery.rank(&query, top).unwrap();
        assert_eq!(hits.len(), top.min(200));
        for (hit, (index, score)) in hits.iter().zip(&all) {
            assert_eq!(hit.index, *index);
            assert!((hit.similarity - score).abs() < 1e-5);
        }
    }
    let by_first = gallery.rank_by(3, |row| f64::from(-row[0]));
    assert!(by_first[0].similarity >= by_first[1].similarity && by_first[1].similarity >= by_first[2].similarity);
}

#[test]
fn equal_images_keep_their_order_and_zero_ones_come_last() {
    let mut gallery = Gallery::new(origin(2));
    for row in [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [1.0, 1.0]] {
        gallery.push(item("x", 0), &row).unwrap();
    }
    let order: Vec<usize> = gallery.rank(&[3.0, 3.0], 4).unwrap().iter().map(|h| h.index).collect();
    assert_eq!(order, [1, 2, 3, 0]);
}

#[test]
fn the_three_reasons_of_a_near_duplicate() {
    let mut gallery = Gallery::new(origin(2));
    let at = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    gallery.push(item("original", 0), &at(0.0)).unwrap();
    gallery.push(item("alike", u64::MAX), &at(10.0)).unwrap(); // cosine .985
    gallery.push(item("hash agrees", 0b111), &at(-25.0)).unwrap(); // cosine .906
    gallery.push(item("hash differs", u64::MAX), &at(-26.0)).unwrap(); // cosine .899
    gallery.push(Item { name: "same file".into(), ..item("original", 0) }, &at(80.0)).unwrap();
    let rule = DuplicateRule::default();
    let with = |i| gallery.duplicate(0, i, &rule);
    assert!(with(1).is_some_and(|d| !d.same && (d.similarity - 0.9848).abs() < 1e-3));
    assert!(with(2).is_some());
    assert_eq!(with(3), None);
    assert!(with(4).is_some_and(|d| d.same));
    assert_eq!(gallery.duplicate(4, 0, &rule), with(4));
    assert_eq!(gallery.duplicate(0, 9, &rule), None);
    let mut search = DuplicateSearch::new(&gallery, rule);
    assert!(search.groups().is_empty());
    assert_eq!(search.step(&gallery, 2), 2);
    assert_eq!(search.groups(), [[0, 1]]);
    assert_eq!(search.step(&gallery, 99), 5);
    // "hash differs" is within a degree of "hash agrees".
    assert_eq!(search.groups(), [[0, 1, 2, 3, 4]]);
    assert_eq!(search.step(&gallery, 99), 5);
}

/// The groups by comparing all pairs.
fn groups_of_all_pairs(gallery: &Gallery, rule: &DuplicateRule) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..gallery.len()).collect();
    for a in 0..gallery.len() {
        for b in a + 1..gallery.len() {
            let similarity = cosine(gallery.embedding(a).unwrap(), gallery.embedding(b).unwrap()) as f32;
            if rule.holds(similarity, &gallery.items()[a], &gallery.items()[b]) {
                let (low, high) = (group[a].min(group[b]), group[a].max(group[b]));
                group.iter_mut().filter(|g| **g == high).for_each(|g| *g = low);
            }
        }
    }
    let members = |g: usize| (0..gallery.len()).filter(|&i| group[i] == g).collect::<Vec<_>>();
    (0..gallery.len()).map(members).filter(|m| m.len() > 1).collect()
}

#[test]
fn no_near_duplicate_is_missed_by_stopping_early() {
    let mut rng = fastrand::Rng::with_seed(9);
    let mut gallery = Gallery::new(origin(300));
    for row in 0..120 {
        // Every third one is one before it with some noise, so that cosines lie on both sides of the thresholds.
        let noise = rng.f32() * 0.8;
        let embedding: Vec<f32> = match row % 3 == 2 {
            true => gallery.embedding(row - 2).unwrap().iter().map(|v| v + noise * (rng.f32() - 0.5)).collect(),
            false => (0..300).map(|_| (rng.f32() - 0.4).max(0.0)).collect(),
        };
        gallery.push(item(&format!("{row}"), if row % 2 == 0 { 0 } else { rng.u64(..) }), &embedding).unwrap();
    }
    let rule = DuplicateRule::default();
    let expected = groups_of_all_pairs(&gallery, &rule);
    let mut search = DuplicateSearch::new(&gallery, rule);
    while search.step(&gallery, 7) < gallery.len() {}
    assert_eq!(search.groups(), expected);
    assert!((5..40).contains(&expected.len()), "{} are no test", expected.len());
}

/// Rows that lie in fewer directions than there are coordinates, rows of zeros, and as good as no rows at all.
#[test]
fn flat_and_empty_galleries_are_searched_too() {
    let mut rng = fastrand::Rng::with_seed(3);
    for (rows, channels, rank) in [(90, 40, 3), (70, 100, 1), (1, 5, 1), (0, 7, 1), (20, 3, 3)] {
        let mut gallery = Gallery::new(origin(channels));
        let axes: Vec<Vec<f32>> = (0..rank).map(|_| (0..channels).map(|_| rng.f32() - 0.5).collect()).collect();
        for row in 0..rows {
            let mut embedding = vec![0f32; channels];
            for axis in axes.iter().filter(|_| row % 5 != 0) {
                let along = rng.f32() - 0.3;
                embedding.iter_mut().zip(axis).for_each(|(e, a)| *e += along * a);
            }
            gallery.push(item(&format!("{row}"), rng.u64(..)), &embedding).unwrap();
        }
        let rule = DuplicateRule { cosine: 0.999, confirmed: 0.99, bits: 24 };
        let mut search = DuplicateSearch::new(&gallery, rule);
        while search.step(&gallery, 11) < gallery.len() {}
        assert_eq!(search.groups(), groups_of_all_pairs(&gallery, &rule), "{rows} x {channels}");
    }
}

#[test]
fn hits_are_marked_by_what_they_repeat() {
    let mut gallery = Gallery::new(origin(2));
    for (name, row) in [("a", [1.0, 0.0]), ("b", [0.99, 0.05]), ("c", [0.5, 0.5]), ("d", [0.5, 0.52])] {
        gallery.push(item(name, u64::MAX), &row).unwrap();
    }
    let hits = gallery.rank(&[1.0, 0.0], 4).unwrap();
    let marks = gallery.marks(&item("a", 0), &hits, &DuplicateRule::default());
    assert_eq!(marks, [Some(Mark::SameFile), Some(Mark::Query), None, Some(Mark::Hit(2))]);
    assert_eq!(serde_json::to_string(&marks[3]).unwrap(), r#"{"of":"hit","rank":2}"#);
    assert_eq!(marks[3].map(|m| m.to_string()), Some("near-duplicate of 3".into()));
}

#[test]
fn an_image_taken_out_leaves_the_others_as_they_were() {
    let mut gallery = random(5, 3);
    let fourth = gallery.embedding(4).unwrap().to_vec();
    gallery.retain(|item| item.name != "1.jpg" && item.name != "3.jpg");
    assert_eq!(gallery.items().iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["0.jpg", "2.jpg", "4.jpg"]);
    assert_eq!(gallery.embedding(2), Some(&fourth[..]));
    assert_eq!(gallery.rank(&fourth, 1).unwrap()[0].index, 2);
    assert_eq!(gallery.embedding(3), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut gallery = random(2, 3);
    assert!(gallery.push(item("short.jpg", 0), &[1.0]).is_err_and(|e| e.to_string().contains("short.jpg")));
    assert!(gallery.push(item("bad.jpg", 0), &[1.0, f32::NAN, 0.0]).is_err_and(|e| e.to_string().contains("finite")));
    assert!(gallery.rank(&[1.0], 5).is_err());
    assert_eq!(gallery.len(), 2);
}

#[test]
fn another_origin_is_named() {
    let own = origin(3);
    assert!(own.check(&origin(3)).is_ok());
    let refusal = |change: fn(&mut Origin)| {
        let mut other = origin(3);
        change(&mut other);
        own.check(&other).unwrap_err().to_string()
    };
    assert!(refusal(|o| o.model = "other".into()).contains("model net (now other)"));
    assert!(refusal(|o| o.weights = "aa".into()).contains("weights 00ff (now aa)"));
    assert!(refusal(|o| o.target = "block".into()).contains("target layer features (now block)"));
    let both = refusal(|o| (o.pooling, o.input) = ("max".into(), "224 crop".into()));
    assert!(both.contains("pooling gap (now max)") && both.contains("input 224 squash (now 224 crop)"), "{both}");
    assert!(refusal(|o| o.channels = 4).contains("channels 3 (now 4)"));
}
