//! Which photos support which. Command line and page draw the episodes of an evaluation by this one protocol.
//!
//! A draw depends on the seed, on the names of the classes and on the names and contents of the photos. It depends
//! neither on the order of the photos nor on who draws.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::random::Rng;

/// A photo of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelled {
    /// The name of its class.
    pub class: String,
    /// Its path below the folder of images, with `/`.
    pub name: String,
    /// SHA-256 of the file in hexadecimal, or anything else that identifies the content.
    pub content: String,
    /// What it was made of, where several photos are made of one picture, such as frames of a film. Photos of one
    /// source never support each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// An N-way K-shot episode: some classes, each with its support set, and the queries that are asked among them. Photos
/// go by their place in what [`Protocol::new`] was given, classes by their place in [`Protocol::classes`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Episode {
    /// The classes.
    pub classes: Vec<usize>,
    /// The support set of each class.
    pub supports: Vec<Vec<usize>>,
    /// The photos that are asked about.
    pub queries: Vec<usize>,
}

/// How many supports and rivals a photo that is explained gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EpisodeSize {
    /// Support photos a class.
    pub shots: usize,
    /// Other classes beside the photo's own.
    pub against: usize,
}

impl Default for EpisodeSize {
    /// 5 supports a class, 19 other classes.
    fn default() -> Self {
        Self { shots: 5, against: 19 }
    }
}

/// The photos of an evaluation, ready to draw episodes from.
#[derive(Clone, Debug)]
pub struct Protocol {
    seed: u64,
    classes: Vec<String>,
    class_of: Vec<usize>,
    contents: Vec<String>,
    sources: Vec<Option<String>>,
    /// Most photos of one source.
    most_alike: usize,
    /// For each class, its photos in the order of their names.
    members: Vec<Vec<usize>>,
    /// For each class, its photos in an order drawn from the seed: the first ones are the supports.
    drawn: Vec<Vec<usize>>,
}

impl Protocol {
    /// Sorts the photos into their classes and draws the order in which each class's photos support it.
    ///
    /// ```
    /// use famlens::tasks::episodes::{EpisodeSize, Labelled, Protocol};
    /// let photo = |class: &str, name: &str| Labelled { class: class.into(), name: name.into(), content: name.into(), source: None };
    /// let photos = ["1.jpg", "2.jpg", "3.jpg"].map(|name| photo("cat", name));
    /// let photos = [&photos[..], &[photo("dog", "4.jpg")]].concat();
    /// let protocol = Protocol::new(&photos, 1);
    /// let episode = protocol.episode(0, EpisodeSize { shots: 2, against: 1 }).expect("cat has other photos");
    /// assert_eq!((&episode.classes, &episode.queries), (&vec![0, 1], &vec![0]));
    /// assert!(!episode.supports[0].contains(&0) && episode.supports[1] == [3]);
    /// ```
    pub fn new(photos: &[Labelled], seed: u64) -> Self {
        let mut classes: Vec<String> = photos.iter().map(|photo| photo.class.clone()).collect();
        classes.sort();
        classes.dedup();
        let place = |name: &String| classes.binary_search(name).unwrap_or_default();
        let class_of: Vec<usize> = photos.iter().map(|photo| place(&photo.class)).collect();
        let mut order: Vec<usize> = (0..photos.len()).collect();
        order.sort_by(|&a, &b| by_path(&photos[a], &photos[b]));
        let mut members = vec![Vec::new(); classes.len()];
        order.into_iter().for_each(|photo| members[class_of[photo]].push(photo));
        let shuffled = |(name, members): (&String, &Vec<usize>)| {
            let mut drawn = members.clone();
            // By class, so that a class more or less does not change the others' supports.
            Rng::with_seed(seed ^ seed_of(name)).shuffle(&mut drawn);
            drawn
        };
        let drawn = classes.iter().zip(&members).map(shuffled).collect();
        let contents = photos.iter().map(|photo| photo.content.clone()).collect();
        let sources: Vec<Option<String>> = photos.iter().map(|photo| photo.source.clone()).collect();
        let mut named: Vec<&str> = sources.iter().flatten().map(String::as_str).collect();
        named.sort_unstable();
        let most_alike = named.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(1);
        Self { seed, classes, class_of, contents, sources, most_alike, members, drawn }
    }

    /// The names of the classes, sorted.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class of a photo.
    pub fn class_of(&self, photo: usize) -> Option<usize> {
        self.class_of.get(photo).copied()
    }

    /// The photos of a class, in the order of their names.
    pub fn members(&self, class: usize) -> &[usize] {
        self.members.get(class).map_or(&[], Vec::as_slice)
    }

    /// Whether a photo may support a query: it is another one, of another source.
    fn apart(&self, photo: usize, query: usize) -> bool {
        let source = |at: usize| self.sources.get(at).and_then(Option::as_ref);
        photo != query && source(photo).is_none_or(|own| source(query) != Some(own))
    }

    /// The first `shots` photos of a class, in the order drawn, without the photo that is asked about and those of its
    /// source.
    pub fn supports(&self, class: usize, shots: usize, query: usize) -> Vec<usize> {
        let drawn = self.drawn.get(class).map_or(&[][..], Vec::as_slice);
        drawn.iter().copied().filter(|&photo| self.apart(photo, query)).take(shots).collect()
    }

