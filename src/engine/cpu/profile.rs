//! Where the time of a forward pass goes.

use web_time::Instant;

use super::program::CpuProgram;
use super::step::Step;
use crate::error::Result;
use crate::tensor::{Shape, Tensor};

/// The time of one op of a network.
#[derive(Clone, PartialEq, Debug)]
pub struct StepTime {
    /// Name of the node.
    pub node: String,
    /// Name of the op.
    pub op: &'static str,
    /// Shape of its output.
    pub shape: Shape,
    /// Multiplications of a convolution or fully connected layer; 0 for other ops.
    pub multiplications: u64,
    /// The shortest time over all rounds.
    pub milliseconds: f64,
}

/// Runs a program `rounds` times (at least once) and keeps each step's shortest time.
pub(super) fn profile(program: &mut CpuProgram, input: &Tensor, rounds: usize) -> Result<Vec<StepTime>> {
    let start = |s: &Step| StepTime {
        node: s.name.clone(),
        op: s.op,
        shape: s.output.clone(),
        multiplications: s.multiplications,
        milliseconds: f64::INFINITY,
    };
    let mut times: Vec<StepTime> = program.steps.iter().map(start).collect();
    for _ in 0..rounds.max(1) {
        program.load(input)?;
        for (i, time) in times.iter_mut().enumerate() {
            let start = Instant::now();
            program.step(i)?;
            time.milliseconds = time.milliseconds.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
