//! What to run, in which order, how long each value lives, and where in one arena its bytes are. All engines share it.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};

/// The part of a graph that some target values need, in an order that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Indices into [`Graph::nodes`], in the order in which they run.
    pub steps: Vec<usize>,
    /// The target values, as asked for.
    pub targets: Vec<ValueId>,
    /// For each value of the graph: when it is alive, or `None` if no target needs it or it is a constant.
    pub lifetimes: Vec<Option<Lifetime>>,
    /// For each step: the values that no later step reads, so that their memory can be given back after it.
    pub free_after: Vec<Vec<ValueId>>,
}

/// The steps during which a value must keep its memory, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lifetime {
    /// The step that computes the value; 0 for the input.
    pub first: usize,
    /// The last step that reads the value; [`Lifetime::FOREVER`] for the input and the targets.
    pub last: usize,
}

impl Lifetime {
    /// The value outlives the run.
    pub const FOREVER: usize = usize::MAX;

    /// Whether two values need their memory at the same time.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Plan {
    /// Finds the nodes that the targets need and the lifetime of every value among them.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no target, or one is not an activation of the graph;
    /// [`Error::Node`] if a node reads a value that is not computed before it, or breaks another of the bounds that
    /// [`Graph::validate`] states.
    pub fn new(graph: &Graph, targets: &[ValueId]) -> Result<Self> {
        if targets.is_empty() {
            return Err(Error::argument("targets", "at least one target layer is needed"));
        }
        // What kernels and shaders compute from sizes rests on this.
        graph.validate()?;
        let producer = producers(graph)?;
        let input = graph.image_input()?;
        for &t in targets {
            if t.0 >= graph.values.len() || (t != input && producer[t.0].is_none()) {
                let name = graph.values.get(t.0).map_or("(none)", |v| v.name.as_str());
                return Err(Error::argument("targets", format!("{name:?} is not an activation of the graph")));
            }
        }

        let mut needed = vec![false; graph.nodes.len()];
        let mut queue: Vec<ValueId> = targets.to_vec();
        while let Some(value) = queue.pop() {
            if let Some(node) = producer[value.0].filter(|&n| !needed[n]) {
                needed[node] = true;
                queue.extend(&graph.nodes[node].inputs);
            }
        }
        let steps: Vec<usize> = (0..graph.nodes.len()).filter(|&n| needed[n]).collect();

        let mut lifetimes: Vec<Option<Lifetime>> = vec![None; graph.values.len()];
        lifetimes[input.0] = Some(Lifetime { first: 0, last: Lifetime::FOREVER });
        for (step, &n) in steps.iter().enumerate() {
            let node = &graph.nodes[n];
            for &read in &node.inputs {
                if graph.value(read).constant.is_some() {
                    continue;
                }
                let life = lifetimes[read.0].as_mut().ok_or_else(|| {
                    let reason = format!("reads {:?}, which is not computed before it", graph.value(read).name);
                    Error::node(&node.name, node.op.name(), reason)
                })?;
                life.last = life.last.max(step);
            }
            lifetimes[node.output.0] = Some(Lifetime { first: step, last: step });
        }
        for &t in targets {
            if let Some(life) = &mut lifetimes[t.0] {
                life.last = Lifetime::FOREVER;
            }
        }
        let mut free_after = vec![Vec::new(); steps.len()];
        for (id, life) in lifetimes.iter().enumerate() {
            if let Some(list) = life.and_then(|l| free_after.get_mut(l.last)) {
                list.push(ValueId(id));
            }
        }
        Ok(Self { steps, targets: targets.to_vec(), lifetimes, free_after })
    }

    /// The nodes in the order in which they run.
    pub fn nodes<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a Node> {
        self.steps.iter().map(|&n| &graph.nodes[n])
    }

    /// Most bytes of activations, as floats, that are alive at one time if each has memory of its own.
    pub fn most_bytes(&self, graph: &Graph) -> usize {
        let size = |v: &ValueId| match graph.value(*v).constant {
            None => graph.value(*v).shape.len().saturating_mul(size_of::<f32>()),
            Some(_) => 0,
        };
        let (mut held, mut most) = (graph.input.iter().map(size).sum::<usize>(), 0);
        for (node, done) in self.nodes(graph).zip(&self.free_after) {
            held = held.saturating_add(size(&node.output));
            most = most.max(held);
            held = held.saturating_sub(done.iter().map(size).fold(0, usize::saturating_add));
        }
        most
    }

