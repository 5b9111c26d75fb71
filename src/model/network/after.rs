//! What follows the target layer: pooling, head and normalisation, in words, and whether they are a transformation
//! module.

use serde::Serialize;

use super::layers::NetworkLayer;
use crate::error::Result;
use crate::fam::Pooling;
use crate::graph::{Graph, TargetLayout, passes};
use crate::model::head;

/// What follows the target layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AfterTarget {
    /// All of it in a few words: `"global average pooling, then Linear 1280 -> 1000"`.
    pub says: String,
    /// One after the other; layers far from the pooling are counted and not listed.
    pub steps: Vec<AfterStep>,
    /// The same as pooling and transformation module, where it is nothing else: what `pooling: "model"` and `head:
    /// "model"` take.
    pub module: Option<TransformationModule>,
    /// Why it is no pooling with a transformation module.
    pub why_not: Option<String>,
}

/// A step after the target layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AfterStep {
    /// Place of the layer; null for several.
    pub layer: Option<usize>,
    /// What it is.
    pub says: String,
    /// `"pooling"`, `"linear"`, `"normalisation"`, `"activation"` or `"layers"`.
    pub kind: &'static str,
}

/// Pooling and transformation module, as [`crate::model::EmbeddingHead`] recognises them.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransformationModule {
    /// `"global average pooling"` or `"global max pooling"`.
    pub pooling: String,
    /// `"Linear 1280 -> 1000"`; `"none"` if nothing follows.
    pub head: String,
    /// Whether it is affine: contributions are then carried back exactly.
    pub affine: bool,
    /// Name and kind of the operation that was not recognised any more, where it does not lead to an output.
    pub stopped_at: Option<String>,
}

/// The transformation module after a target layer, or why there is none.
pub(super) fn module(
    mut graph: Graph,
    target: &str,
    layout: TargetLayout,
) -> std::result::Result<TransformationModule, String> {
    if matches!(layout, TargetLayout::Tokens { prefix, suffix, .. } if prefix + suffix > 0) {
        return Err(
            "its cells are tokens beside others, of which the network makes its embedding in another way".into()
        );
    }
    let mut recognise = || -> Result<TransformationModule> {
        let id = graph.maps(target)?;
        let optimised = passes::optimize(std::mem::take(&mut graph), &[id])?;
        let found = head::recognise(&optimised, id, None)?;
        let pooling = match found.pooling {
            Pooling::Max => "global max pooling",
            _ => "global average pooling",
        };
        Ok(TransformationModule {
            pooling: pooling.into(),
            head: found.head.describe(),
            affine: found.head.is_affine(),
            stopped_at: found.stopped_at,
        })
    };
    recognise().map_err(|e| match e {
        crate::Error::Argument { reason, .. } => reason,
        other => other.to_string(),
    })
}

/// More layers than this before the pooling are counted and not listed.
const LISTED: usize = 2;
/// No more steps behind the pooling are listed.
const MOST: usize = 6;

pub(super) fn after(
    layers: &[NetworkLayer],
    target: usize,
    module: std::result::Result<TransformationModule, String>,
) -> AfterTarget {
    let mut follows = vec![false; layers.len()];
    follows[target] = true;
    for at in target + 1..layers.len() {
        follows[at] = layers[at].inputs.iter().any(|&i| follows[i]);
    }
    let rest: Vec<usize> = (target + 1..layers.len()).filter(|&at| follows[at]).collect();
    let pool = rest.iter().position(|&at| pooling(layers, at).is_some());
    let (before, behind) = rest.split_at(pool.unwrap_or(rest.len()));
    let mut steps: Vec<AfterStep> = match before.len() {
        0..=LISTED => before.iter().map(|&at| step(layers, at)).collect(),
        many => {
            let weighted = before.iter().filter(|&&at| layers[at].multiply_adds > 0).count();
            let says = format!("{many} more layers, {weighted} of them with weights");
            vec![AfterStep { layer: None, says, kind: "layers" }]
        }
    };
    for (i, &at) in behind.iter().enumerate() {
        match (i, pooling(layers, at)) {
            (0, Some(says)) => {
                steps.push(AfterStep { layer: Some(at), says, kind: "pooling" });
                steps.extend(flattened(layers, at));
            }
            (MOST, _) => {
                let says = format!("{} more layers", behind.len() - MOST);
                steps.push(AfterStep { layer: None, says, kind: "layers" });
                break;
            }
            _ => steps.push(step(layers, at)),
        }
    }
    let says: Vec<&str> = steps.iter().map(|s| s.says.as_str()).collect();
    let says = if says.is_empty() { "nothing: it is the output".into() } else { says.join(", then ") };
    let (module, why_not) = match module {
        Ok(module) => (Some(module), None),
        Err(reason) => (None, Some(reason)),
    };
    AfterTarget { says, steps, module, why_not }
}

/// In words, if a layer takes one value a channel from maps or tokens.
fn pooling(layers: &[NetworkLayer], at: usize) -> Option<String> {
    let layer = &layers[at];
    let [c, h, w] = layer.inputs.iter().find_map(|&i| layers[i].maps)?;
    let before = layer.inputs.iter().map(|&i| &layers[i]).find(|l| l.maps.is_some())?;
    let cells = h * w;
    let size: usize = layer.shape.iter().product();
    match (layer.op, before.layout) {
        ("GlobalAveragePool", _) => Some("global average pooling".into()),
        ("GlobalMaxPool", _) => Some("global max pooling".into()),
        ("ReduceMean", _) if size == c => Some(match before.layout {
            Some("tokens") if before.tokens == [0, 0] => "the mean over all tokens".into(),
            Some("tokens") => "the mean over all tokens, class token included".into(),
            _ => "global average pooling".into(),
        }),
        ("ReduceMax", _) if size == c => Some("global max pooling".into()),
        ("AveragePool", _) if size == c && cells > 1 => Some("global average pooling".into()),
        ("MaxPool", _) if size == c && cells > 1 => Some("global max pooling".into()),
        ("Slice" | "Gather", Some("tokens")) if size == c => Some(match layer.detail.split(' ').nth(1) {
            Some("0") if before.tokens[0] > 0 => "the class token".into(),
            _ => format!("one token ({})", layer.detail),
        }),
        ("Gemm", _) if layer.shape.len() <= 2 && cells > 1 => Some(format!("flattening of all {h} x {w} cells")),
        _ => None,
    }
}

/// A linear layer of flattened maps is a step of its own behind the flattening.
fn flattened(layers: &[NetworkLayer], at: usize) -> Option<AfterStep> {
    (layers[at].op == "Gemm").then(|| step(layers, at))
}

fn step(layers: &[NetworkLayer], at: usize) -> AfterStep {
    let layer = &layers[at];
    let is = |ops: &[&str]| ops.contains(&layer.op);
    let kind = match layer.op {
        "Gemm" | "MatMul" => "linear",
        op if op.ends_with("Normalization") => "normalisation",
        "Conv" if matches!(layer.shape[..], [_, _, 1, 1]) => "linear",
        _ if is(&[
            "Relu",
            "Clip",
            "HardSwish",
            "Swish",
            "LeakyRelu",
            "Gelu",
            "Elu",
            "Sigmoid",
            "Tanh",
            "Mish",
            "Softmax",
        ]) =>
        {
            "activation"
        }
        _ => "layers",
    };
    let says = match layer.op {
        "Gemm" => format!("Linear {}", layer.detail),
        op if layer.detail.is_empty() => op.to_owned(),
        op => format!("{op} {}", layer.detail),
    };
    AfterStep { layer: Some(at), says, kind }
}
