//! Where the time of a forward pass goes on the CPU engine, op by op:
//!
//! ```text
//! cargo run --release --example bench_cpu [MODEL.onnx [TARGET [SIZE]]]
//! ```
//!
//! Without arguments: the shipped model to its features, in every instruction set of this machine. Times are the best
//! of many rounds on one thread; forward passes alternate between the instruction sets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use famlens::Error;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::{Engine, Mix};
use famlens::graph::passes;
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use pollster::block_on;

const ROUNDS: usize = 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "models/efficientnet_lite0/model.onnx".into());
    let target = arguments.next().unwrap_or_else(|| "features".into());
    let size = arguments.next().map_or(Ok(224), |s| s.parse())?;

    let model = Model::parse(&std::fs::read(&path)?)?;
    let graph = passes::optimize(model.to_graph_for(size, size, &target)?, &[])?;
    let targets =
        [graph.find(&target).ok_or_else(|| Error::argument("target", format!("no activation {target:?}")))?];
    let shape = graph.value(graph.image_input()?).shape.clone();
    let values = (0..shape.len()).map(|i| ((i * 37 % 255) as f32 - 127.0) / 128.0).collect();
    let input = Tensor::new(shape, values)?;

    let engines = CpuEngine::variants();
    for engine in &engines {
        println!("{}", engine.describe());
        let mut sums: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
        for step in engine.profile(&graph, &targets, &input, ROUNDS)? {
            let sum = sums.entry(step.op).or_default();
            *sum = (sum.0 + step.milliseconds, sum.1 + step.multiplications);
            let rate = step.multiplications as f64 / step.milliseconds / 1e6;
            println!(
                "  {:8.3} ms {rate:6.1} GMAC/s  {:12} {:28} {}",
                step.milliseconds, step.op, step.node, step.shape
            );
        }
        for (op, (ms, macs)) in sums {
            println!("  {ms:8.3} ms {:6.1} GMAC/s  all {op}", macs as f64 / ms / 1e6);
        }
    }

    let mut programs = engines.iter().map(|e| e.compile(&graph, &targets)).collect::<Result<Vec<_>, _>>()?;
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (program, times) in programs.iter_mut().zip(&mut times) {
            let start = Instant::now();
            block_on(program.run(&input, &Mix::default()))?;
            times.push(start.elapsed());
        }
    }
    for (engine, times) in engines.iter().zip(&mut times) {
        times.sort();
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!("{}: best {:.2} ms, median {:.2} ms", engine.describe(), ms(times[0]), ms(times[ROUNDS / 2]));
    }
    Ok(())
}