    /// Whether a photo may be asked for as a support of its class.
    pub fn is_support(&self, photo: usize, shots: usize) -> bool {
        let drawn = self.class_of(photo).and_then(|class| self.drawn.get(class));
        // Without the query and those of its source, a class's first photos may be asked for.
        drawn.is_some_and(|drawn| drawn.iter().take(shots + self.most_alike).any(|&support| support == photo))
    }

    /// The episode in which a photo is explained: its own class and at most `against` others, without classes that have
    /// no support; `None` if its own has none.
    pub fn episode(&self, query: usize, size: EpisodeSize) -> Option<Episode> {
        let own_class = self.class_of(query)?;
        let mut classes: Vec<usize> = (0..self.classes.len()).filter(|&class| class != own_class).collect();
        if classes.len() > size.against {
            Rng::with_seed(self.seed ^ seed_of(&self.contents[query])).shuffle(&mut classes);
            classes.truncate(size.against);
        }
        classes.push(own_class);
        classes.sort_unstable();
        let with_supports = classes.into_iter().map(|class| (class, self.supports(class, size.shots, query)));
        let (classes, supports): (Vec<usize>, Vec<_>) = with_supports.filter(|(_, s)| !s.is_empty()).unzip();
        classes.contains(&own_class).then_some(Episode { classes, supports, queries: vec![query] })
    }

    /// One photo of each of `tiles` classes, the same for the same index, each with its supports; `None` if too few
    /// classes have two photos.
    pub fn mosaic(&self, index: usize, tiles: usize, shots: usize) -> Option<Episode> {
        let mut classes: Vec<usize> = (0..self.classes.len()).filter(|&class| self.drawn[class].len() > 1).collect();
        if classes.len() < tiles {
            return None;
        }
        let mut random =
            Rng::with_seed(self.seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ tiles as u64);
        random.shuffle(&mut classes);
        classes.truncate(tiles);
        let draw = |&class: &usize| self.drawn[class][random.below(self.drawn[class].len())];
        let queries: Vec<usize> = classes.iter().map(draw).collect();
        let supports =
            classes.iter().zip(&queries).map(|(&class, &query)| self.supports(class, shots, query)).collect();
        Some(Episode { classes, supports, queries })
    }

    /// Episodes of `ways` classes with `shots` supports and one query each, drawn anew each time among the photos that
    /// are `usable`; `None` if too few classes have enough of them.
    ///
    /// # Errors
    /// [`Error::Argument`] if `ways` or `shots` is 0.
    pub fn accuracy_episodes(
        &self,
        (ways, shots, count): (usize, usize, usize),
        usable: impl Fn(usize) -> bool,
    ) -> Result<Option<Vec<Episode>>> {
        if ways == 0 || shots == 0 {
            return Err(Error::argument("episode", "at least one class and one support are needed"));
        }
        let members = |class: usize| self.members[class].iter().copied().filter(|&photo| usable(photo));
        let groups: Vec<(usize, Vec<usize>)> = (0..self.classes.len()).map(|c| (c, members(c).collect())).collect();
        let mut able: Vec<&(usize, Vec<usize>)> = groups.iter().filter(|(_, photos)| photos.len() > shots).collect();
        if able.len() < ways {
            return Ok(None);
        }
        let mut random = Rng::with_seed(self.seed);
        let mut episodes = Vec::with_capacity(count);
        for _ in 0..count {
            random.shuffle(&mut able);
            let mut episode = Episode::default();
            for (class, photos) in &able[..ways] {
                let mut photos = photos.clone();
                random.shuffle(&mut photos);
                episode.classes.push(*class);
                episode.queries.push(photos[0]);
                let apart = photos[1..].iter().copied().filter(|&photo| self.apart(photo, photos[0]));
                episode.supports.push(apart.take(shots).collect());
            }
            episodes.push(episode);
        }
        Ok(Some(episodes))
    }
}

/// Folder by folder, as a walk through them goes.
fn by_path(a: &Labelled, b: &Labelled) -> Ordering {
    a.name.split('/').cmp(b.name.split('/')).then_with(|| a.content.cmp(&b.content))
}

