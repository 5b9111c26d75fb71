//! The op problems on the CPU engine of a 32-bit machine with SIMD128, as the page has it, against the reference.
//!
//! Plain functions and no bindings: `run.mjs` calls them in node, one problem at a time.

#[path = "../check.rs"]
mod check;
#[path = "../problems/mod.rs"]
mod problems;

use std::cell::RefCell;

use check::{Storage, check};
use famlens::engine::Engine;
use famlens::engine::cpu::CpuEngine;
use pollster::block_on;
use problems::{Problem, problems};

struct Suite {
    problems: Vec<Problem>,
    engines: Vec<CpuEngine>,
}

thread_local! {
    static SUITE: RefCell<Option<Suite>> = const { RefCell::new(None) };
    /// What the last call has to say.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

fn say(text: impl Into<String>) {
    TEXT.with(|said| *said.borrow_mut() = text.into());
}

/// Uses relaxed SIMD from now on; traps in the module that has none.
#[unsafe(no_mangle)]
pub extern "C" fn problems_relax() {
    CpuEngine::try_relaxed_simd();
}

/// Prepares the problems; how many there are. What a panic says can be read as text.
#[unsafe(no_mangle)]
pub extern "C" fn problems_prepare() -> usize {
    std::panic::set_hook(Box::new(|info| say(info.to_string())));
    let suite = Suite { problems: problems(), engines: CpuEngine::variants() };
    let count = suite.problems.len();
    SUITE.with(|kept| *kept.borrow_mut() = Some(suite));
    count
}

/// How many engines there are: one with and one without products in 16-bit integers.
#[unsafe(no_mangle)]
pub extern "C" fn problems_engines() -> usize {
    SUITE.with(|suite| suite.borrow().as_ref().map_or(0, |suite| suite.engines.len()))
}

/// Leaves the name of an engine as text.
#[unsafe(no_mangle)]
pub extern "C" fn problems_describe(engine: usize) {
    SUITE.with(|suite| say(suite.borrow().as_ref().map_or(String::new(), |suite| suite.engines[engine].describe())));
}

/// Runs a problem on an engine; 0 if it passed. The text is its name, or its name and what is wrong.
#[unsafe(no_mangle)]
pub extern "C" fn problems_run(engine: usize, problem: usize) -> usize {
    SUITE.with(|suite| {
        let suite = suite.borrow();
        let Some(Suite { problems, engines }) = suite.as_ref() else { return 1 };
        let (engine, problem) = (&engines[engine], &problems[problem]);
        let storage = if engine.is_fixed_point() { Storage::Int16 } else { Storage::F32 };
        let outcome = block_on(check(engine, storage, problem));
        say(match &outcome {
            Ok(()) => problem.name.clone(),
            Err(reason) => format!("{}: {reason}", problem.name),
        });
        usize::from(outcome.is_err())
    })
}

/// Where the text is.
#[unsafe(no_mangle)]
pub extern "C" fn problems_text() -> *const u8 {
    TEXT.with(|text| text.borrow().as_ptr())
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn problems_text_bytes() -> usize {
    TEXT.with(|text| text.borrow().len())
}
