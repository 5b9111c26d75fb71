//! Which engine runs: choice, measurement, and what happens when the GPU goes away.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::milliseconds;
#[cfg(all(feature = "candle", not(target_arch = "wasm32")))]
use crate::engine::candle::CandleEngine;
use crate::engine::cpu::CpuEngine;
use crate::engine::gpu::{GpuEngine, GpuOptions};
use crate::engine::{Engine, Mix, Program};
use crate::error::{Error, Result};
use crate::model::{Model, not_spatial};
use crate::tensor::Tensor;

/// What the user asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EngineChoice {
    /// The faster of CPU and GPU, measured.
    #[default]
    Auto,
    /// The CPU engine.
    Cpu,
    /// The GPU engine.
    Gpu,
    /// The candle engine, where it is built.
    Candle,
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The CPU engine.
    Cpu,
    /// The GPU engine.
    Gpu,
    /// The candle engine.
    Candle,
}

/// A description of one engine.
#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    /// Which engine.
    pub kind: EngineKind,
    /// Its name with the hardware it runs on; empty if it is not known yet.
    pub describe: String,
    /// Whether it can be chosen; `None` if it has not been tried.
    pub available: Option<bool>,
    /// Why it cannot be chosen.
    pub reason: Option<String>,
    /// Whether it is a GPU engine on a software adapter.
    pub software: bool,
    /// Milliseconds of one warm forward pass with its explanation, once
    /// [`Session::calibrate`](crate::session::Session::calibrate) has measured it.
    pub milliseconds: Option<f64>,
}

enum Gpu {
    Untried,
    Ready(GpuEngine),
    Unavailable(String),
}

/// Programs are compiled for an engine, an input size and target layers.
struct Key {
    engine: EngineKind,
    size: (u32, u32),
    targets: Vec<String>,
}

/// More input sizes than this are compiled again when they come back (only the `aspect` geometry has several).
const MAX_PROGRAMS: usize = 8;

pub(super) struct Engines {
    active: EngineKind,
    cpu: CpuEngine,
    /// None where it is not built.
    candle: Option<Box<dyn Engine>>,
    gpu: Gpu,
    gpu_losses: usize,
    measured: [Option<f64>; 2],
    note: Option<String>,
    /// Least recently used first.
    programs: Vec<(Key, Box<dyn Program>)>,
}

impl Engines {
    pub(super) async fn new(choice: EngineChoice) -> Result<Self> {
        let (cpu, candle) = (CpuEngine::new(), candle());
        let (active, gpu) = (EngineKind::Cpu, Gpu::Untried);
        let mut engines =
            Self { active, cpu, candle, gpu, gpu_losses: 0, measured: [None; 2], note: None, programs: Vec::new() };
        engines.choose(choice).await?;
        Ok(engines)
    }

    pub(super) fn active(&self) -> EngineKind {
        self.active
    }

    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(super) async fn choose(&mut self, choice: EngineChoice) -> Result<()> {
        self.active = match choice {
            EngineChoice::Cpu => EngineKind::Cpu,
            EngineChoice::Candle if self.candle.is_some() => EngineKind::Candle,
            EngineChoice::Candle => {
                let reason = "this famlens was built without candle (the cargo feature `candle`, native only)";
                return Err(Error::argument("engine", reason));
            }
            EngineChoice::Auto => match self.measured {
                [Some(cpu), Some(gpu)] if gpu < cpu && matches!(self.gpu, Gpu::Ready(_)) => EngineKind::Gpu,
                _ => EngineKind::Cpu,
            },
            EngineChoice::Gpu => {
                self.gpu_losses = 0;
                self.start_gpu().await?;
                EngineKind::Gpu
            }
        };
        self.note = None;
        Ok(())
    }

    /// Starts the GPU engine if it does not run yet. One that was unavailable is tried again.
    async fn start_gpu(&mut self) -> Result<()> {
        if matches!(self.gpu, Gpu::Ready(_)) {
            return Ok(());
        }
        match GpuEngine::new(GpuOptions::default()).await {
            Ok(engine) => {
                self.gpu = Gpu::Ready(engine);
                Ok(())
            }
            Err(error) => {
                self.gpu = Gpu::Unavailable(error.to_string());
                Err(error)
            }
        }
    }

    /// After a lost GPU: rebuilt once; the second time the CPU takes over and the note says so.
    pub(super) async fn recover(&mut self, reason: &str) {
        self.gpu_losses += 1;
        self.programs.retain(|(key, _)| key.engine != EngineKind::Gpu);
        self.gpu = Gpu::Untried;
        self.measured[EngineKind::Gpu as usize] = None;
        if self.gpu_losses <= 1 && self.start_gpu().await.is_ok() {
            self.note = Some(format!("The GPU was lost ({reason}). It has been started again."));
            return;
        }
        self.gpu = Gpu::Unavailable(format!("the GPU was lost: {reason}"));
        self.active = EngineKind::Cpu;
        self.note = Some(format!("The GPU was lost ({reason}), and the CPU has taken over."));
    }

    /// What loses the GPU that runs now, as a driver reset would, whenever it is called; `None` if none runs.
    pub(super) fn gpu_loss(&self) -> Option<Box<dyn Fn()>> {
        match &self.gpu {
            Gpu::Ready(gpu) => Some(gpu.device_loss()),
            Gpu::Untried | Gpu::Unavailable(_) => None,
        }
    }

