//! How long the search for near-duplicates takes in a large gallery, against comparing every pair:
//!
//! ```text
//! cargo run --release --example bench_duplicates [IMAGES [CHANNELS]]
//! ```
//!
//! Embeddings are made up: clusters of sparse non-negative values, as pooled activation maps are, some images with a
//! near-duplicate. Both ways have to find the same groups.

use std::time::Instant;

use famlens::Result;
use famlens::tasks::retrieval::{DuplicateRule, DuplicateSearch, Gallery, Item, Origin};

/// Images of a cluster look alike, about as photos of one kind of thing do.
const CLUSTERS: usize = 60;
/// One image in so many repeats one before it.
const REPEATED: usize = 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().ok());
    let images = arguments.next().flatten().unwrap_or(10_000);
    let channels = arguments.next().flatten().unwrap_or(1280);
    let gallery = made_up(images, channels)?;
    let rule = DuplicateRule::default();
    let sample: Vec<f64> =
        gallery.rank(gallery.embedding(0).unwrap_or_default(), images)?.iter().map(|h| h.similarity).collect();
    println!("{images} images of {channels} channels; cosines to the first: {}", quartiles(&sample));

    let begun = Instant::now();
    let mut search = DuplicateSearch::new(&gallery, rule);
    let mut longest = begun.elapsed();
    loop {
        let step = Instant::now();
        let done = search.step(&gallery, 100);
        longest = longest.max(step.elapsed());
        if done == gallery.len() {
            break;
        }
    }
    let fast = begun.elapsed();
    println!(
        "search:     {:8.0} ms, longest step of 100 images {:.0} ms",
        1e3 * fast.as_secs_f64(),
        1e3 * longest.as_secs_f64()
    );

    let begun = Instant::now();
    let mut group: Vec<usize> = (0..images).collect();
    for first in 0..images {
        for second in (first + 1..images).filter(|&second| gallery.duplicate(first, second, &rule).is_some()) {
            let (low, high) = (group[first].min(group[second]), group[first].max(group[second]));
            if low != high {
                group.iter_mut().filter(|g| **g == high).for_each(|g| *g = low);
            }
        }
    }
    let slow = begun.elapsed();
    println!(
        "every pair: {:8.0} ms, {:.1} times as long",
        1e3 * slow.as_secs_f64(),
        slow.as_secs_f64() / fast.as_secs_f64()
    );
    let found = search.groups();
    let same = found.iter().all(|members| members.iter().all(|&i| group[i] == members[0]));
    let joined = group.iter().enumerate().filter(|(i, g)| i != *g).count();
    let agree = same && joined == found.iter().map(|members| members.len() - 1).sum::<usize>();
    println!("{} groups; the two ways {}", found.len(), if agree { "agree" } else { "DISAGREE" });
    Ok(())
}

fn made_up(images: usize, channels: usize) -> Result<Gallery> {
    let [model, weights, input, target, pooling] = ["made up", "0", "224", "features", "gap"].map(String::from);
    let mut gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels });
    let mut rng = fastrand::Rng::with_seed(1);
    // A sum of uniform numbers is close to normal.
    let normal = |rng: &mut fastrand::Rng| (0..6).map(|_| rng.f32()).sum::<f32>() - 3.0;
    let usual: Vec<f32> = (0..channels).map(|_| normal(&mut rng)).collect();
    let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| (0..channels).map(|_| normal(&mut rng)).collect()).collect();
    for image in 0..images {
        let repeats = image > 0 && image % REPEATED == 0;
        let (of, noise) = if repeats { (Some(rng.usize(..image)), 0.1) } else { (None, 0.8) };
        let centre = &centres[rng.usize(..CLUSTERS)];
        let before = of.and_then(|of| gallery.embedding(of));
        let row: Vec<f32> = (0..channels)
            .map(|c| match before {
                Some(before) => (before[c] + noise * normal(&mut rng)).max(0.0),
                None => (0.5 * usual[c] + 0.7 * centre[c] + noise * normal(&mut rng)).max(0.0),
            })
            .collect();
        let name = format!("{image}.jpg");
        let item = Item { content: name.clone(), name, picture: rng.u64(..), width: 640, height: 480 };
        gallery.push(item, &row)?;
    }
    Ok(gallery)
}

fn quartiles(descending: &[f64]) -> String {
    let at = |part: f64| descending[((descending.len() - 1) as f64 * part) as usize];
    format!("median {:.2}, upper quartile {:.2}, lower quartile {:.2}", at(0.5), at(0.25), at(0.75))
}
