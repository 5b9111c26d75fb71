//! The network as a tree of blocks and layers, for `famlens inspect`.

use crate::terminal::say;
use famlens::session::{Network, NetworkBlock, NetworkLayer};

/// Prints blocks and layers down to that depth; blocks deeper than that are one line.
pub fn print(network: &Network, depth: usize) {
    say!("{:<42} {:<38} {:>16} {:>9} {:>8}  name", "layer", "operator", "output", "weights", "cost");
    tree(network, &network.blocks, 0..network.layers.len(), 0, depth);
    let target = &network.layers[network.target];
    say!("\ntarget layer {}: {}", target.name, maps(target));
    say!(
        "  {:.1} % of the network's products lie up to it; its maps take {} an image",
        target.cost * 100.0,
        bytes(target.bytes)
    );
    say!("  after it: {}", network.after.says);
    match (&network.after.module, &network.after.why_not) {
        (Some(module), _) => {
            let affine = if module.affine { "affine, so that nothing is lost" } else { "not affine" };
            say!("  as pooling and transformation module: {}, {} ({affine})", module.pooling, module.head);
            if let Some(stopped) = &module.stopped_at {
                say!("  up to {stopped}, which is something else");
            }
        }
        (None, Some(why)) => say!("  no pooling and transformation module: {why}"),
        (None, None) => {}
    }
}

fn tree(network: &Network, blocks: &[NetworkBlock], range: std::ops::Range<usize>, level: usize, depth: usize) {
    let mut at = range.start;
    for block in blocks {
        (at..block.first).for_each(|i| layer(network, i, level));
        at = block.first + block.count;
        let inside = &network.layers[block.first..at];
        let last = &inside[inside.len() - 1];
        let kind = if block.kind == "layers" { String::new() } else { format!(", {}", block.kind) };
        let says = format!("{} layers{kind}", block.count);
        let weights = inside.iter().map(|l| l.parameters).sum();
        row(&format!("{}{}", "  ".repeat(level), block.label), &says, last, weights, "");
        if level < depth {
            tree(network, &block.blocks, block.first..at, level + 1, depth);
        }
    }
    (at..range.end).for_each(|i| layer(network, i, level));
}

fn layer(network: &Network, at: usize, level: usize) {
    let layer = &network.layers[at];
    let op = if layer.detail.is_empty() { layer.op.to_owned() } else { format!("{} {}", layer.op, layer.detail) };
    let name = if at == network.target { format!("{}  <- target", layer.name) } else { layer.name.clone() };
    row(&format!("{}{}", "  ".repeat(level), layer.label), &op, layer, layer.parameters, &name);
}

fn row(label: &str, says: &str, layer: &NetworkLayer, weights: usize, name: &str) {
    let shape: Vec<String> = match layer.maps {
        Some(maps) => maps.iter().map(ToString::to_string).collect(),
        None => layer.shape.iter().skip(1).map(ToString::to_string).collect(),
    };
    let weights = if weights == 0 { String::new() } else { weights.to_string() };
    say!("{label:<42} {says:<38} {:>16} {weights:>9} {:>6.1} %  {name}", shape.join(" x "), layer.cost * 100.0);
}

fn maps(layer: &NetworkLayer) -> String {
    let Some([c, h, w]) = layer.maps else { return layer.why_not.clone().unwrap_or_default() };
    let layout = layer.layout.unwrap_or_default();
    let tokens = match layer.tokens {
        [0, 0] => String::new(),
        [1, 0] => " after the class token".into(),
        [before, 0] => format!(" after {before} class and register tokens"),
        [before, behind] => format!(" between {before} and {behind} other tokens"),
    };
    format!("{c} maps of {h} x {w} ({layout}{tokens})")
}

fn bytes(n: usize) -> String {
    match n {
        0..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}