/// A seed from a text.
fn seed_of(text: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
    let digits = hasher.finalize().into_iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.fold(0, |seed: u64, digit| seed.rotate_left(5) ^ u64::from(b"0123456789abcdef"[usize::from(digit)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photos() -> Vec<Labelled> {
        let photo = |class: usize, at: usize| Labelled {
            class: format!("class {class:02}"),
            name: format!("class {class:02}/{at}.jpg"),
            content: format!("{class} {at}"),
            source: None,
        };
        (0..24).flat_map(|class| (0..8).map(move |at| photo(class, at))).collect()
    }

    /// The names of an episode's photos, class by class.
    fn named(episode: &Episode, photos: &[Labelled], protocol: &Protocol) -> Vec<(String, Vec<String>)> {
        let names = |supports: &Vec<usize>| supports.iter().map(|&photo| photos[photo].name.clone()).collect();
        let class = |(&class, supports): (&usize, &Vec<usize>)| (protocol.classes()[class].clone(), names(supports));
        episode.classes.iter().zip(&episode.supports).map(class).collect()
    }

    #[test]
    fn what_is_drawn_does_not_depend_on_the_order_of_the_photos() {
        let forward = photos();
        let mut shuffled = forward.clone();
        Rng::with_seed(3).shuffle(&mut shuffled);
        let protocols = [Protocol::new(&forward, 7), Protocol::new(&shuffled, 7)];
        for (query, photo) in forward.iter().enumerate() {
            let again = shuffled.iter().position(|other| other == photo).unwrap();
            let size = EpisodeSize::default();
            let a = named(&protocols[0].episode(query, size).unwrap(), &forward, &protocols[0]);
            let b = named(&protocols[1].episode(again, size).unwrap(), &shuffled, &protocols[1]);
            assert_eq!(a, b);
            assert_eq!((a.len(), a[0].1.len()), (20, 5));
            assert!(a.iter().all(|(_, supports)| !supports.contains(&photo.name)));
        }
        for index in 0..10 {
            let of = |p: &Protocol, photos: &[Labelled]| named(&p.mosaic(index, 4, 5).unwrap(), photos, p);
            assert_eq!(of(&protocols[0], &forward), of(&protocols[1], &shuffled));
        }
        let accuracy = |p: &Protocol, photos: &[Labelled]| -> Vec<_> {
            let episodes = p.accuracy_episodes((5, 3, 40), |_| true).unwrap().unwrap();
            episodes.iter().map(|episode| named(episode, photos, p)).collect()
        };
        assert_eq!(accuracy(&protocols[0], &forward), accuracy(&protocols[1], &shuffled));
    }

    #[test]
    fn another_seed_draws_other_supports_and_another_class_changes_none() {
        let all = photos();
        let supports = |photos: &[Labelled], seed: u64| {
            let protocol = Protocol::new(photos, seed);
            protocol.supports(0, 5, 0).iter().map(|&photo| photos[photo].name.clone()).collect::<Vec<_>>()
        };
        assert_ne!(supports(&all, 1), supports(&all, 2));
        let fewer: Vec<_> = all.iter().filter(|photo| photo.class != "class 01").cloned().collect();
        assert_eq!(supports(&all, 1), supports(&fewer, 1));
    }

    /// The published tables rest on these draws.
    #[test]
    fn the_draws_are_those_of_the_published_figures() {
        assert_eq!(seed_of("bird"), 0x8f76_a0de_efea_15dd);
        let photo = |at: usize| Labelled {
            class: "bird".into(),
            name: format!("bird/{at}.jpg"),
            content: String::new(),
            source: None,
        };
        let protocol = Protocol::new(&(0..8).map(photo).collect::<Vec<_>>(), 1);
        assert_eq!(protocol.supports(0, 8, 8), [7, 3, 4, 1, 6, 2, 5, 0]);
    }

    #[test]
    fn photos_of_one_source_never_support_each_other() {
        let made = |at: usize| Labelled {
            class: "bird".into(),
            name: format!("bird/{at}.jpg"),
            content: at.to_string(),
            source: Some((at / 3).to_string()),
        };
        let protocol = Protocol::new(&(0..12).map(made).collect::<Vec<_>>(), 5);
        for query in 0..12 {
            let supports = protocol.supports(0, 12, query);
            assert_eq!(supports.len(), 9);
            assert!(supports.iter().all(|support| support / 3 != query / 3));
            assert!(protocol.supports(0, 2, query).iter().all(|&support| protocol.is_support(support, 2)));
        }
        let episodes = protocol.accuracy_episodes((1, 4, 30), |_| true).unwrap().unwrap();
        let query = |episode: &Episode| episode.queries[0] / 3;
        assert!(episodes.iter().all(|e| e.supports[0].iter().all(|support| support / 3 != query(e))));
        assert!(episodes.iter().all(|e| !e.supports[0].is_empty()));
    }

    #[test]
    fn classes_without_enough_photos_are_left_out() {
        let photo = |class: &str, at: usize| Labelled {
            class: class.into(),
            name: format!("{class}/{at}"),
            content: at.to_string(),
            source: None,
        };
        let photos = [photo("a", 0), photo("a", 1), photo("b", 2)];
        let protocol = Protocol::new(&photos, 1);
        let size = EpisodeSize::default();
        assert_eq!(protocol.episode(0, size).map(|e| e.supports), Some(vec![vec![1], vec![2]]));
        assert_eq!((protocol.episode(2, size), protocol.episode(3, size)), (None, None));
        assert_eq!(protocol.mosaic(0, 2, 1), None);
        assert_eq!(protocol.accuracy_episodes((2, 1, 3), |_| true).unwrap(), None);
        assert_eq!(protocol.accuracy_episodes((1, 1, 3), |photo| photo != 0).unwrap(), None);
        assert!(protocol.accuracy_episodes((0, 1, 3), |_| true).is_err());
        assert!(protocol.is_support(0, 1) && !protocol.is_support(9, 1));
    }
}
