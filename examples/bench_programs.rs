//! The memory that programs of one engine take, each for another input size:
//!
//! ```text
//! cargo run --release --example bench_programs MODEL.onnx TARGET [SIZE ...]
//! ```
//!
//! After each program is compiled: the resident memory of this process (Linux), and the program's own activations.

use famlens::Error;
use famlens::engine::Engine;
use famlens::engine::cpu::CpuEngine;
use famlens::graph::passes;
use famlens::onnx::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "bench_programs MODEL.onnx TARGET [SIZE ...]";
    let (path, target) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let mut sizes = arguments.map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![224, 192, 256, 160, 288, 128, 320, 96];
    }

    let bytes = std::fs::read(&path)?;
    let model = Model::parse(&bytes)?;
    drop(bytes);
    let engine = CpuEngine::new();
    println!("{}: the model is read: {} MB", engine.describe(), resident()?);
    let mut programs = Vec::new();
    for size in sizes {
        let graph = passes::optimize(model.to_graph_for(size, size, &target)?, &[])?;
        let id = graph.find(&target).ok_or_else(|| Error::argument("target", format!("no activation {target:?}")))?;
        let started = std::time::Instant::now();
        let program = engine.compile(&graph, &[id])?;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        drop(graph);
        let own = program.bytes() / 1_000_000;
        programs.push(program);
        let count = programs.len();
        println!("{count} programs, {size} px in {milliseconds:.0} ms, {own} MB of activations: {} MB", resident()?);
    }
    Ok(())
}

/// Megabytes of this process that are in memory.
fn resident() -> Result<usize, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("there is no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<usize>()? / 1000)
}
