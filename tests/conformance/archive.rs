//! The cases of an archive: ONNX's own source package, or the compact one beside this file. Both are `.tar.gz` with the
//! same paths below `node/` and `light/`.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The files of one case.
#[derive(Default)]
pub struct Files {
    pub model: Vec<u8>,
    pub inputs: BTreeMap<usize, Vec<u8>>,
    pub outputs: BTreeMap<usize, Vec<u8>>,
}

/// All cases by name, and the licence that they come with.
pub fn read(path: &Path) -> io::Result<(BTreeMap<String, Files>, Vec<u8>)> {
    let mut cases: BTreeMap<String, Files> = BTreeMap::new();
    let mut licence = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(std::fs::File::open(path)?)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let mut content = || {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map(|_| bytes)
        };
        match *parts.as_slice() {
            ["LICENSE"] | [_, "LICENSE"] => licence = content()?,
            [.., "node", case, "model.onnx"] => cases.entry(case.into()).or_default().model = content()?,
            [.., "node", case, "test_data_set_0", file] => {
                let case = cases.entry(case.into()).or_default();
                match (numbered(file, "input_"), numbered(file, "output_")) {
                    (Some(i), _) => _ = case.inputs.insert(i, content()?),
                    (_, Some(i)) => _ = case.outputs.insert(i, content()?),
                    _ => {}
                }
            }
            [.., "light", file] => {
                let (case, output) = match file.strip_suffix(".onnx") {
                    Some(case) => (case, false),
                    None => (file.strip_suffix("_output_0.pb").unwrap_or_default(), true),
                };
                if !case.is_empty() {
                    let files = cases.entry(case.into()).or_default();
                    match output {
                        true => _ = files.outputs.insert(0, content()?),
                        false => files.model = content()?,
                    }
                }
            }
            _ => {}
        }
    }
    Ok((cases, licence))
}

fn numbered(file: &str, prefix: &str) -> Option<usize> {
    file.strip_prefix(prefix)?.strip_suffix(".pb")?.parse().ok()
}

impl Files {
    /// The bytes of all its files.
    pub fn size(&self) -> usize {
        self.model.len() + self.inputs.values().chain(self.outputs.values()).map(Vec::len).sum::<usize>()
    }
}

/// Writes a compact archive; the same cases give the same bytes.
pub fn write<'a>(path: &Path, licence: &[u8], cases: impl Iterator<Item = (&'a str, &'a Files)>) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut add = |name: String, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes)
    };
    add("LICENSE".into(), licence)?;
    for (name, files) in cases {
        if name.starts_with("light_") {
            add(format!("light/{name}.onnx"), &files.model)?;
            files.outputs.iter().try_for_each(|(i, bytes)| add(format!("light/{name}_output_{i}.pb"), bytes))?;
            continue;
        }
        add(format!("node/{name}/model.onnx"), &files.model)?;
        for (kind, tensors) in [("input", &files.inputs), ("output", &files.outputs)] {
            for (i, bytes) in tensors {
                add(format!("node/{name}/test_data_set_0/{kind}_{i}.pb"), bytes)?;
            }
        }
    }
    let bytes = archive.into_inner()?.finish()?;
    std::fs::File::create(path)?.write_all(&bytes)
}
