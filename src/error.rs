//! The one error type of the library: each variant names the file, node, op or shape at fault and what to do.

use std::fmt;

/// Result of every fallible call in famlens.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. The text of each variant is meant to be shown to the user as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not an image that can be read.
    #[error("cannot read the image {name}: {reason}")]
    Image {
        /// File name, or whatever the caller calls the image.
        name: String,
        /// What was wrong and what to do.
        reason: String,
    },
    /// A size that is over a stated limit; checked before memory is taken.
    #[error("{what} is too large: {size}, and the limit is {limit}")]
    TooLarge {
        /// What is too large, by name.
        what: String,
        /// The size found, with its unit.
        size: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The bytes are not a well-formed ONNX file.
    #[error("cannot read the ONNX file: {reason}")]
    Onnx {
        /// What was wrong and where.
        reason: String,
    },
    /// The ONNX file is well formed but uses what famlens does not run. All such nodes are listed at once.
    #[error("the model uses {} that famlens does not support: {}", count(nodes.len(), "node"), list(nodes))]
    Unsupported {
        /// Every unsupported node.
        nodes: Vec<UnsupportedNode>,
    },
    /// A node whose input shapes, attributes or weights do not fit together.
    #[error("node {node:?} ({op}): {reason}")]
    Node {
        /// Name of the node in the ONNX file.
        node: String,
        /// ONNX operator type.
        op: String,
        /// What does not fit, with the shapes.
        reason: String,
    },
    /// `model.json` is missing something or contradicts the model file.
    #[error("model description: {reason}")]
    Manifest {
        /// Which field and what was expected.
        reason: String,
    },
    /// There is no such activation in the model.
    #[error("the model has no activation map named {name:?}; it has {}", list(available))]
    Target {
        /// The name asked for.
        name: String,
        /// Names that can be asked for, most useful first.
        available: Vec<String>,
    },
    /// An argument outside its range, or one that contradicts another.
    #[error("{name}: {reason}")]
    Argument {
        /// The argument's name as the user gave it.
        name: String,
        /// What was expected.
        reason: String,
    },
    /// This machine or browser offers no usable GPU. The CPU engine works everywhere.
    #[error("no usable GPU: {reason}")]
    NoGpu {
        /// What the driver or the browser said.
        reason: String,
    },
    /// The GPU went away while famlens was using it (driver reset, tab throttled, laptop undocked).
    #[error("the GPU was lost: {reason}")]
    GpuLost {
        /// What the driver or the browser said.
        reason: String,
    },
    /// Nobody waits for the answer any more.
    #[error("cancelled")]
    Cancelled,
    /// An engine failed in a way that is not the user's doing.
    #[error("the {engine} engine failed: {reason}")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it reported.
        reason: String,
    },
    /// A file or folder could not be read or written (command line only).
    #[error("{path}: {reason}")]
    File {
        /// The path as the user gave it.
        path: String,
        /// What the system said.
        reason: String,
    },
}

/// One node that famlens cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Name of the node in the ONNX file.
    pub name: String,
    /// ONNX operator type, with its domain when it is not the standard one.
    pub op: String,
    /// Why: an unknown operator, or the attribute that is not supported.
    pub reason: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ({})", self.op, self.name, self.reason)
    }
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Argument { name: name.into(), reason: reason.into() }
    }

    /// An [`Error::Onnx`].
    pub fn onnx(reason: impl Into<String>) -> Self {
        Self::Onnx { reason: reason.into() }
    }

    /// An [`Error::Node`].
    pub fn node(node: impl Into<String>, op: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Node { node: shortened(&node.into()), op: shortened(&op.into()), reason: reason.into() }
    }

    /// An [`Error::Image`].
    pub fn image(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Image { name: name.into(), reason: reason.into() }
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The most items that one message lists.
const LISTED: usize = 24;

fn list<T: fmt::Display>(items: &[T]) -> String {
    let mut text = items.iter().take(LISTED).map(|item| shortened(&item.to_string())).collect::<Vec<_>>().join(", ");
    if items.len() > LISTED {
        text += &format!(", and {} more", items.len() - LISTED);
    }
    text
}

/// A name out of a file, which may be of any length, as a message shows it.
fn shortened(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}
