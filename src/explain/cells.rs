//! The route over cells: the class-specific forms compare every cell with the classes, at layers of their own.

use web_time::Instant;

use super::finer_cells::{CellFindings, finer_cells};
use super::look::{merge, region};
use super::result::Findings;
use super::{ClassScore, Effort, ExplainOptions, Explanation, Finer, Given, Map, Request};
use crate::backbone::{Backbone, milliseconds};
use crate::engine::CellMaps;
use crate::error::Result;
use crate::fam::{CellForm, ClassCells, Grid, Specific, Statistics};

pub(super) async fn explain(
    backbone: &mut Backbone,
    given: &Given,
    specific: &Specific,
    form: CellForm,
    request: &Request<'_>,
) -> Result<Explanation> {
    let Request { query, classes, options, .. } = *request;
    let mut effort = Effort::default();
    let started = Instant::now();
    let mut cells = Vec::with_capacity(classes.len());
    for class in classes {
        let mut supports = Vec::with_capacity(class.supports.len());
        for &id in &class.supports {
            effort.embedded += usize::from(!backbone.knows_cells(id)?);
            supports.push(backbone.pooled_cells(id).await?);
        }
        cells.push(ClassCells::new(&supports.iter().map(AsRef::as_ref).collect::<Vec<_>>())?);
    }
    if effort.embedded > 0 {
        effort.timings.supports = milliseconds(started);
    }
    let readout = specific.readout(form, &cells)?;

    let started = Instant::now();
    let known = backbone.knows_cells(query)?;
    let maps = backbone.cells(query, &readout).await?;
    match known {
        true => effort.timings.mix = milliseconds(started),
        false => effort.timings.forward = milliseconds(started),
    }
    effort.embedded += usize::from(!known);
    let (width, height) = backbone.cell_grid(query)?;
    let grid = |values: &[f32]| Grid { width, height, data: values.to_vec() };
    let grids = maps.maps.chunks((height * width).max(1)).map(grid).collect();
    let decide = |maps: &CellMaps| specific.decide(form, &cells, maps);
    let evidence = specific.evidence(form, &maps, classes.len());
    let mean = specific.whitening().mean();
    let of_block = maps.pooled.first().map_or(&[][..], |pooled| &pooled.mean);
    let present = of_block.iter().zip(mean).map(|(&a, mu)| (f64::from(a) - mu) as f32).collect();
    let mut found = CellFindings { grids, decision: decide(&maps)?, passes: 1 };
    if options.finer.shifts > 1 {
        let started = Instant::now();
        found = finer_cells(backbone, query, options.finer.shifts, &readout, (found, &maps), decide).await?;
        effort.timings.finer = milliseconds(started);
    }

    let CellFindings { mut grids, decision, mut passes } = found;
    let geometry = *backbone.image(query)?.cell_geometry();
    let looked = match grids.get(decision.predicted) {
        Some(coarse) => region(coarse, &geometry, options)?,
        None => None,
    };
    if let Some(seen) = looked {
        let started = Instant::now();
        let (input, part) = backbone.part(query, seen, geometry.input_size())?;
        let second = backbone.cells_of_input(&input, &readout).await?;
        let second: Vec<Grid> = second.maps.chunks((height * width).max(1)).map(grid).collect();
        grids = grids.iter().zip(&second).map(|(coarse, second)| merge(coarse, &geometry, second, &part)).collect();
        passes += 1;
        effort.timings.finer += milliseconds(started);
    }
    let notes = notes(form, request, &grids, given.statistics(backbone.model()));
    let scores = classes.iter().zip(&decision.scores).zip(&decision.contributions);
    let score = |((class, &similarity), contributions): ((&super::Class, &f64), &Vec<f32>)| {
        let carried: f64 = contributions.iter().map(|&w| f64::from(w)).sum();
        ClassScore { name: class.name.clone(), similarity, constant: 0.0, residual: similarity - carried }
    };
    let findings = Findings {
        score: form.score_name().to_owned(),
        classes: scores.map(score).collect(),
        predicted: decision.predicted,
        evidence,
        present,
        maps: grids.into_iter().map(|grid| Map::new(grid, geometry)).collect(),
        weights: decision.contributions.clone(),
        contributions: decision.contributions,
        target: backbone.model().cell_look().layers.swap_remove(0),
        layers: Vec::new(),
        passes,
        looked,
        effort,
        notes,
    };
    findings.conclude(backbone, options)
}

fn notes(form: CellForm, request: &Request<'_>, maps: &[Grid], statistics: Option<&Statistics>) -> Vec<String> {
    let Request { classes, options, .. } = *request;
    let mut notes = Vec::new();
    let plain = ExplainOptions {
        form: options.form,
        border_term: options.border_term,
        cell_shrinkage: options.cell_shrinkage,
        offset: options.offset,
        sharpness: options.sharpness,
        finer: Finer { shifts: options.finer.shifts, look: options.finer.look, ..Finer::default() },
        ..ExplainOptions::default()
    };
    if *options != plain {
        let text = "This form compares cells at layers of its own. It ignores similarity, pooling, target layer, \
                    mirrored and scaled looks, and the choices about weights and map.";
        notes.push(text.to_owned());
    }
    if form == CellForm::Discriminative {
        let text = "The score is the mean of the map of the whole photo. The channels explain most of it; the residual comes from \
                    later steps: the offset, the class share and the second layer.";
        notes.push(text.to_owned());
    }
    for (class, map) in classes.iter().zip(maps) {
        if map.data.iter().all(|&v| v <= 0.0) {
            let name = &class.name;
            notes.push(format!("Nothing in this photo speaks for {name}: no cell's evidence exceeds the offset."));
        }
    }
    if let Some(origin) = statistics.map(Statistics::origin)
        && origin.images < 30
    {
        let n = origin.images;
        notes.push(format!("The statistics come from only {n} images. A hundred would make them steadier."));
    }
    notes
}
