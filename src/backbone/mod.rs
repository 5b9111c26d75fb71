//! The backbone at work: which engine runs the network, and what happens when the GPU goes away.

mod engines;

pub use engines::{EngineChoice, EngineKind, EngineReport};

pub(crate) use engines::Engines;

use web_time::Instant;

/// Milliseconds since then.
pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
