//! A parsed ONNX file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::branches::{Branch, branches};
use super::budget::{Budget, MAX_NODES};
use super::control::{Choices, Taken, choices};
use super::data::{self, Data, Int8Weight};
use super::functions::inlined;
use super::lower::{Lowering, is_supported};
use super::order::{refuse_not_numbers, sort, weight_axes};
use super::proto::{ModelProto, NodeProto, ValueInfo, data_type};
use super::single::single;
use crate::error::{Error, Result, UnsupportedNode};
use crate::graph::Graph;
use crate::tensor::{Int8Tensor, Tensor};

/// Oldest version of the standard operator set whose meaning the lowering knows.
const OLDEST_OPSET: i64 = 7;

/// A parsed ONNX model, to be lowered for as many image sizes as wanted.
///
/// ```no_run
/// # fn main() -> famlens::Result<()> {
/// let bytes = std::fs::read("model.onnx").unwrap();
/// let model = famlens::onnx::Model::parse(&bytes)?;
/// let graph = model.to_graph(224, 224)?;
/// println!("{} nodes", graph.nodes.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    opset: i64,
    /// The inputs that are not initializers.
    inputs: Vec<InputInfo>,
    outputs: Vec<String>,
    /// The nodes that depend on the image, each after those it reads.
    nodes: Vec<NodeProto>,
    /// What is known before the image is: initializers, and nodes that only read such.
    known: HashMap<String, Data>,
    /// The element types of the constants that the file holds.
    kinds: HashMap<String, i32>,
    /// The branches of `If` nodes and the bodies of `Loop` nodes.
    choices: Choices,
    /// Of a file with several inputs the branches of its images: the chosen one first.
    branches: Vec<Branch>,
    /// What may still be computed beforehand.
    budget: Budget,
}

/// An input of the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputInfo {
    /// Its name.
    pub name: String,
    /// Its dimensions; `None` where the file leaves one free. The batch of an image is 1 here whatever the file says.
    pub dims: Vec<Option<usize>>,
    /// Whether the file says how many dimensions there are.
    pub ranked: bool,
    /// How many images the file takes at once, where that is a fixed number of several.
    pub batch: Option<usize>,
    /// The ONNX name of its element type.
    pub element: &'static str,
}

impl InputInfo {
    fn new(info: &ValueInfo) -> Self {
        let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let shape = tensor.and_then(|t| t.shape.as_ref());
        let dims = shape.map_or(&[][..], |s| &s.dim);
        // Some exporters write 0 or -1 for a free dimension.
        let dim = |d: &super::proto::Dimension| d.dim_value.and_then(|v| usize::try_from(v).ok()).filter(|&v| v > 0);
        let mut dims: Vec<Option<usize>> = dims.iter().map(dim).collect();
        let batch = match dims.as_mut_slice() {
            [Some(batch), _, _, _] if *batch > 1 => Some(std::mem::replace(batch, 1)),
            _ => None,
        };
        Self {
            name: info.name().into(),
            dims,
            ranked: shape.is_some(),
            batch,
            element: data_type::name(tensor.map_or(0, |t| t.elem_type())),
        }
    }
}

/// How an image is laid out in the model's input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// `[1, C, H, W]`, as PyTorch exports.
    ChannelsFirst,
    /// `[1, H, W, C]`, as TensorFlow exports.
    ChannelsLast,
}

/// The one image input of a model.
#[derive(Clone, Debug)]
pub(super) struct ImageInput<'a> {
    pub name: &'a str,
    pub layout: Layout,
    /// Whether there is a dimension for a number of images.
    pub batched: bool,
    pub channels: usize,
    pub height: Option<usize>,
    pub width: Option<usize>,
}