    /// Gives every living value a place in one arena such that no two values that live at the same time overlap.
    ///
    /// `bytes` is the size of a value, `align` (a power of two) what every offset must be a multiple of. Where
    /// `alias` holds for a node, its output shares the memory of its first input (a Reshape that moves nothing).
    ///
    /// Greedy by size, the largest value first, each at the lowest offset that is free for its whole lifetime
    /// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv 2001.03288).
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the arena's size does not fit a `usize`.
    pub fn arena(
        &self,
        graph: &Graph,
        bytes: impl Fn(ValueId) -> usize,
        alias: impl Fn(&Node) -> bool,
        align: usize,
    ) -> Result<Arena> {
        // The value whose memory each value uses: itself, or what it is an alias of.
        let mut root: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
        for node in self.nodes(graph) {
            let source = node.inputs.first().filter(|i| self.lifetimes[i.0].is_some());
            if let Some(&source) = source.filter(|_| alias(node)) {
                root[node.output.0] = root[source.0];
            }
        }
        let mut blocks: Vec<Option<Block>> = vec![None; graph.values.len()];
        for (id, life) in self.lifetimes.iter().enumerate() {
            let Some(life) = *life else { continue };
            let size = bytes(ValueId(id)).checked_next_multiple_of(align).ok_or_else(too_large)?;
            let block = blocks[root[id].0].get_or_insert(Block { offset: 0, size, life });
            block.size = block.size.max(size);
            block.life.first = block.life.first.min(life.first);
            block.life.last = block.life.last.max(life.last);
        }

        let mut order: Vec<usize> = (0..blocks.len()).filter(|&i| blocks[i].is_some()).collect();
        order.sort_by_key(|&i| blocks[i].map(|b| (std::cmp::Reverse(b.size), b.life.first)));
        let mut placed: Vec<Block> = Vec::with_capacity(order.len());
        let mut size = 0;
        for i in order {
            let Some(block) = &mut blocks[i] else { continue };
            // `placed` is sorted by offset: take the first gap that is large enough.
            let mut offset = 0usize;
            for other in placed.iter().filter(|o| o.life.overlaps(block.life)) {
                if offset.checked_add(block.size).is_some_and(|end| end <= other.offset) {
                    break;
                }
                offset = offset.max(other.offset.checked_add(other.size).ok_or_else(too_large)?);
            }
            block.offset = offset;
            size = size.max(offset.checked_add(block.size).ok_or_else(too_large)?);
            let at = placed.partition_point(|o| o.offset <= offset);
            placed.insert(at, *block);
        }
        let place = |id: usize| self.lifetimes[id].and(blocks[root[id].0]).map(|b| b.offset);
        Ok(Arena { offsets: (0..graph.values.len()).map(place).collect(), size })
    }
}

/// Where each value lies in one block of memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Arena {
    /// Byte offset of each value of the graph; `None` for constants and for what no target needs.
    pub offsets: Vec<Option<usize>>,
    /// Size of the whole arena in bytes.
    pub size: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    offset: usize,
    size: usize,
    life: Lifetime,
}

fn too_large() -> Error {
    Error::TooLarge {
        what: "the memory for all activations".into(),
        size: "more than this machine can address".into(),
        limit: format!("{} bytes", usize::MAX),
    }
}

