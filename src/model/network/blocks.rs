//! Groups layers into blocks: by the hierarchy in the file's names if there is one, otherwise by forks, joins and
//! repetition.

use std::ops::Range;

use serde::Serialize;

use super::layers::NetworkLayer;

/// Layers that belong together, as a range of [`super::Network::layers`].
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NetworkBlock {
    /// Its name in the file, or what it is.
    pub label: String,
    /// `"transformer"` (attention and MLP), `"attention"`, `"mlp"`, `"residual"`, `"gate"` (squeeze and excitation),
    /// `"branches"` (joined along channels), `"dense"` (what it reads is kept beside what it computes), `"branch"`, or
    /// `"layers"`.
    pub kind: &'static str,
    /// Place of its first layer.
    pub first: usize,
    /// Number of its layers.
    pub count: usize,
    /// The blocks in it; layers that are in none of them are its own.
    pub blocks: Vec<NetworkBlock>,
}

impl NetworkBlock {
    fn new(label: impl Into<String>, range: Range<usize>, blocks: Vec<Self>) -> Self {
        Self { label: label.into(), kind: "layers", first: range.start, count: range.len(), blocks }
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// If more layers than this stand side by side, famlens looks for structure that the names do not show.
const FLAT: usize = 8;

/// Groups layers and gives each its label. `paths` are the modules that each layer is in, as far as names tell.
pub(super) fn blocks(layers: &mut [NetworkLayer], paths: &[Vec<String>]) -> Vec<NetworkBlock> {
    let all = 0..layers.len();
    let mut found = match form_a_tree(layers, paths) {
        true => by_name(layers, paths, all, 0),
        false => {
            layers.iter_mut().for_each(|l| l.label = short(&l.name).unwrap_or(&l.label).to_owned());
            stages(layers, repeats(layers, all.clone(), regions(layers, all)))
        }
    };
    found.iter_mut().for_each(|b| kinds(layers, b));
    number(&mut found, "", &mut 0);
    found
}

/// A value's name where it is short enough to be one that people gave; steps of one layer are named after it.
fn short(name: &str) -> Option<&str> {
    let found = match name.strip_prefix('/') {
        Some(path) => path.rsplit('/').next()?.trim_end_matches("_output_0"),
        None => name.split('/').next()?,
    };
    (1..=24).contains(&found.len()).then_some(found)
}

/// Whether names put most layers with weights into modules, each module in one piece.
fn form_a_tree(layers: &[NetworkLayer], paths: &[Vec<String>]) -> bool {
    let weighted: Vec<&Vec<String>> =
        layers.iter().zip(paths).filter(|(l, _)| l.multiply_adds > 0).map(|(_, p)| p).collect();
    let modules: Vec<&str> = weighted.iter().filter(|p| p.len() > 1).map(|p| p[0].as_str()).collect();
    let (mut runs, mut different) = (0, Vec::new());
    for (at, module) in modules.iter().enumerate() {
        runs += usize::from(at == 0 || modules[at - 1] != *module);
        if !different.contains(module) {
            different.push(*module);
        }
    }
    modules.len() * 2 > weighted.len() && runs <= different.len() + 2 && modules.len() > different.len()
}

/// Runs of layers that are in one module, from `depth` on.
fn by_name(layers: &mut [NetworkLayer], paths: &[Vec<String>], range: Range<usize>, depth: usize) -> Vec<NetworkBlock> {
    let module = |at: usize| paths[at].get(depth).filter(|_| paths[at].len() > depth + 1);
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let Some(name) = module(at) else {
            let own = paths[at].last().unwrap_or(&layers[at].label);
            layers[at].label = own.strip_prefix("node_").unwrap_or(own).to_owned();
            at += 1;
            continue;
        };
        let end = (at..range.end).find(|&i| module(i) != Some(name)).unwrap_or(range.end);
        let run = at..end;
        at = end;
        if run.len() == 1 {
            // A module that is one layer is that layer.
            let path = &paths[run.start];
            layers[run.start].label = path[path.len() - 2].clone();
            continue;
        }
        let mut inner = by_name(layers, paths, run.clone(), depth + 1);
        match inner.as_mut_slice() {
            // A module that holds nothing but another one adds a line and no insight.
            [only] if only.range() == run => {
                only.label = match only.label.starts_with(name.as_str()) {
                    true => std::mem::take(&mut only.label),
                    false => format!("{name}.{}", only.label),
                };
                found.append(&mut inner);
            }
            [] if run.len() > FLAT => {
                let inner = repeats(layers, run.clone(), regions(layers, run.clone()));
                found.push(NetworkBlock::new(name, run, inner));
            }
            _ => found.push(NetworkBlock::new(name, run, inner)),
        }
    }
    found
}

/// Blocks between a fork and the layer where everything since has been joined, and those within them. Edges from before
/// the range and to behind it do not count.
fn regions(layers: &[NetworkLayer], range: Range<usize>) -> Vec<NetworkBlock> {
    let mut last_reader: Vec<usize> = range.clone().collect();
    for reader in range.clone() {
        for &input in layers[reader].inputs.iter().filter(|i| range.contains(i)) {
            last_reader[input - range.start] = reader;
        }
    }
    let mut found = Vec::new();
    let (mut fork, mut open) = (None, range.start);
    for at in range.clone() {
        // All ways lead through it if nothing before it is read behind it.
        if open <= at {
            let first = fork.map_or(range.start, |f: usize| f + 1);
            if at > first && fork.is_some() {
                found.push(region(layers, first, at, range.end));
            }
            fork = Some(at);
        }
        open = open.max(last_reader[at - range.start]);
    }
    // An activation right behind a join belongs to it, and was the fork of the next one.
    for i in 1..found.len() {
        let end = found[i - 1].range().end;
        if found[i].first < end {
            let (first, count) = (end, found[i].range().end - end);
            (found[i].first, found[i].count) = (first, count);
        }
    }
    found
}

/// The block of the layers `first..=join`.
fn region(layers: &[NetworkLayer], first: usize, join: usize, end: usize) -> NetworkBlock {
    let inner = first..join;
    let parts = branches(layers, inner.clone());
    let several = parts.iter().filter(|p| p.len() > 1).count() > 1;
    let blocks = match several {
        true => {
            let parts = parts.into_iter().filter(|p| p.len() > 1).enumerate();
            parts.map(|(i, p)| NetworkBlock::new(format!("Branch {}", i + 1), p.clone(), regions(layers, p))).collect()
        }
        false => repeats(layers, inner.clone(), regions(layers, inner)),
    };
    let mut range = first..join + 1;
    if range.end < end && is_activation(&layers[range.end]) && layers[range.end].inputs == [join] {
        range.end += 1;
    }
    NetworkBlock::new("", range, blocks)
}

fn is_activation(layer: &NetworkLayer) -> bool {
    const ACTIVATIONS: [&str; 11] = [
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
        "BatchNormalization",
    ];
    ACTIVATIONS.contains(&layer.op)
}

/// Parts of a range that do not read each other, where each is in one piece; the whole range otherwise.
fn branches(layers: &[NetworkLayer], range: Range<usize>) -> Vec<Range<usize>> {
    let mut part: Vec<usize> = range.clone().collect();
    for at in range.clone() {
        for &input in layers[at].inputs.iter().filter(|i| range.contains(i)) {
            let (from, to) = (part[at - range.start], part[input - range.start]);
            part.iter_mut().filter(|p| **p == from).for_each(|p| *p = to);
        }
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in range.clone() {
        let of = |at: usize| part[at - range.start];
        let known = found.iter().position(|run| of(run.start) == of(at));
        match known {
            Some(last) if last + 1 == found.len() => found[last].end = at + 1,
            // A part that comes again is in more than one piece.
            Some(_) => return vec![range],
            None => found.push(at..at + 1),
        }
    }
    found
}

/// Blocks for what repeats: a sequence of layers and blocks that comes at least twice in a row.
fn repeats(layers: &[NetworkLayer], range: Range<usize>, blocks: Vec<NetworkBlock>) -> Vec<NetworkBlock> {
    let items = items(range, blocks);
    let signs: Vec<String> = items.iter().map(|item| sign(layers, item)).collect();
    let (mut found, mut at, mut items) = (Vec::new(), 0, items.into_iter());
    while at < signs.len() {
        let best = (2..=(signs.len() - at) / 2).take(MOST_REPEATED).filter_map(|period| repeated(&signs[at..], period));
        let best = best.max_by_key(|&(period, times)| (period * times, times));
        // A start that is further on may repeat more often.
        let later = |&(period, times): &(usize, usize)| {
            !(1..period).any(|by| repeated(&signs[at + by..], period).is_some_and(|(_, more)| more > times))
        };
        let Some((period, times)) = best.filter(later) else {
            found.extend(items.next().and_then(|item| if let Item::Block(b) = item { Some(b) } else { None }));
            at += 1;
            continue;
        };
        for _ in 0..times {
            let mut inner = Vec::new();
            let (mut first, mut end) = (usize::MAX, 0);
            for item in items.by_ref().take(period) {
                first = first.min(item.range().start);
                end = item.range().end;
                inner.extend(if let Item::Block(b) = item { Some(b) } else { None });
            }
            found.push(NetworkBlock::new("", first..end, inner));
        }
        at += period * times;
    }
    found
}

/// No longer sequence is looked for.
const MOST_REPEATED: usize = 40;

/// How often the first so many signs come in a row, if at least twice, and if they are worth a block.
fn repeated(signs: &[String], period: usize) -> Option<(usize, usize)> {
    let unit = signs.get(..period)?;
    let times = signs.chunks_exact(period).take_while(|c| *c == unit).count();
    let alike = unit.iter().all(|s| *s == unit[0]);
    let weighty = unit.iter().any(|s| s.starts_with('(')) || period >= 4;
    (times > 1 && !alike && weighty).then_some((period, times))
}

enum Item {
    Layer(usize),
    Block(NetworkBlock),
}

impl Item {
    fn range(&self) -> Range<usize> {
        match self {
            Self::Layer(at) => *at..at + 1,
            Self::Block(block) => block.range(),
        }
    }
}

/// Blocks and the layers between them, in order.
fn items(range: Range<usize>, blocks: Vec<NetworkBlock>) -> Vec<Item> {
    let (mut items, mut at) = (Vec::new(), range.start);
    for block in blocks {
        items.extend((at..block.first).map(Item::Layer));
        at = block.range().end;
        items.push(Item::Block(block));
    }
    items.extend((at..range.end).map(Item::Layer));
    items
}

/// What an item is made of, equal for equal structure.
fn sign(layers: &[NetworkLayer], item: &Item) -> String {
    let ops: Vec<&str> = item.range().map(|at| layers[at].op).collect();
    match item {
        Item::Layer(_) => ops.concat(),
        Item::Block(_) => format!("({})", ops.join(" ")),
    }
}

/// Blocks of one map size together, where there are several sizes with several blocks.
fn stages(layers: &[NetworkLayer], blocks: Vec<NetworkBlock>) -> Vec<NetworkBlock> {
    let side = |b: &NetworkBlock| b.range().rev().find_map(|at| layers[at].maps).map(|[_, h, w]| [h, w]);
    let mut runs: Vec<Vec<NetworkBlock>> = Vec::new();
    for block in blocks {
        let together = |run: &Vec<NetworkBlock>| {
            let last = run.last().filter(|l| side(l) == side(&block))?;
            // A lone layer between them, such as a pooling, parts them.
            (last.range().end == block.first && side(&block).is_some()).then_some(())
        };
        match runs.last_mut() {
            Some(run) if together(run).is_some() => run.push(block),
            _ => runs.push(vec![block]),
        }
    }
    if runs.len() < 2 || runs.iter().filter(|run| run.len() > 1).count() < 2 {
        return runs.into_iter().flatten().collect();
    }
    let mut stage = 0;
    let wrap = |run: Vec<NetworkBlock>| match (run.first(), run.last()) {
        (Some(first), Some(last)) if run.len() > 1 => {
            stage += 1;
            let [h, w] = side(last).unwrap_or_default();
            vec![NetworkBlock::new(format!("Stage {stage}: {h} x {w}"), first.first..last.range().end, run)]
        }
        _ => run,
    };
    runs.into_iter().flat_map(wrap).collect()
}

/// Names blocks that have none: by what they are where that says enough, and else by numbers that run through the
/// network and begin anew inside a block.
fn number(blocks: &mut [NetworkBlock], within: &str, count: &mut usize) {
    let heads = within == "attention";
    for block in blocks {
        let stage = !block.label.is_empty();
        if !stage {
            block.label = match block.kind {
                "attention" if heads => "Heads".into(),
                "attention" => "Attention".into(),
                "mlp" => "MLP".into(),
                "gate" => "Squeeze and excitation".into(),
                _ => {
                    *count += 1;
                    format!("Block {count}")
                }
            };
        }
        let mut own = 0;
        number(&mut block.blocks, block.kind, if stage { &mut *count } else { &mut own });
    }
}

/// Says of each block what it is.
fn kinds(layers: &[NetworkLayer], block: &mut NetworkBlock) {
    block.blocks.iter_mut().for_each(|b| kinds(layers, b));
    let range = block.range();
    let own = |at: &usize| !block.blocks.iter().any(|b| b.range().contains(at));
    let outside = |at: usize| layers[at].inputs.iter().any(|i| !range.contains(i) && i + 1 < range.end);
    let last = range.clone().rev().find(|&at| !is_activation(&layers[at])).unwrap_or(range.start);
    let joins = layers[last].inputs.len() > 1;
    let has = |what: &dyn Fn(&str) -> bool| range.clone().any(|at| what(layers[at].op));
    let (attends, convolves) = (has(&|op| op == "Attention" || op == "Softmax"), has(&|op| op == "Conv"));
    let residual = layers[last].op == "Add" && joins && own(&last);
    let sums = range.clone().filter(|&at| layers[at].op == "Add" && layers[at].inputs.len() > 1).count();
    block.kind = match layers[last].op {
        _ if block.label.starts_with("Stage ") || block.blocks.iter().any(|b| b.kind == "transformer") => "layers",
        _ if attends && sums > 1 => "transformer",
        _ if attends && !convolves => "attention",
        _ if residual && !convolves && has(&|op| op == "Gemm") => "mlp",
        _ if residual => "residual",
        "Mul" if joins && own(&last) && has(&|op| op.contains("Pool") || op == "ReduceMean") => "gate",
        "Concat" if joins && own(&last) && outside(last) => "dense",
        "Concat" if joins && own(&last) => "branches",
        _ if range.len() > 1 && layers[range.start].op == "Concat" && layers[range.start].inputs.len() > 1 => "dense",
        _ if block.label.starts_with("Branch ") => "branch",
        _ => "layers",
    };
}
