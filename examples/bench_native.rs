//! famlens' CPU engine and ONNX Runtime on the same file, the same pixels and the same layer, one pass each in turn:
//!
//! ```text
//! cargo xtask bench --native [--model MODEL.onnx]
//! ```
//!
//! which installs ONNX Runtime and calls `bench_native PYTHON ROUNDS [MODEL.onnx]`. Medians, and how far the embeddings
//! are apart.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use famlens::Error;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::{Engine, Mix};
use famlens::session::Model;
use famlens::tensor::Tensor;
use pollster::block_on;

/// How a file is fed that has no model.json: as ImageNet's models are.
const USUAL: &str = r#"{"format": 1, "name": "model", "input": {"size": 224, "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375]}}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "bench_native PYTHON ROUNDS [MODEL.onnx]";
    let (python, rounds) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?.parse::<usize>()?);
    let path = arguments.next().unwrap_or_else(|| "models/efficientnet_lite0/model.onnx".into());
    let beside = Path::new(&path).with_file_name("model.json");
    let json = if beside.is_file() { std::fs::read_to_string(beside)? } else { USUAL.to_owned() };
    let model = Model::new(&json, &std::fs::read(&path)?)?;
    let manifest = model.manifest();
    let size = manifest.input.size;
    let target = manifest.target.clone();
    let graph = model.graph_for((size.width, size.height), std::slice::from_ref(&target))?;
    let id = graph.find(&target).ok_or_else(|| Error::argument("target", format!("no activation {target:?}")))?;
    let shape = graph.value(graph.image_input()?).shape.clone();
    let values = (0..shape.len()).map(|i| ((i * 37 % 255) as f32 - 127.0) / 128.0).collect();
    let input = Tensor::new(shape, values)?;

    println!("{} to {target}, {} x {} px", manifest.name, size.width, size.height);
    let engine = CpuEngine::new();
    let mut program = engine.compile(&graph, &[id])?;
    let mut peers = [1, 2].map(|threads| Peer::start(&python, &path, &target, threads, &input));
    let mut own = Vec::new();
    let mut embedding = Vec::new();
    // One round that is not counted: caches and clocks settle.
    for round in 0..=rounds {
        let started = Instant::now();
        embedding = block_on(program.run(&input, &Mix::default()))?.mixed.embedding;
        own.extend((round > 0).then(|| started.elapsed().as_secs_f64() * 1e3));
        for peer in &mut peers {
            peer.as_mut().map_err(|error| error.to_string())?.pass(round > 0)?;
        }
    }
    let ours = median(&mut own);
    println!("{:44} {ours:8.2} ms", format!("famlens, {}, one thread", engine.describe()));
    for peer in peers {
        let mut peer = peer?;
        let theirs = median(&mut peer.times);
        let alike = cosine(&embedding, &peer.embedding()?);
        let share = ours / theirs;
        println!("{:44} {theirs:8.2} ms   famlens takes {share:.2} of it; cosine {alike:.7}", peer.name);
    }
    Ok(())
}

/// ONNX Runtime in a process of its own, which runs a pass when it is told to.
struct Peer {
    name: String,
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
    times: Vec<f64>,
}

impl Peer {
    fn start(python: &str, model: &str, target: &str, threads: usize, input: &Tensor) -> Result<Self, std::io::Error> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/bench_native.py");
        let mut command = Command::new(python);
        command.arg(script).args([model, target, &threads.to_string()]);
        command.args(input.shape().dims().iter().map(usize::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || std::io::Error::other("no pipe");
        let (ask, answer) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let mut peer = Self { name: String::new(), child, ask, answer: BufReader::new(answer), times: Vec::new() };
        peer.name = peer.line()?;
        Ok(peer)
    }

    fn line(&mut self) -> Result<String, std::io::Error> {
        let mut line = String::new();
        match self.answer.read_line(&mut line)? {
            0 => Err(std::io::Error::other("ONNX Runtime has ended")),
            _ => Ok(line.trim().to_owned()),
        }
    }

    fn pass(&mut self, counts: bool) -> Result<(), Box<dyn std::error::Error>> {
        self.ask.write_all(b"run\n")?;
        let milliseconds: f64 = self.line()?.parse()?;
        self.times.extend(counts.then_some(milliseconds));
        Ok(())
    }

    /// The mean over the cells of the layer.
    fn embedding(&mut self) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
        self.ask.write_all(b"embedding\n")?;
        Ok(self.line()?.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
