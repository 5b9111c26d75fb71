//! ONNX's wire format as a hostile file needs it: written by hand, so that anything can be written.

/// A length-delimited field, a message or a string.
pub fn part(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    varint(out, tag << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A whole number.
pub fn number(out: &mut Vec<u8>, tag: u64, value: i64) {
    varint(out, tag << 3);
    varint(out, value as u64);
}

fn float(out: &mut Vec<u8>, tag: u64, value: f32) {
    varint(out, tag << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A node in the making.
#[derive(Clone, Default)]
pub struct Node {
    head: Vec<u8>,
    attributes: Vec<u8>,
}

/// A node of the standard operator set, named after its output.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let mut head = Vec::new();
    inputs.iter().for_each(|name| part(&mut head, 1, name.as_bytes()));
    outputs.iter().for_each(|name| part(&mut head, 2, name.as_bytes()));
    part(&mut head, 3, outputs.first().map_or("nameless", |o| o).as_bytes());
    part(&mut head, 4, op.as_bytes());
    Node { head, attributes: Vec::new() }
}

impl Node {
    fn with(mut self, name: &str, kind: i64, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut attribute = Vec::new();
        part(&mut attribute, 1, name.as_bytes());
        fill(&mut attribute);
        number(&mut attribute, 20, kind);
        part(&mut self.attributes, 5, &attribute);
        self
    }

    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.with(name, 7, |out| values.iter().for_each(|&v| number(out, 8, v)))
    }

    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(name, 2, |out| number(out, 3, value))
    }

    pub fn float(self, name: &str, value: f32) -> Self {
        self.with(name, 1, |out| float(out, 2, value))
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, 3, |out| part(out, 4, value.as_bytes()))
    }

    pub fn tensor(self, name: &str, tensor: &[u8]) -> Self {
        self.with(name, 4, |out| part(out, 5, tensor))
    }

    /// A graph as an attribute, whatever the bytes are.
    pub fn graph(self, name: &str, graph: &[u8]) -> Self {
        self.with(name, 5, |out| part(out, 6, graph))
    }
}

/// A tensor of any type, dimensions and bytes.
pub fn tensor(name: &str, kind: i64, dims: &[i64], raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    dims.iter().for_each(|&d| number(&mut out, 1, d));
    number(&mut out, 2, kind);
    part(&mut out, 8, name.as_bytes());
    part(&mut out, 9, raw);
    out
}

/// A tensor of floats that are all alike.
pub fn floats(name: &str, dims: &[i64]) -> Vec<u8> {
    let len = dims.iter().product::<i64>() as usize;
    tensor(name, 1, dims, &0.125f32.to_le_bytes().repeat(len))
}

/// A list of whole numbers.
pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, 7, &[values.len() as i64], &raw)
}

/// Name, type and dimensions of an input.
pub fn value(name: &str, kind: i64, dims: &[i64]) -> Vec<u8> {
    let (mut shape, mut tensor, mut of, mut out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &dim in dims {
        let mut field = Vec::new();
        number(&mut field, 1, dim);
        part(&mut shape, 1, &field);
    }
    number(&mut tensor, 1, kind);
    part(&mut tensor, 2, &shape);
    part(&mut of, 1, &tensor);
    part(&mut out, 1, name.as_bytes());
    part(&mut out, 2, &of);
    out
}

/// The bytes of a graph.
pub fn graph(nodes: &[Node], initializers: &[Vec<u8>], inputs: &[Vec<u8>], outputs: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for Node { head, attributes } in nodes {
        part(&mut out, 1, &[head.as_slice(), attributes].concat());
    }
    part(&mut out, 2, b"hostile");
    initializers.iter().for_each(|t| part(&mut out, 5, t));
    inputs.iter().for_each(|i| part(&mut out, 11, i));
    outputs.iter().for_each(|o| part(&mut out, 12, &value(o, 1, &[])));
    out
}

/// The bytes of a file.
pub fn file(opset: i64, graph: &[u8]) -> Vec<u8> {
    let (mut out, mut version) = (Vec::new(), Vec::new());
    number(&mut out, 1, 8);
    part(&mut out, 7, graph);
    number(&mut version, 2, opset);
    part(&mut out, 8, &version);
    out
}