impl Model {
    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Onnx`] if it is cut off, contradicts itself (values computed twice, in a circle or nowhere, weights that
    /// do not fit their dimensions), keeps its weights in another file, or is older than operator set 7.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let proto = ModelProto::read(bytes)?;
        let opset = proto.opset().ok_or_else(|| Error::onnx("it does not say which operator set it uses"))?;
        if opset < OLDEST_OPSET {
            return Err(Error::onnx(format!(
                "it uses operator set {opset}, and famlens reads {OLDEST_OPSET} and newer; export it again with a newer one"
            )));
        }
        let mut graph = proto.graph.unwrap_or_default();
        if !graph.sparse_initializer.is_empty() {
            return Err(Error::onnx("it holds sparse weights, which are not supported; save them as dense ones"));
        }
        if graph.node.len() > MAX_NODES {
            let count = graph.node.len();
            return Err(Error::onnx(format!(
                "it has {count} nodes, and the limit is {MAX_NODES}; simplify it (onnxsim)"
            )));
        }
        let mut known = HashMap::with_capacity(graph.initializer.len());
        for tensor in &graph.initializer {
            if known.insert(tensor.name().to_string(), data::read(tensor)?).is_some() {
                return Err(Error::onnx(format!("two initializers are named {:?}", tensor.name())));
            }
        }
        let kinds = graph.initializer.iter().map(|t| (t.name().to_string(), t.data_type())).collect();
        drop(graph.initializer);
        let mut nodes = inlined(std::mem::take(&mut graph.node), &proto.functions)?;
        let choices = choices(&mut nodes, &proto.functions, &mut known)?;
        refuse_not_numbers(&known, &nodes)?;
        let inputs = graph.input.iter().filter(|i| !known.contains_key(i.name())).map(InputInfo::new).collect();
        let nodes = sort(nodes, &known, &graph.input)?;
        let outputs = graph.output.iter().map(|o| o.name().to_string()).collect();
        let budget = Budget::new(bytes.len());
        let (nodes_left, no_branches) = (Vec::new(), Vec::new());
        let mut model =
            Self { opset, inputs, outputs, nodes: nodes_left, known, kinds, choices, branches: no_branches, budget };
        model.fold(nodes)?;
        if let Some(batch) = model.inputs.iter().find_map(|input| input.batch) {
            single(&mut model.nodes, &mut model.known, batch);
        }
        if model.inputs.len() > 1 {
            model.branches = branches(&model.inputs, &model.nodes, &model.outputs, &model.known);
            // The image with the most layers; of equals the first.
            let most = model.branches.iter().enumerate().max_by_key(|(i, b)| (b.nodes.len(), std::cmp::Reverse(*i)));
            if let Some(chosen) = most.map(|(i, _)| i) {
                model.take_branch(chosen);
            }
        }
        Ok(model)
    }

    /// Takes one branch for the whole model.
    fn take_branch(&mut self, chosen: usize) {
        let branch = self.branches.remove(chosen);
        self.inputs = vec![branch.input.clone()];
        self.outputs.clone_from(&branch.ends);
        self.nodes.clone_from(&branch.nodes);
        self.branches.insert(0, branch);
    }

    /// Of a file with several inputs, the images that have layers of their own, each with those that go through the same layers
    /// with the same weights (the two photos of a siamese network); the first is the one whose layers are the model. Empty for
    /// a file with one input.
    pub fn images(&self) -> Vec<(&str, &[String])> {
        self.branches.iter().map(|b| (b.input.name.as_str(), b.twins.as_slice())).collect()
    }

    /// Takes the layers of another image for the model: see [`Model::images`].
    ///
    /// # Errors
    /// [`Error::Argument`] if the file has no such image.
    pub fn with_image(mut self, name: &str) -> Result<Self> {
        let is = |b: &Branch| b.input.name == name || b.twins.iter().any(|t| t == name);
        let Some(place) = self.branches.iter().position(is) else {
            let there: Vec<&str> = self.branches.iter().map(|b| b.input.name.as_str()).collect();
            return Err(Error::argument("image", format!("there is no {name:?}; the file has {}", there.join(", "))));
        };
        self.take_branch(place);
        Ok(self)
    }

    /// Whether the image is given as bytes, 0 to 255: the network prepares its pixels itself.
    pub fn takes_bytes(&self) -> bool {
        self.inputs.first().is_some_and(|input| input.element == "uint8")
    }

    /// Computes every node that reads only what is known, and keeps the others. What only such nodes read goes again.
    fn fold(&mut self, nodes: Vec<NodeProto>) -> Result<()> {
        let mut readers: HashMap<String, usize> = HashMap::new();
        for name in nodes.iter().flat_map(|n| &n.input).chain(&self.outputs) {
            *readers.entry(name.clone()).or_default() += 1;
        }
        let mut budget = self.budget.clone();
        let mut computed: HashSet<String> = HashSet::new();
        for node in nodes {
            let is_known = |name: &String| name.is_empty() || self.known.contains_key(name);
            let folded = match node.input.iter().all(is_known) {
                true => Lowering::new(self, &mut budget).fold(&node)?,
                false => None,
            };
            let Some(outputs) = folded else {
                // Not foldable, or wrong: lowering it says why.
                self.nodes.push(node);
                continue;
            };
            computed.extend(outputs.iter().map(|(name, _)| name.clone()));
            self.known.extend(outputs);
            for name in &node.input {
                let Some(left) = readers.get_mut(name) else { continue };
                *left = left.saturating_sub(1);
                if *left > 0 {
                    continue;
                }
                if let Some(data) = self.known.remove(name)
                    && computed.contains(name)
                    && data.is_alone()
                {
                    budget.give_back(data.bytes());
                }
            }
        }
        self.budget = budget.renewed();
        Ok(())
    }

    /// Version of the standard operator set that the file was written for.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The inputs that the file asks for, weights excluded.
    pub fn inputs(&self) -> &[InputInfo] {
        &self.inputs
    }

    pub(super) fn nodes(&self) -> &[NodeProto] {
        &self.nodes
    }

    /// The names of its outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The image size `(height, width)` that the file prescribes; `None` for a side that is free.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the model has no image input.
    pub fn input_size(&self) -> Result<(Option<usize>, Option<usize>)> {
        self.image_input().map(|i| (i.height, i.width))
    }

    /// Number of channels of the image input; 3 where the file leaves it free.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the model has no image input.
    pub fn input_channels(&self) -> Result<usize> {
        self.image_input().map(|i| i.channels)
    }

    /// Lowers the model for images of one size, up to the outputs of the file. The image is `[1, C, height, width]`
    /// even where the file takes `[1, height, width, C]`. Activations keep their ONNX names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] listing every node that famlens cannot run; [`Error::Node`] for a node whose inputs do not
    /// fit; [`Error::Argument`] if the file prescribes another size; [`Error::Onnx`] if it has no single image input.
    pub fn to_graph(&self, height: usize, width: usize) -> Result<Graph> {
        all_supported(self.lower(height, width, &self.outputs)?)
    }

    /// Lowers as much as famlens can run. Nodes that it cannot run, and all that they lead to, are left out, and listed: what
    /// comes after the layers that are explained need not be run. The graph's outputs are those of the file that are left
    /// or, where none is, the values that the nodes left out read.
    ///
    /// # Errors
    /// As [`Model::to_graph`], but [`Error::Unsupported`] only where nothing is left.
    pub fn to_graph_as_far(&self, height: usize, width: usize) -> Result<(Graph, Vec<UnsupportedNode>)> {
        self.lower(height, width, &self.outputs)
    }

    /// Lowers only what one activation needs, so that what comes after it need not be supported.
    ///
    /// # Errors
    /// As [`Model::to_graph`], and [`Error::Target`] if there is no such activation.
    pub fn to_graph_for(&self, height: usize, width: usize, target: &str) -> Result<Graph> {
        self.to_graph_for_all(height, width, &[target])
    }

    /// The same for several activations, which are the outputs of the graph.
    ///
    /// # Errors
    /// As [`Model::to_graph_for`].
    pub fn to_graph_for_all(&self, height: usize, width: usize, targets: &[&str]) -> Result<Graph> {
        let outputs = || self.nodes.iter().flat_map(|n| &n.output);
        match targets.iter().find(|&&target| !outputs().any(|o| o == target)) {
            None => {
                let targets: Vec<String> = targets.iter().map(|t| t.to_string()).collect();
                all_supported(self.lower(height, width, &targets)?)
            }
            Some(&missing) => {
                Err(Error::Target { name: missing.into(), available: outputs().rev().take(12).cloned().collect() })
            }
        }
    }

    fn lower(&self, height: usize, width: usize, outputs: &[String]) -> Result<(Graph, Vec<UnsupportedNode>)> {
        let nodes = self.needed(outputs);
        let unsupported: Vec<UnsupportedNode> = nodes.iter().filter_map(|n| is_supported(n).err()).collect();
        let image = match (self.image_input(), unsupported.is_empty()) {
            (Ok(image), _) => image,
            (Err(error), true) => return Err(error),
            (Err(_), false) => return Err(Error::Unsupported { nodes: unsupported }),
        };
        let mut budget = self.budget.clone();
        let mut lowering = Lowering::new(self, &mut budget);
        lowering.image(&image, height, width)?;
        lowering.nodes(&nodes, unsupported, outputs)
    }

    /// The nodes that these values need, in order.
    fn needed(&self, outputs: &[String]) -> Vec<&NodeProto> {
        let mut wanted: HashSet<&str> = outputs.iter().map(String::as_str).collect();
        let mut nodes = Vec::new();
        for node in self.nodes.iter().rev() {
            if node.output.iter().any(|o| wanted.contains(o.as_str())) {
                wanted.extend(node.input.iter().map(String::as_str));
                nodes.push(node);
            }
        }
        nodes.reverse();
        nodes
    }

    /// Whether a node or the outside reads a value.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.outputs.iter().chain(self.nodes.iter().flat_map(|n| &n.input)).any(|n| n == name)
    }

    /// The branches of the `If`, or the body of the `Loop`, whose first output has that name.
    pub(super) fn choice(&self, output: &str) -> Option<&[Taken]> {
        self.choices.get(output).map(Vec::as_slice)
    }

    /// The element type of a constant that the file holds.
    pub(super) fn kind(&self, name: &str) -> Option<i32> {
        self.kinds.get(name).copied()
    }

    pub(super) fn known(&self, name: &str) -> Option<&Data> {
        self.known.get(name)
    }

    pub(super) fn known_values(&self) -> impl Iterator<Item = (&String, &Data)> {
        self.known.iter()
    }

    /// Puts int8 weights in the place of the float ones of Conv, Gemm and MatMul: `quantize` gives, of a weight's name and
    /// its values with the output channels first, their int8 form.
    ///
    /// # Errors
    /// Those of `quantize`.
    pub(crate) fn replace_weights(
        &mut self,
        mut quantize: impl FnMut(&str, &Tensor) -> Result<Int8Tensor>,
    ) -> Result<()> {
        let float = |name: &str| match self.known.get(name) {
            Some(Data::Float(t)) if !t.shape().is_empty() => Some(t.shape().rank()),
            _ => None,
        };
        let mut axes: Vec<_> = weight_axes(&self.nodes, float).into_iter().collect();
        axes.retain(|(name, _)| !self.outputs.contains(name));
        // The file's order is lost in the map; any order that is always the same will do.
        axes.sort();
        for (name, axis) in axes {
            let Some(Data::Float(float)) = self.known.get(&name) else { continue };
            let transposed = axis == 1;
            let tensor = if transposed { quantize(&name, &data::transpose(float))? } else { quantize(&name, float)? };
            let weight = Int8Weight { tensor: Arc::new(tensor), transposed };
            self.known.insert(name, Data::Int8(Arc::new(weight)));
        }
        Ok(())
    }

    fn image_input(&self) -> Result<ImageInput<'_>> {
        let [input] = self.inputs.as_slice() else {
            let names: Vec<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
            let found = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(Error::onnx(format!(
                "it must have one input, the image, and it has {}: {found}; of a model of images and text export the \
                 image tower alone",
                names.len()
            )));
        };
        if !matches!(input.element, "float" | "float16" | "bfloat16" | "double" | "uint8") {
            let text = matches!(input.element, "int64" | "int32");
            let advice = match text {
                true => "as text models do; famlens explains image models",
                false => "and famlens feeds floats, or bytes (uint8); export the model with one of these",
            };
            let reason = format!("its input {:?} takes {} values, {advice}", input.name, input.element);
            return Err(Error::onnx(reason));
        }
        let turned = self.first_nodes().iter().any(|node| {
            let perm = node.attribute("perm").filter(|_| node.op_type() == "Transpose");
            perm.is_some_and(|perm| perm.ints == [0, 3, 1, 2])
        });
        let usual = if turned { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        let colors = |dim: Option<usize>| matches!(dim, Some(3 | 4));
        let (layout, batched, channels, height, width) = match *input.dims.as_slice() {
            _ if !input.ranked => (usual, true, None, None, None),
            [_, h, w, c] if turned => (Layout::ChannelsLast, true, c, h, w),
            [_, c, h, w] if is_channels(c) || !is_channels(w) => (Layout::ChannelsFirst, true, c, h, w),
            [_, h, w, c] => (Layout::ChannelsLast, true, c, h, w),
            [c, h, w] if colors(c) => (Layout::ChannelsFirst, false, c, h, w),
            [h, w, c] if colors(c) => (Layout::ChannelsLast, false, c, h, w),
            _ => {
                let dims: Vec<String> =
                    input.dims.iter().map(|d| d.map_or("?".into(), |d: usize| d.to_string())).collect();
                let found = format!("[{}]", dims.join(", "));
                return Err(Error::onnx(format!(
                    "its input {:?} is {found}, not an image [1, C, H, W]; models of sound, text or vectors have no image \
                     to explain",
                    input.name
                )));
            }
        };
        let channels = channels.or_else(|| self.channels_of_first_layer()).unwrap_or(3);
        Ok(ImageInput { name: &input.name, layout, batched, channels, height, width })
    }
}

fn all_supported((graph, left_out): (Graph, Vec<UnsupportedNode>)) -> Result<Graph> {
    match left_out.is_empty() {
        true => Ok(graph),
        false => Err(Error::Unsupported { nodes: left_out }),
    }
}

/// Whether a dimension is likely to be the channels of an image (grey, RGB, RGBA).
fn is_channels(dim: Option<usize>) -> bool {
    matches!(dim, Some(1 | 3 | 4))
}
