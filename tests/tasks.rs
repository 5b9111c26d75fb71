//! Pairs and galleries: against numpy's and torchvision's goldens, and in a session on both engines.

mod common;

use common::{bytes, golden, json, npy, relative_error, root};
use famlens::engine::Pooling;
use famlens::fam::{Form, PoolingChoice, Similarity, centred_cosine, cosine};
use famlens::image::{Jitter, Limits, Photo, View, decode};
use famlens::session::{EngineChoice, ExplainOptions, ImageId, Model, Session};
use famlens::tasks::pair::{Cells, WhereToWhere};
use famlens::tasks::retrieval::{Gallery, Mark};
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

fn model() -> Model {
    let folder = root("models/efficientnet_lite0");
    let json = String::from_utf8(bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    Model::new(&json, &bytes(folder.join("model.onnx"))).expect("the shipped model loads")
}

/// Sessions on the engines of this machine.
fn sessions() -> Vec<Session> {
    let open = |choice| match block_on(Session::new(model(), choice)) {
        Ok(session) => Some(session),
        Err(Error::NoGpu { reason }) => {
            assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
            eprintln!("SKIPPED: no GPU here: {reason}");
            None
        }
        Err(other) => panic!("{other}"),
    };
    [EngineChoice::Cpu, EngineChoice::Gpu].into_iter().filter_map(open).collect()
}

fn photo(path: &str) -> Photo {
    decode(path, &bytes(root("tests").join(path)), &Limits::default()).expect("a photo decodes")
}

fn add(session: &mut Session, path: &str) -> ImageId {
    session.add_image(path, &photo(path)).expect("a photo fits the model")
}

#[test]
fn where_to_where_equals_numpys() -> Result<()> {
    let features = |path: &str| {
        let tensor = npy(path);
        let [c, h, w] = *tensor.shape().dims() else { panic!("{path} is not [C, H, W]") };
        Tensor::new([1, c, h, w], tensor.into_data())
    };
    let (a, b) = (features("engine/int8_features_dog.npy")?, features("engine/int8_features_wide.npy")?);
    let mu = npy("fam/mu.npy").into_data();
    for (mean, name) in [(None, "where_to_where"), (Some(&mu[..]), "where_to_where_centred")] {
        let cells = |t| Cells::new(t, Pooling::Average, mean);
        let found = WhereToWhere::cosine(&cells(&a)?, &cells(&b)?)?;
        assert_eq!((found.a, found.b), ((7, 7), (9, 5)));
        let expected = npy(&format!("tasks/{name}.npy"));
        assert!(relative_error(&found.terms, expected.data()) < 1e-5, "{name}");
    }
    Ok(())
}

#[test]
fn views_equal_torchvisions() -> Result<()> {
    let index = json(golden("tasks/index.json"));
    let photo = |name: &str| decode(name, &bytes(golden(name)), &Limits::default());
    let original = photo("tasks/photo.png")?;
    let numbers = |v: &serde_json::Value| -> Vec<f32> {
        v.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number") as f32).collect()
    };
    let off = |view: View, name: &str| -> Result<u8> {
        let (found, expected) = (view.apply(&original)?, photo(name)?);
        assert_eq!(found.size(), expected.size());
        Ok(found.rgb().iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(255))
    };
    for (n, jitter) in index["jitters"].as_array().expect("jitters").iter().enumerate() {
        let [brightness, contrast, saturation, hue] = numbers(jitter)[..] else { panic!("four parameters") };
        let jitter = Some(Jitter { brightness, contrast, saturation, hue });
        let off = off(View { jitter, ..View::default() }, &format!("tasks/jitter_{n}.png"))?;
        assert!(off <= 1, "jitter {n} is {off} levels off");
    }
    assert!(off(View { grey: true, ..View::default() }, "tasks/grey.png")? <= 1);
    for (n, &sigma) in numbers(&index["blurs"]).iter().enumerate() {
        let off = off(View { blur: Some(sigma), ..View::default() }, &format!("tasks/blur_{n}.png"))?;
        assert!(off <= 1, "blur {n} is {off} levels off");
    }
    Ok(())
}

#[test]
fn a_pair_is_explained_on_both_sides_and_cell_by_cell() -> Result<()> {
    for mut session in sessions() {
        let (a, b) = (add(&mut session, "photos/bird/owl.jpg"), add(&mut session, "photos/bird/scarlet_macaw.jpg"));
        let (f, g) = (block_on(session.embed(a))?.values, block_on(session.embed(b))?.values);
        let mean = session.model().manifest().mean_embedding.clone().expect("the shipped model has one");
        let euclidean: f64 = -f.iter().zip(g.iter()).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
        let plain = ExplainOptions::default();
        let pair = block_on(session.pair(a, b, &plain))?;
        assert!((pair.similarity() - cosine(&f, &g)).abs() < 1e-6);
        assert_eq!((pair.a.embedded, pair.b.embedded), (0, 0), "both were embedded before");
        assert_eq!(pair.a.contributions.len(), 1);
        for (x, y) in pair.a.contributions[0].iter().zip(&pair.b.contributions[0]) {
            assert!((x - y).abs() < 1e-5, "the faithful weights are the same on both sides");
        }
        for (options, expected) in [
            (plain.clone(), cosine(&f, &g)),
            (ExplainOptions { form: Form::Centred, ..plain.clone() }, centred_cosine(&f, &g, &mean)),
            (ExplainOptions { similarity: Similarity::Dot, ..plain.clone() }, famlens::fam::dot(&f, &g)),
            (ExplainOptions { similarity: Similarity::Euclidean, ..plain.clone() }, euclidean),
        ] {
            let found = block_on(session.where_to_where(a, b, &options))?;
            let sum: f64 = found.map.terms.iter().map(|&t| f64::from(t)).sum();
            let scale = expected.abs().max(1.0);
            assert!((sum + found.constant - expected).abs() < 1e-4 * scale, "{:?}: {sum}", options.similarity);
            assert!((found.similarity - expected).abs() < 1e-4 * scale, "{:?}", options.similarity);
        }
        // Whatever is chosen, what is split is what the explanation calls the similarity.
        let similarities = [Similarity::Cosine, Similarity::Dot, Similarity::CentredCosine, Similarity::Pearson];
        for similarity in similarities {
            for pooling in [PoolingChoice::Average, PoolingChoice::Max, PoolingChoice::GeM, PoolingChoice::Crow] {
                let options = ExplainOptions { similarity, pooling: Some(pooling), ..plain.clone() };
                // The shipped mean embedding is that of average pooling, and an explanation may refuse it for another.
                let Ok(pair) = block_on(session.pair(a, b, &options)) else {
                    assert!(similarity == Similarity::CentredCosine && pooling != PoolingChoice::Average);
                    continue;
                };
                let found = block_on(session.where_to_where(a, b, &options))?;
                let (sum, expected) = (found.map.sum, pair.similarity());
                assert!(
                    (sum - expected).abs() < 1e-4 * expected.abs().max(1.0),
                    "{similarity} {pooling}: {sum}, {expected}"
                );
            }
        }
        let refused = ExplainOptions { similarity: Similarity::Bilinear, ..plain };
        let message =
            block_on(session.where_to_where(a, b, &refused)).expect_err("it is no sum over pairs").to_string();
        assert!(message.contains("bilinear") && message.contains("choose another"), "{message}");
    }
    Ok(())
}

#[test]
fn a_gallery_is_searched_and_anothers_refused() -> Result<()> {
    for mut session in sessions() {
        let names = ["bird/owl.jpg", "bird/scarlet_macaw.jpg", "fish/fish1.jpg", "dog/dog.jpg"];
        let ids: Vec<_> = names.iter().map(|n| add(&mut session, &format!("photos/{n}"))).collect();
        let mut gallery = Gallery::new(session.origin(&ExplainOptions::default())?);
        for (name, &id) in names.iter().zip(&ids) {
            let embedding = block_on(session.gallery_embedding(id, gallery.origin()))?;
            assert_eq!(embedding, block_on(session.embed(id))?.values);
            gallery.push(session.gallery_item(id, name)?, &embedding)?;
        }
        let query = add(&mut session, "photos/bird/owl.jpg");
        let hits = block_on(session.search(&gallery, query, 3))?;
        assert_eq!((hits.len(), hits[0].index), (3, 0));
        assert!(hits[0].similarity > 0.9999 && hits[1].similarity < 0.9);
        let marks = gallery.marks(&session.gallery_item(query, "another file")?, &hits, &Default::default());
        assert_eq!(marks, [Some(Mark::Query), None, None]);

        let again = Gallery::from_files(&gallery.to_npy(), &gallery.to_csv()?)?;
        assert_eq!(again, gallery);

        // Another pooling is another gallery, made without a forward pass.
        let max = ExplainOptions { pooling: Some(PoolingChoice::Max), ..ExplainOptions::default() };
        let origin = session.origin(&max)?;
        assert_ne!(origin.key(), gallery.origin().key());
        let pooled = block_on(session.gallery_embedding(ids[0], &origin))?;
        assert_ne!(pooled, block_on(session.embed(ids[0]))?.values);
        let mut other = Gallery::new(origin);
        other.push(session.gallery_item(ids[0], "x")?, &pooled)?;
        assert!(block_on(session.search(&other, query, 1))?[0].similarity > 0.9999);

        let mut foreign = gallery.origin().clone();
        foreign.weights = "0".into();
        let refusal =
            block_on(session.search(&Gallery::new(foreign), query, 1)).expect_err("other weights").to_string();
        assert!(refusal.contains("weights 0 (now"), "{refusal}");
        let mut foreign = gallery.origin().clone();
        foreign.target = "nowhere".into();
        let refusal = block_on(session.search(&Gallery::new(foreign), query, 1)).expect_err("no layer").to_string();
        assert!(refusal.contains("nowhere"), "{refusal}");
    }
    Ok(())
}
