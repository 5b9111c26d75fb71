//! A graph being rewritten: who computes and who reads each value is kept up to date.

use crate::graph::{Constant, Graph, Node, ValueId};
use crate::tensor::{Shape, Tensor};

/// See the module.
pub(super) struct Edit {
    graph: Graph,
    /// The nodes in order; `None` where one was removed.
    nodes: Vec<Option<Node>>,
    /// Values that somebody asks for by name.
    kept: Vec<bool>,
    /// How often each value is read.
    uses: Vec<usize>,
    producer: Vec<Option<usize>>,
}

impl Edit {
    pub fn new(mut graph: Graph, keep: &[ValueId]) -> Self {
        let mut kept = vec![false; graph.values.len()];
        for id in keep.iter().chain(&graph.outputs) {
            if let Some(k) = kept.get_mut(id.0) {
                *k = true;
            }
        }
        // A graph of which nothing is asked is kept up to what nothing reads.
        if !kept.contains(&true) {
            for node in &graph.nodes {
                kept[node.output.0] = true;
            }
            for input in graph.nodes.iter().flat_map(|n| &n.inputs) {
                kept[input.0] = false;
            }
        }
        let nodes = std::mem::take(&mut graph.nodes);
        let (uses, producer) = (vec![0; kept.len()], vec![None; kept.len()]);
        let mut edit = Self { graph, nodes: vec![None; nodes.len()], kept, uses, producer };
        for (i, node) in nodes.into_iter().enumerate() {
            edit.put(i, node);
        }
        edit
    }

    /// The positions of nodes; some may be empty.
    pub fn positions(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub fn node(&self, position: usize) -> Option<&Node> {
        self.nodes[position].as_ref()
    }

    /// Where the node is that computes a value, and the node.
    pub fn producer(&self, value: ValueId) -> Option<(usize, &Node)> {
        let position = self.producer[value.0]?;
        self.nodes[position].as_ref().map(|n| (position, n))
    }

    /// The node that computes a value which only one node reads, once, and nobody asks for.
    pub fn private_producer(&self, value: ValueId) -> Option<(usize, &Node)> {
        self.producer(value).filter(|_| self.uses[value.0] == 1 && !self.kept[value.0])
    }

    pub fn is_kept(&self, value: ValueId) -> bool {
        self.kept[value.0]
    }

    pub fn dims(&self, value: ValueId) -> &[usize] {
        self.graph.value(value).shape.dims()
    }

    pub fn constant(&self, value: ValueId) -> Option<&Constant> {
        self.graph.value(value).constant.as_ref()
    }

    /// The values of a float constant.
    pub fn float(&self, value: ValueId) -> Option<&Tensor> {
        match self.constant(value) {
            Some(Constant::Float(t)) => Some(t),
            _ => None,
        }
    }

    /// The value of a float constant that is one number.
    pub fn number(&self, value: ValueId) -> Option<f32> {
        self.float(value).filter(|t| t.data().len() == 1).map(|t| t.data()[0])
    }

    /// Adds a constant made from another, under that one's name.
    pub fn derive(&mut self, from: ValueId, constant: Constant) -> ValueId {
        let name = self.graph.value(from).name.clone();
        self.grow();
        self.graph.add_value(name, constant.shape().clone(), Some(constant))
    }

    /// Adds a float constant.
    pub fn add_constant(&mut self, name: String, tensor: Tensor) -> ValueId {
        self.grow();
        self.graph.add_constant(name, tensor)
    }

    /// Adds a value for a node to compute.
    pub fn add_value(&mut self, name: String, shape: Shape) -> ValueId {
        self.grow();
        self.graph.add_value(name, shape, None)
    }

    fn grow(&mut self) {
        self.kept.push(false);
        self.uses.push(0);
        self.producer.push(None);
    }

    /// Puts a node at a position, in place of what was there.
    pub fn put(&mut self, position: usize, node: Node) {
        self.remove(position);
        for input in &node.inputs {
            self.uses[input.0] += 1;
        }
        self.producer[node.output.0] = Some(position);
        self.nodes[position] = Some(node);
    }

    /// Takes a node out.
    pub fn remove(&mut self, position: usize) -> Option<Node> {
        let node = self.nodes[position].take()?;
        for input in &node.inputs {
            self.uses[input.0] -= 1;
        }
        if self.producer[node.output.0] == Some(position) {
            self.producer[node.output.0] = None;
        }
        Some(node)
    }

    /// Lets every node that reads `from` read `to`.
    pub fn redirect(&mut self, from: ValueId, to: ValueId) {
        for input in self.nodes.iter_mut().flatten().flat_map(|n| &mut n.inputs).filter(|i| **i == from) {
            *input = to;
            self.uses[from.0] -= 1;
            self.uses[to.0] += 1;
        }
    }

    /// Removes every node whose output nobody reads or asks for.
    pub fn prune(&mut self) {
        for position in self.positions().rev() {
            let Some(node) = &self.nodes[position] else { continue };
            if self.uses[node.output.0] == 0 && !self.kept[node.output.0] {
                self.remove(position);
            }
        }
    }

    pub fn finish(mut self) -> Graph {
        self.graph.nodes = self.nodes.into_iter().flatten().collect();
        self.graph
    }
}
