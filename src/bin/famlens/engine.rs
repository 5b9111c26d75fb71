//! Which engine a command takes when the user names none: the CPU, unless the work is so much that measuring pays.
//!
//! To start a GPU and compile a network for it takes longer than the CPU needs for a few photos. So engines are
//! measured only before long work, and what was measured is remembered for a while in the user's cache folder, by
//! model, input and processor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use famlens::Result;
use famlens::session::{EngineChoice, EngineKind, ImageId, Session};
use pollster::block_on;
use serde::{Deserialize, Serialize};

use crate::files;

/// Milliseconds of work on the CPU from which measuring the engines pays.
const WORTH: f64 = 2000.0;
/// Days after which an engine is measured anew: drivers and cards change.
const DAYS: u64 = 30;
/// Measurements that are kept, the newest.
const KEPT: usize = 64;

/// The time of one warm pass on each engine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub cpu: f64,
    /// None where there is no GPU that works.
    pub gpu: Option<f64>,
    /// The day of the measurement, counted from 1970.
    day: u64,
}

type Known = BTreeMap<String, Times>;

/// Takes the engine that is faster for so many passes through the network, if the user leaves the choice.
pub fn settle(session: &mut Session, choice: EngineChoice, image: ImageId, passes: usize) -> Result<()> {
    match times(session, choice, image, passes)? {
        Some(Times { cpu, gpu: Some(gpu), .. }) if gpu < cpu => {
            // A GPU that is gone since is no error: the session is on the CPU.
            let _ = block_on(session.set_engine(EngineKind::Gpu.into()));
            Ok(())
        }
        Some(_) => block_on(session.set_engine(EngineKind::Cpu.into())),
        None => Ok(()),
    }
}

/// How long each engine takes for a pass; `None` if the user has named an engine or the work is too little to ask.
pub fn times(session: &mut Session, choice: EngineChoice, image: ImageId, passes: usize) -> Result<Option<Times>> {
    if choice != EngineChoice::Auto || passes < 2 {
        return Ok(None);
    }
    // The session begins on the CPU and keeps what it finds, so the first pass is one that is needed anyway.
    let first = block_on(session.embed(image))?;
    if first.milliseconds * (passes - 1) as f64 <= WORTH {
        return Ok(None);
    }
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() / 86_400);
    let (key, mut known) = (key(session), read());
    if let Some(times) = known.get(&key).filter(|times| today.saturating_sub(times.day) < DAYS) {
        return Ok(Some(*times));
    }
    block_on(session.calibrate(image))?;
    let time = |kind| session.engine_reports().iter().find(|r| r.kind == kind).and_then(|r| r.milliseconds);
    let Some(cpu) = time(EngineKind::Cpu) else { return Ok(None) };
    let times = Times { cpu, gpu: time(EngineKind::Gpu), day: today };
    known.insert(key, times);
    write(known);
    Ok(Some(times))
}

/// What a measurement belongs to.
fn key(session: &Session) -> String {
    let model = session.model();
    let cpu = session.engine_reports().into_iter().find(|r| r.kind == EngineKind::Cpu).map(|r| r.describe);
    let input = &model.manifest().input;
    format!("{} {:016x} {} {}", env!("CARGO_PKG_VERSION"), model.fingerprint(), input.size, cpu.unwrap_or_default())
}

/// What is remembered; nothing if it cannot be read.
fn read() -> Known {
    let text = file().and_then(|file| std::fs::read(file).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Remembers measurements. That this fails is no reason to stop: the next command measures again.
fn write(mut known: Known) {
    while known.len() > KEPT {
        let oldest = known.iter().min_by_key(|(_, times)| times.day).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { break };
        known.remove(&oldest);
    }
    let (Some(file), Ok(text)) = (file(), serde_json::to_vec_pretty(&known)) else { return };
    if let Some(folder) = file.parent()
        && files::create_folder(folder).is_ok()
    {
        let _ = files::write(&file, &text);
    }
}

/// `famlens/engines.json` in the user's cache folder.
fn file() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_home = |rest: &str| Some(std::env::home_dir()?.join(rest));
    let folder = match std::env::consts::OS {
        "windows" => named("LOCALAPPDATA"),
        "macos" => of_home("Library/Caches"),
        _ => named("XDG_CACHE_HOME").or_else(|| of_home(".cache")),
    };
    Some(folder?.join("famlens").join("engines.json"))
}
