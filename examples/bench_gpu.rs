//! Times the GPU engine on a model: `cargo run --release --example bench_gpu -- [MODEL.onnx] [TARGET] [RUNS]`.
//!
//! Prints the milliseconds of a forward pass with a FAM mix, of the mix alone, and of each kernel where the device has
//! timestamps.

use std::collections::BTreeMap;
use std::time::Instant;

use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::{Engine, Mix};
use famlens::graph::passes;
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "models/efficientnet_lite0/model.onnx".into());
    let name = arguments.next().unwrap_or_else(|| "features".into());
    let runs: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let bytes = std::fs::read(&path).map_err(|e| Error::File { path: path.clone(), reason: e.to_string() })?;
    let graph = Model::parse(&bytes)?.to_graph_for(224, 224, &name)?;
    let target = graph.find(&name).ok_or_else(|| Error::argument("target", "is not in the graph"))?;
    let graph = passes::optimize(graph, &[target])?;
    let target = graph.find(&name).ok_or_else(|| Error::argument("target", "was optimised away"))?;
    let shape = graph.value(target).shape.clone();
    let channels = shape.chw().map_or(0, |(c, ..)| c);
    let input = graph.value(graph.image_input()?).shape.clone();
    let data = (0..input.len()).map(|i| (i as f32 * 0.013).sin()).collect();
    let input = Tensor::new(input, data)?;
    let fam = Mix { directions: vec![vec![1.0 / channels as f32; channels]], normalise: true, ..Mix::default() };

    for profile in [false, true] {
        let start = Instant::now();
        let engine = block_on(GpuEngine::new(GpuOptions { profile, ..GpuOptions::default() }))?;
        let opened = start.elapsed();
        let mut program = engine.compile(&graph, &[target])?;
        let compiled = start.elapsed() - opened;
        let first = Instant::now();
        let output = block_on(program.run(&input, &fam))?;
        let first = first.elapsed();
        println!(
            "{}: opened {opened:.1?}, compiled {compiled:.1?} ({} pipelines), first run {first:.1?}",
            engine.describe(),
            engine.pipeline_count()
        );
        let times = |f: &mut dyn FnMut() -> Result<()>| -> Result<(f64, f64)> {
            let mut all = Vec::new();
            for _ in 0..runs {
                let start = Instant::now();
                f()?;
                all.push(start.elapsed().as_secs_f64() * 1e3);
            }
            all.sort_by(f64::total_cmp);
            Ok((all.first().copied().unwrap_or(0.0), all.get(all.len() / 2).copied().unwrap_or(0.0)))
        };
        let (min, median) = times(&mut || block_on(program.run(&input, &fam)).map(drop))?;
        println!("forward + FAM: min {min:.2} ms, median {median:.2} ms");
        let (min, median) = times(&mut || block_on(program.run(&input, &Mix::default())).map(drop))?;
        println!("forward + pooling: min {min:.2} ms, median {median:.2} ms");
        let (min, median) = times(&mut || block_on(program.mix(&output.features[0], &fam)).map(drop))?;
        println!("FAM alone: min {min:.2} ms, median {median:.2} ms");
        let mut by_kernel: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        for kernel in engine.profile() {
            println!("{:9.3} ms  {}", kernel.milliseconds, kernel.label);
            let name = kernel.label.rsplit_once(" ~ ").map_or(kernel.label.clone(), |(_, k)| k.to_owned());
            let entry = by_kernel.entry(name).or_default();
            *entry = (entry.0 + 1, entry.1 + kernel.milliseconds);
        }
        for (kernel, (count, milliseconds)) in by_kernel {
            println!("{milliseconds:9.3} ms in {count:3} dispatches of {kernel}");
        }
    }
    Ok(())
}
