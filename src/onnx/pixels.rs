//! What a network does to its pixels before its first layer: files that carry their own preparation.

use super::data::Data;
use super::model::Model;
use super::proto::NodeProto;

/// The values that a network wants its pixels in, because it scales and shifts them itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PixelRange {
    /// 0 to 255.
    Bytes,
    /// 0 to 1.
    Unit,
}

/// Beyond this, values are not what a first layer is trained on.
const MOST_VALUE: f64 = 12.0;

/// How many nodes before the first layer are looked at.
const MOST_NODES: usize = 12;

impl Model {
    /// The range in which the network wants its pixels, if its first nodes scale or shift them: an export that carries
    /// mean and standard deviation with it. `None` if pixels have to be prepared outside.
    pub fn prepares_pixels(&self) -> Option<PixelRange> {
        if self.takes_bytes() {
            return Some(PixelRange::Bytes);
        }
        // What becomes of 0 and of 1, channel by channel.
        let (mut zero, mut one) = (vec![0.0f64], vec![1.0f64]);
        let mut arithmetic = 0;
        for node in self.first_nodes() {
            let each = |f: &dyn Fn(f64, f64) -> f64, values: &[f64], by: &[f64]| -> Vec<f64> {
                let n = values.len().max(by.len());
                (0..n).map(|i| f(values[i % values.len()], by[i % by.len()])).collect()
            };
            let constant = |at: usize| node.input.get(at).and_then(|name| self.known(name)).and_then(small);
            let (by, swapped) = match (constant(1), constant(0)) {
                (Some(by), _) => (by, false),
                (None, Some(by)) => (by, true),
                (None, None) if matches!(node.op_type(), "Sub" | "Add" | "Mul" | "Div") => return None,
                (None, None) => continue,
            };
            let f: &dyn Fn(f64, f64) -> f64 = match (node.op_type(), swapped) {
                ("Sub", false) => &|x, y| x - y,
                ("Sub", true) => &|x, y| y - x,
                ("Add", _) => &|x, y| x + y,
                ("Mul", _) => &|x, y| x * y,
                ("Div", false) => &|x, y| x / y,
                _ => continue,
            };
            (zero, one) = (each(f, &zero, &by), each(f, &one, &by));
            arithmetic += 1;
        }
        if arithmetic == 0 {
            return None;
        }
        let largest =
            |most: f64| zero.iter().zip(&one).map(|(z, o)| (z + (o - z) * most).abs().max(z.abs())).fold(0.0, f64::max);
        // The value that becomes 0: a mean in units of 0 to 255, or of 0 to 1.
        let mean = zero.iter().zip(&one).map(|(z, o)| -z / (o - z)).fold(0.0, f64::max);
        match largest(255.0) <= MOST_VALUE || mean > 2.0 {
            true => Some(PixelRange::Bytes),
            false => Some(PixelRange::Unit),
        }
    }

    /// The nodes that the image goes through one after the other, up to the first that is more than arithmetic with
    /// constants or a change of layout or type.
    pub(super) fn first_nodes(&self) -> Vec<&NodeProto> {
        let mut at = self.inputs().first().map(|input| input.name.as_str());
        let mut found = Vec::new();
        while let Some(name) = at {
            let mut readers = self.nodes().iter().filter(|n| n.input.iter().any(|i| i == name));
            let (Some(node), None) = (readers.next(), readers.next()) else { break };
            let passes = matches!(
                node.op_type(),
                "Sub" | "Add" | "Mul" | "Div" | "Cast" | "Transpose" | "Identity" | "Unsqueeze" | "Reshape"
            );
            if !passes || found.len() >= MOST_NODES {
                break;
            }
            found.push(node);
            at = node.output.first().map(String::as_str);
        }
        found
    }

    /// Channels of the image by the first convolution, where the file leaves their number free.
    pub(super) fn channels_of_first_layer(&self) -> Option<usize> {
        let passed = self.first_nodes();
        let input = self.inputs().first().map(|input| &input.name);
        let at = passed.last().and_then(|node| node.output.first()).or(input)?;
        let conv = self.nodes().iter().find(|n| n.op_type() == "Conv" && n.input.first() == Some(at))?;
        let weight = self.known(conv.input.get(1)?)?.known_shape()?;
        let groups = conv.attribute("group").and_then(|a| a.i).unwrap_or(1);
        let channels = weight.dims().get(1)?.checked_mul(usize::try_from(groups).ok()?)?;
        Some(channels).filter(|&channels| channels > 0)
    }
}

/// A constant of one value or one for each channel.
fn small(data: &Data) -> Option<Vec<f64>> {
    let values: Vec<f64> = match data {
        Data::Float(tensor) => tensor.data().iter().take(17).map(|&v| f64::from(v)).collect(),
        Data::Ints(array) => array.data.iter().take(17).map(|&v| v as f64).collect(),
        _ => return None,
    };
    (1..=16).contains(&values.len()).then_some(values)
}
