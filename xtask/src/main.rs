//! `cargo xtask`: everything a newcomer or a CI machine types. Each command first installs what it needs and is
//! missing, and says what it installs.

mod bench;
mod browser;
mod conformance;
mod deny;
mod faults;
mod fuzz;
mod miri;
mod node;
mod notices;
mod offline;
mod package;
mod results;
mod serve;
mod sh;
mod test;
mod tools;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Serve, build, test and measure famlens.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the page in release and serve it on this machine; prints the address.
    ///
    /// The server hands out dist/ as it is on disk: leave it running and say `cargo xtask build` after a change.
    Serve {
        /// Port on 127.0.0.1; the next free one is taken if it is in use.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Serve dist/ as it is, without building first.
        #[arg(long)]
        no_build: bool,
    },
    /// Build the page in release; the folder can be copied to any static host, under any path.
    Build {
        /// Where to put it.
        #[arg(long, default_value = "dist")]
        dist: PathBuf,
    },
    /// Run every check: format, lints, tests, types of the scripts, docs, the web build, tests in a real browser.
    ///
    /// With step names, only those; `cargo xtask test --list` names them.
    Test {
        /// Steps to run; all of them if none is named.
        steps: Vec<String>,
        /// Name the steps and stop.
        #[arg(long)]
        list: bool,
    },
    /// Run ONNX's test cases of its operators on every engine, against tests/conformance/table.tsv.
    ///
    /// Fetches the cases first (12 MB, once). `cargo xtask test` runs those of them that pass and are small.
    Conformance {
        /// Only the cases whose name contains this.
        word: Option<String>,
        /// Write the table and the compact archive of passing cases anew.
        #[arg(long)]
        write: bool,
    },
    /// Make the npm packages in dist/npm, which `npm publish` takes as they are.
    ///
    /// With `--check`, packs them and the crate as they would be published, unpacks them in an empty folder outside of
    /// this one, and uses them there: four bundlers, a CDN, plain Node, `cargo install`.
    Package {
        /// Use dist/ as it is, without building first.
        #[arg(long)]
        no_build: bool,
        /// Try the packed packages out.
        #[arg(long)]
        check: bool,
        /// With --check, only these parts: npm, crate, notices.
        #[arg(long, value_delimiter = ',', requires = "check")]
        only: Vec<String>,
    },
    /// Check licences, bans, duplicates and sources of the dependencies against deny.toml.
    Deny,
    /// Write THIRD-PARTY.txt: the licences of everything that the binary and the wasm contain.
    Notices {
        /// Only say whether it is up to date.
        #[arg(long)]
        check: bool,
    },
    /// Measure again what docs/results.md shows and write its tables; with names, only those blocks.
    Results {
        /// Blocks to measure; all of them if none is named.
        blocks: Vec<String>,
        /// Name the blocks with their commands and stop.
        #[arg(long)]
        list: bool,
        /// A famlens that is built already, instead of building it.
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// Look for bytes that break the importer, the graph passes or the kernels; what is found is kept as a test.
    Fuzz {
        /// Targets: importer, kernels, passes; all of them if none is named.
        targets: Vec<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        minutes: u32,
    },
    /// Break things on purpose, many times over, and count that nothing is lost, leaked or stuck.
    ///
    /// With part names, only those; `--list` names them. `cargo xtask test` does each a few times.
    Faults {
        /// Parts to run; all of them if none is named.
        parts: Vec<String>,
        /// How often each fault is made.
        #[arg(long, default_value_t = 50)]
        count: u32,
        /// Name the parts and stop.
        #[arg(long)]
        list: bool,
    },
    /// Run the kernels' own tests under Miri, which sees undefined behaviour: the portable kernels, on 64 and on 32
    /// bits.
    Miri,
    /// Measure famlens against onnxruntime-web and TensorFlow.js in one headless Chromium.
    ///
    /// With `--model`, on an ONNX file of yours, against onnxruntime-web, in time and memory.
    Bench {
        /// An ONNX image model to measure instead of the one that ships; a model.json beside it says how it is fed,
        /// else as ImageNet's.
        #[arg(long, value_name = "FILE", conflicts_with = "check")]
        model: Option<PathBuf>,
        /// Rounds; each runs every contender once, in turn.
        #[arg(long, default_value_t = 15)]
        rounds: u32,
        /// Rounds of the contenders on the software GPU, which take seconds each.
        #[arg(long, default_value_t = 3)]
        gpu_rounds: u32,
        /// Use dist/ as it is, without building first.
        #[arg(long)]
        no_build: bool,
        /// Fail if one of the floors that this project has set itself is not met.
        #[arg(long)]
        check: bool,
        /// Measure the CPU engine against ONNX Runtime outside a browser instead.
        #[arg(long, conflicts_with_all = ["check", "size"])]
        native: bool,
        /// A Python that has onnxruntime and onnx, for `--native`; without it they are installed.
        #[arg(long, requires = "native", value_name = "FILE")]
        python: Option<PathBuf>,
        /// Tell what the wasm consists of instead, by section and by crate.
        #[arg(long, conflicts_with_all = ["check", "model"])]
        size: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { port, no_build } => serve::run(port, no_build),
        Command::Build { dist } => web::build(&dist).map(|()| println!("\nbuilt into {}", dist.display())),
        Command::Results { blocks, list, program } => results::run(&blocks, list, program.as_deref()),
        Command::Package { no_build, check, only } => package::run(no_build, check, &only),
        Command::Deny => deny::run(),
        Command::Notices { check } => notices::run(check),
        Command::Conformance { word, write } => conformance::run(word.as_deref(), write),
        Command::Test { steps, list } => test::run(&steps, list),
        Command::Faults { parts, count, list } => faults::run(&parts, count, list),
        Command::Fuzz { targets, minutes } => fuzz::run(&targets, minutes),
        Command::Miri => miri::run(),
        Command::Bench { rounds, gpu_rounds, no_build, check, model, native, python, size } => {
            bench::run(&bench::Bench { rounds, gpu_rounds, no_build, check, model, native, python, size })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
