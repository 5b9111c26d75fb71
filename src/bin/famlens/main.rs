//! The famlens command line: arguments in, [`famlens::session`] at work, tables, pictures and JSON out.

mod bench_methods;
mod check;
mod compose;
mod embed;
mod engine;
mod evaluate;
mod explain;
mod files;
mod gallery;
mod index;
mod methods;
mod model;
mod model_args;
mod mosaic;
mod network;
mod options;
mod output;
mod pair;
mod quantize;
mod search;
mod specificity;
mod statistics;
mod terminal;
mod what_if;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Explain why a model without a classifier layer judged images alike (FAM, arXiv 2307.05017).
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decide which class a photo is like, and show the parts that made the model decide so
    Explain(explain::Args),
    /// Check each support photo against the others: do they recognise it?
    Check(check::Args),
    /// Cover a part of a photo and compare what the map predicts with what happens to the scores
    WhatIf(what_if::Args),
    /// Compare methods over one photo: maps side by side, with passes, time and memory
    Methods(methods::Args),
    /// Measure time and peak memory of every method, by input size and model
    BenchMethods(bench_methods::Args),
    /// Show what makes two photos, or two random views of one, alike: maps on both sides, and where to where
    Pair(pair::Args),
    /// Embed many photos into a gallery to search in; add to a gallery that is there
    Index(index::Args),
    /// Rank the photos of a gallery by their similarity to one, with maps and near-duplicates
    Search(search::Args),
    /// List every choice, with an explanation and its source
    Choices(options::ChoicesArgs),
    /// Tile one photo of each class and see how much of each class's map falls into its own tile
    Mosaic(mosaic::Args),
    /// Measure whether maps tell classes apart, on mosaics and boxes: by form, shots and input size, with an ablation
    Specificity(specificity::Args),
    /// Compute the statistics of photos in general, which the whitened and discriminative forms need
    Statistics(statistics::Args),
    /// Write the embeddings of photos as a NumPy array
    Embed(embed::Args),
    /// Measure accuracy, localisation, faithfulness and class specificity over a folder of photos
    Evaluate(Box<evaluate::Args>),
    /// Paste boxed objects on other photos, to evaluate where objects are small and their boxes are known
    Compose(compose::Args),
    /// Write an ONNX file with int8 weights, and with int8 activations if there are photos to calibrate with
    Quantize(quantize::Args),
    /// List an ONNX file's nodes, shapes, target layers and unsupported operators
    Inspect(model::InspectArgs),
    /// Run an ONNX file node by node on every engine and name the first node that differs from the reference
    Compare(model::CompareArgs),
}

fn main() -> ExitCode {
    // Output that nobody reads any more, as behind `head`, ends the program quietly. Rust ignores the signal, and
    // printing then panics.
    #[cfg(unix)]
    // SAFETY: the default action of a signal is set, no handler, before any thread is started.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Explain(args) => explain::run(args),
        Command::Check(args) => check::run(args),
        Command::WhatIf(args) => what_if::run(args),
        Command::Methods(args) => methods::run(&args),
        Command::BenchMethods(args) => bench_methods::run(&args),
        Command::Pair(args) => pair::run(args),
        Command::Index(args) => index::run(args),
        Command::Search(args) => search::run(args),
        Command::Choices(args) => options::choices(&args),
        Command::Mosaic(args) => mosaic::run(&args),
        Command::Specificity(args) => specificity::run(&args),
        Command::Statistics(args) => statistics::run(&args),
        Command::Embed(args) => embed::run(args),
        Command::Evaluate(args) => evaluate::run(*args),
        Command::Compose(args) => compose::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Inspect(args) => model::inspect(args),
        Command::Compare(args) => model::compare(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(error);
            ExitCode::FAILURE
        }
    }
}