/// For each value, the index of the node that computes it.
fn producers(graph: &Graph) -> Result<Vec<Option<usize>>> {
    let mut producer = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        let ids = node.inputs.iter().chain([&node.output]);
        if ids.into_iter().any(|id| id.0 >= graph.values.len()) {
            return Err(Error::node(&node.name, node.op.name(), "refers to a value that is not in the graph"));
        }
        if producer[node.output.0].replace(i).is_some() {
            let reason = format!("computes {:?}, which another node computes too", graph.value(node.output).name);
            return Err(Error::node(&node.name, node.op.name(), reason));
        }
    }
    Ok(producer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, BinaryOp, Op};
    use crate::tensor::Shape;

    /// SplitMix64 (Steele, Lea and Flood 2014): random graphs that are the same in every run.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % n as u64) as usize
        }
    }

    fn random_graph(rng: &mut Rng) -> Graph {
        let mut graph = Graph::default();
        let mut values = vec![graph.add_input("image", [1, 4, 4, 4])];
        for i in 0..2 + rng.below(30) {
            // Mostly recent values, so that lifetimes are of all lengths.
            let back = 1 + rng.below(values.len().min(5));
            let (a, b) = (values[values.len() - back], values[rng.below(values.len())]);
            let name = format!("n{i}");
            let node = match rng.below(4) {
                0 => graph.add_node(name, Op::Binary(BinaryOp::Add), vec![a, b]),
                1 => graph.add_node(name, Op::Reshape(Shape::from([1, 4, 4, 4])), vec![a]),
                _ => graph.add_node(name, Op::Activation(Activation::Relu), vec![a]),
            };
            values.push(node.unwrap());
        }
        graph
    }

    #[test]
    fn no_two_living_values_share_memory() {
        let mut rng = Rng(7);
        for case in 0..300 {
            let graph = random_graph(&mut rng);
            let pick = |rng: &mut Rng| graph.nodes[rng.below(graph.nodes.len())].output;
            let targets: Vec<ValueId> = (0..1 + rng.below(3)).map(|_| pick(&mut rng)).collect();
            let plan = Plan::new(&graph, &targets).unwrap();
            let sizes: Vec<usize> = graph.values.iter().map(|_| 1 + rng.below(5000)).collect();
            // A Reshape only aliases what has the same size in its engine's layout.
            let alias =
                |n: &Node| matches!(n.op, Op::Reshape(_)) && sizes[n.inputs[0].0].is_multiple_of(2) && case % 2 == 0;
            let arena = plan.arena(&graph, |id| sizes[id.0], alias, 256).unwrap();

            let root = |mut id: ValueId| {
                while let Some(node) = graph.producer(id).filter(|n| alias(n)) {
                    id = node.inputs[0];
                }
                id
            };
            let living: Vec<usize> = (0..sizes.len()).filter(|&i| plan.lifetimes[i].is_some()).collect();
            for &a in &living {
                let at = arena.offsets[a].unwrap();
                assert!(at.is_multiple_of(256) && at + sizes[a] <= arena.size);
                for &b in living.iter().filter(|&&b| root(ValueId(a)) != root(ValueId(b))) {
                    let apart =
                        at + sizes[a] <= arena.offsets[b].unwrap() || arena.offsets[b].unwrap() + sizes[b] <= at;
                    let together = plan.lifetimes[a].unwrap().overlaps(plan.lifetimes[b].unwrap());
                    assert!(apart || !together, "case {case}: values {a} and {b}");
                }
                assert_eq!(arena.offsets[a], arena.offsets[root(ValueId(a)).0]);
            }
        }
    }

    #[test]
    fn memory_is_reused_along_a_chain() {
        let mut graph = Graph::default();
        let mut x = graph.add_input("image", [1, 1, 4, 4]);
        for i in 0..10 {
            x = graph.add_node(format!("relu{i}"), Op::Activation(Activation::Relu), vec![x]).unwrap();
        }
        let plan = Plan::new(&graph, &[x]).unwrap();
        let arena = plan.arena(&graph, |_| 64, |_| false, 64).unwrap();
        // The input and the target stay; two blocks take turns in between.
        assert!(arena.size <= 4 * 64, "{}", arena.size);
        assert_eq!(plan.free_after.iter().flatten().count(), 9);
    }

    #[test]
    fn what_no_target_needs_is_dropped() {
        let mut graph = Graph::default();
        let x = graph.add_input("image", [1, 1, 4, 4]);
        let a = graph.add_node("a", Op::Activation(Activation::Relu), vec![x]).unwrap();
        let b = graph.add_node("b", Op::Activation(Activation::Tanh), vec![a]).unwrap();
        let c = graph.add_node("c", Op::Activation(Activation::Relu), vec![b]).unwrap();
        let d = graph.add_node("d", Op::Activation(Activation::Relu), vec![a]).unwrap();
        let plan = Plan::new(&graph, &[b]).unwrap();
        assert_eq!(plan.nodes(&graph).map(|n| n.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(plan.lifetimes[c.0].is_none() && plan.lifetimes[d.0].is_none());
        assert_eq!(plan.lifetimes[b.0].unwrap().last, Lifetime::FOREVER);
        assert_eq!(Plan::new(&graph, &[x]).unwrap().steps.len(), 0);
    }

    #[test]
    fn bad_targets_and_bad_orders_are_errors() {
        let mut graph = Graph::default();
        let x = graph.add_input("image", [1, 1, 4, 4]);
        let a = graph.add_node("a", Op::Activation(Activation::Relu), vec![x]).unwrap();
        let b = graph.add_node("b", Op::Activation(Activation::Relu), vec![a]).unwrap();
        assert!(Plan::new(&graph, &[]).is_err());
        assert!(Plan::new(&graph, &[ValueId(99)]).is_err());
        graph.nodes.swap(0, 1);
        assert!(Plan::new(&graph, &[b]).unwrap_err().to_string().contains("not computed before"));
    }
}