    /// The program of one engine for that input size and those target layers.
    pub(super) fn program(
        &mut self,
        engine: EngineKind,
        model: &Model,
        size: (u32, u32),
        targets: &[String],
    ) -> Result<&mut dyn Program> {
        let same = |key: &Key| key.engine == engine && key.size == size && key.targets == targets;
        let entry = match self.programs.iter().position(|(key, _)| same(key)) {
            Some(at) => self.programs.remove(at),
            None => {
                let program = self.compile(engine, model, size, targets)?;
                (Key { engine, size, targets: targets.to_vec() }, program)
            }
        };
        if self.programs.len() >= MAX_PROGRAMS {
            self.programs.remove(0);
        }
        self.programs.push(entry);
        let last = self.programs.last_mut().map(|(_, program)| program.as_mut() as &mut dyn Program);
        last.ok_or_else(|| Error::Engine { engine: engine.name(), reason: "it has no program".into() })
    }

    fn compile(&self, on: EngineKind, model: &Model, size: (u32, u32), targets: &[String]) -> Result<Box<dyn Program>> {
        let graph = model.graph_for(size, targets)?;
        let find = |target: &String| graph.find(target).ok_or_else(|| not_spatial(target));
        let ids = targets.iter().map(find).collect::<Result<Vec<_>>>()?;
        let engine: &dyn Engine = match (on, &self.gpu, &self.candle) {
            (EngineKind::Gpu, Gpu::Ready(gpu), _) => gpu,
            (EngineKind::Gpu, ..) => return Err(Error::NoGpu { reason: "it has not been started".into() }),
            (EngineKind::Candle, _, Some(candle)) => candle.as_ref(),
            (EngineKind::Candle | EngineKind::Cpu, ..) => &self.cpu,
        };
        engine.compile(&graph, &ids)
    }

    pub(super) fn reports(&self) -> Vec<EngineReport> {
        let cpu = EngineReport {
            kind: EngineKind::Cpu,
            describe: self.cpu.describe(),
            available: Some(true),
            reason: None,
            software: false,
            milliseconds: self.measured[0],
        };
        let (describe, available, reason, software) = match &self.gpu {
            Gpu::Untried => (String::new(), None, None, false),
            Gpu::Ready(gpu) => (gpu.describe(), Some(true), None, gpu.is_software_gpu()),
            Gpu::Unavailable(reason) => (String::new(), Some(false), Some(reason.clone()), false),
        };
        let milliseconds = self.measured[1];
        let mut all =
            vec![cpu, EngineReport { kind: EngineKind::Gpu, describe, available, reason, software, milliseconds }];
        all.extend(self.candle.iter().map(|candle| EngineReport {
            kind: EngineKind::Candle,
            describe: candle.describe(),
            available: Some(true),
            reason: None,
            software: false,
            milliseconds: None,
        }));
        all
    }
}

impl Engines {
    /// Measures both engines on an input, warm, and takes the faster one. A GPU that is missing or lost is no error:
    /// the CPU is taken.
    ///
    /// # Errors
    /// The CPU engine's errors.
    pub(super) async fn calibrate(&mut self, model: &Model, input: &Tensor, size: (u32, u32)) -> Result<EngineKind> {
        self.active = EngineKind::Cpu;
        let cpu = self.measure(model, input, size, f64::INFINITY).await?;
        self.measured = [Some(cpu), None];
        if self.start_gpu().await.is_ok() {
            self.active = EngineKind::Gpu;
            match self.measure(model, input, size, cpu).await {
                Ok(gpu) => self.measured[1] = Some(gpu),
                Err(error) => self.gpu = Gpu::Unavailable(error.to_string()),
            }
        }
        self.choose(EngineChoice::Auto).await?;
        Ok(self.active)
    }

    /// Best of three warm forward passes with the mix of an explanation of two classes, in milliseconds. Stops early if
    /// the first takes longer than `limit`: the user is waiting for the engine that this one holds up.
    async fn measure(&mut self, model: &Model, input: &Tensor, size: (u32, u32), limit: f64) -> Result<f64> {
        let target = [model.manifest().target.clone()];
        let program = self.program(self.active, model, size, &target)?;
        let pooling = model.manifest().pooling();
        let warm = program.run(input, &Mix { pooling, ..Mix::default() }).await?;
        let directions = vec![warm.mixed.embedding; 2];
        let mix = Mix { pooling, directions, normalise: true, ..Mix::default() };
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let started = web_time::Instant::now();
            program.run(input, &mix).await?;
            best = best.min(milliseconds(started));
            if best > limit {
                break;
            }
        }
        Ok(best)
    }
}

/// The candle engine, where it is built.
fn candle() -> Option<Box<dyn Engine>> {
    #[cfg(all(feature = "candle", not(target_arch = "wasm32")))]
    return Some(Box::new(CandleEngine::new()));
    #[cfg(not(all(feature = "candle", not(target_arch = "wasm32"))))]
    None
}

impl EngineKind {
    /// `"cpu"`, `"gpu"` or `"candle"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Candle => "candle",
        }
    }
}

impl From<EngineKind> for EngineChoice {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Cpu => Self::Cpu,
            EngineKind::Gpu => Self::Gpu,
            EngineKind::Candle => Self::Candle,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" | "webgpu" => Ok(Self::Gpu),
            "candle" => Ok(Self::Candle),
            _ => Err(Error::argument("engine", format!("{name:?} is not one of auto, cpu, gpu, candle"))),
        }
    }
}
