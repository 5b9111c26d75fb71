//! The shipped models: each folder is whole, and each embeds a photo as ONNX Runtime does, on both engines.

mod common;

use std::path::PathBuf;

use common::{bytes, cosine, golden, npy, relative_error, root};
use famlens::Error;
use famlens::image::{Limits, decode};
use famlens::session::{EngineChoice, Model, Session};
use pollster::block_on;

fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir(root("models")).expect("models/ is there");
    let mut found: Vec<_> =
        all.map(|e| e.expect("readable").path()).filter(|p| p.join("model.json").is_file()).collect();
    found.sort();
    assert!(found.len() >= 2, "only {found:?}");
    found
}

fn load(folder: &std::path::Path) -> Model {
    let json = String::from_utf8(bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    Model::new(&json, &bytes(folder.join("model.onnx"))).expect("a shipped model loads")
}

#[test]
fn each_folder_is_whole() {
    for folder in folders() {
        assert!(folder.join("LICENSE").is_file(), "{} has no licence", folder.display());
        let size = std::fs::metadata(folder.join("model.onnx")).expect("model.onnx").len();
        let model = load(&folder);
        assert_eq!(model.manifest().bytes, Some(size), "{}", folder.display());
        assert!(model.manifest().mean_embedding.is_some(), "{}", folder.display());
    }
}

#[test]
fn each_embeds_as_onnx_runtime_does() {
    let photo = decode("kingfisher", &bytes(golden("engine/kingfisher.png")), &Limits::default()).expect("decodes");
    for folder in folders() {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = npy(&format!("models/{name}.npy"));
        for choice in [EngineChoice::Cpu, EngineChoice::Gpu] {
            let mut session = match block_on(Session::new(load(&folder), choice)) {
                Ok(session) => session,
                Err(Error::NoGpu { reason }) => {
                    assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
                    eprintln!("SKIPPED: no GPU here: {reason}");
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            let id = session.add_image("kingfisher", &photo).expect("fits");
            let found = block_on(session.embed(id)).expect("embeds").values;
            let (error, alike) = (relative_error(&found, expected.data()), cosine(&found, expected.data()));
            println!("{name} {choice:?}: relative error {error:.1e}, cosine {alike:.6}");
            // The CPU engine rounds activations to 16 bits a row, the GPU engine rounds nothing. A photo that has to be
            // resized differs from Pillow's by one level in one value of 25 (tests/image.rs), and the embedding by
            // 8e-3.
            let resized = photo.size() != session.model().manifest().input.size.across();
            let most = if choice == EngineChoice::Cpu || resized { 1e-2 } else { 1e-3 };
            assert!(error < most && alike > 0.9999, "{name} on {choice:?}: {error} {alike}");
        }
    }
}
